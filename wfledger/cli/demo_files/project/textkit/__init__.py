"""A few functions on text."""
