"""Write the stop words; the first attempt fails as a network would."""

import os
import sys
from pathlib import Path

if os.environ["WFLEDGER_ATTEMPT"] == "1":
    print("connection reset by peer", file=sys.stderr)
    sys.exit(75)  # EX_TEMPFAIL: try again

Path("textkit/stopwords.txt").write_text("a\nand\nof\nthe\n")
print("wrote textkit/stopwords.txt")
