"""The daemon, and what lets it go on in trouble."""
