"""The only reader and writer of ledger files.

Imports `core` and filelock; knows nothing of git. Start at `ledger`.
"""
