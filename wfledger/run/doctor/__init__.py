"""`doctor`: what a ledger stands on, what is wrong, and what puts it right."""
