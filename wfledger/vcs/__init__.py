"""The only user of pygit2 and of the git program.

Imports `core`; knows nothing of ledger files. Start at `proc` and `repo`.
"""
