"""The plan language: reading, validating and compiling WhaleFlow documents.

Pure; imports `core`. Start at `reading`.
"""
