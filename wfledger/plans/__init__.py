"""The plan language: reading, checking and compiling plans (spec 90).

Pure: text or parsed documents in, tasks and problems out; no files, no time, no randomness. Imports
`core` and `errors` only. Start reading at `checking.check`.
"""
