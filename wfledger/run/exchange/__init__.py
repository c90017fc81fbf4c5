"""Tasks of other trackers taken into the ledger, and the ledger's written out for others."""
