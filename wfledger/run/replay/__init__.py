"""Re-evaluates what controllers have decided, from the records and without starting anything.

`replaying` goes through a run; `deciding` takes one controller through all of its steps again;
`then` is the ledger as it was at a step.
"""
