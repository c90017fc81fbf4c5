"""The names of wfledger's own folders and files in a repository and beside it (spec 10).

Apart from `workspace`, so that what must start quickly finds them without the ledger's machinery.
"""

from typing import Final

#: Name of the ledger's folder in the main checkout, and of the local state in the common directory.
FOLDER: Final = ".wfledger"
LOCAL: Final = "wfledger"
#: In the local state: where the ledger is, and its identity.
POINTER: Final = "ledger-path.json"
