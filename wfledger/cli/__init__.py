"""The command line: parses, calls, prints.

One module for each family of verbs. Start at `main`.
"""
