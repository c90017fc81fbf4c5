"""`torture`: a scratch fleet under faults, and the invariants that decide."""
