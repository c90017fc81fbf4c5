"""Kinds of worker: how one is started for an attempt, and what its end means."""
