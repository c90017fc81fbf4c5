"""The runtime: claims, workers, verification, landing, engine.

Drives `store` and `vcs`. Start at `engine`.
"""
