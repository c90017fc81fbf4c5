"""Telling coding agents about the ledger: entries in their own configuration, shown first."""
