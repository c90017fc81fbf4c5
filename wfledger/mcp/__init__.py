"""The ledger for agents that drive themselves: the verbs as tools of the Model Context Protocol.

`server` is the only module that knows the protocol; `tools` says what there is and calls `run`.
"""
