"""Ratios of wfledger to its peers and to plain file and git operations: `python -m tests.bench`."""
