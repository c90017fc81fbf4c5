"""Agents' programs as workers: adapters as data, their homes, and how their ends are read."""
