"""`python -m wfledger` is the command line."""

from wfledger.cli.main import main

if __name__ == "__main__":
    main()
