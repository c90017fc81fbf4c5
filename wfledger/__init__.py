"""A shared task ledger for fleets of coding agents, on files and git alone.

Start reading at `wfledger.core.statuses` (what can happen), then `wfledger.run.engine` (when it
happens) and `wfledger.store.ledger` (how it is stored). The protocol itself is in `spec/`.
"""

from typing import Final

#: Version of this implementation; the protocol has its own (`core.documents.PROTOCOL`).
__version__: Final = "0.1.0"
