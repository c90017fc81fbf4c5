"""A scripted model server: every dialect and every failure, without a model and a network."""
