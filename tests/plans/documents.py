"""Builders of plan documents."""

from typing import Any

Document = dict[str, Any]


def task(name: str, **fields: Any) -> Document:
    """Return a task that reads."""
    return {"id": name, "prompt": f"work on {name}", **fields}


def writer(name: str, *scope: str, **fields: Any) -> Document:
    """Return a task that writes *scope*."""
    return task(name, mode="read_write", file_scope=list(scope), **fields)


def phase(name: str, *tasks: Document, **fields: Any) -> Document:
    """Return a phase."""
    return {"name": name, "tasks": list(tasks), **fields}


def config(*phases: Document, **fields: Any) -> Document:
    """Return a document of the phases shape."""
    return {"goal": "ship", "phases": list(phases), **fields}


def short(*tasks: Document, **fields: Any) -> Document:
    """Return a document of the short form."""
    return {"goal": "ship", "tasks": list(tasks), **fields}
