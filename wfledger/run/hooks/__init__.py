"""What agents ask before and after they use a tool, and before they stop: answered in a moment."""
