"""Attempts: claimed, given a place and a worker, kept, ended; recovered where a runtime died."""
