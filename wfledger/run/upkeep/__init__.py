"""What keeps a ledger small that runs for weeks."""
