"""Results of earlier runs that are taken again, and what is told from them (spec 93).

`keying` computes the key of a task from the ledger, git and fleet.toml; `earlier` finds results by
their keys; `taking` gives a task the result that is there already.
"""
