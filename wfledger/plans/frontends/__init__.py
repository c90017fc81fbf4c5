"""Other languages that plans are written in; each yields what spec 90 has (spec 94)."""
