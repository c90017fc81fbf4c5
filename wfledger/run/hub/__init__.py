"""One ledger on many machines: grants, landings and heartbeats by way of a git remote (spec 97).

Start at `state` (what this machine knows of its remote) and `cycle` (one meeting with it).
"""
