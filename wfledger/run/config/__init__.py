"""What fleet.toml says, read so that one reading finds every mistake."""
