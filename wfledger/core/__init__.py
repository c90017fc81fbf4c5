"""The pure part: documents, statuses, scopes, graph, admission, verification, retries.

No I/O, no clock, no chance; imports pydantic and nothing else. Start at `statuses`, then
`documents`.
"""
