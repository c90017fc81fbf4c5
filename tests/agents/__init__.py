"""Real agents' programs, end to end against a scripted model server: `pytest -m agents -n 0`."""
