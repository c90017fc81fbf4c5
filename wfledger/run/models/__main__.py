"""The program of a model worker's process; started by `models.worker` alone."""

import sys

from wfledger.run.models.child import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
