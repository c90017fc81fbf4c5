"""Builders of plan documents of the node shape."""

from typing import Any

from wfledger.plans.checking import Checked, check

Document = dict[str, Any]


def node(kind: str, name: str, **fields: Any) -> Document:
    """Return a node."""
    return {"kind": kind, "spec": {"id": name, **fields}}


def leaf(name: str, **fields: Any) -> Document:
    """Return a leaf that reads."""
    return node("leaf", name, **{"prompt": f"work on {name}", **fields})


def writer(name: str, *scope: str, **fields: Any) -> Document:
    """Return a leaf that writes *scope*."""
    return leaf(name, mode="read_write", file_scope=list(scope), **fields)


def parallel(name: str, *children: Document, **fields: Any) -> Document:
    """Return a branch_set whose children run at once."""
    return node("branch_set", name, parallel=True, children=list(children), **fields)


def chain(name: str, *children: Document) -> Document:
    """Return a sequence."""
    return node("sequence", name, children=list(children))


def loop(name: str, *children: Document, **fields: Any) -> Document:
    """Return a loop of two rounds at most."""
    return node(
        "loop_until", name, children=list(children),
        **{"condition": "done", "max_iterations": 2, **fields},
    )  # fmt: skip


def reduce(name: str, *inputs: str, **fields: Any) -> Document:
    """Return a reduce with a prompt."""
    return node("reduce", name, **{"inputs": list(inputs), "prompt": "put together", **fields})


def spec(*nodes: Document, **fields: Any) -> Document:
    """Return a document of the node shape."""
    return {"goal": "ship", "nodes": list(nodes), **fields}


def kinds(document: object, *, lenient: bool = False) -> list[str]:
    """Return the kinds of all errors."""
    return [problem.kind for problem in check(document, lenient=lenient).errors]


def warned(document: object, *, lenient: bool = False) -> list[str]:
    """Return the kinds of all warnings."""
    return [problem.kind for problem in check(document, lenient=lenient).warnings]


def pointers(checked: Checked) -> list[str]:
    """Return where the errors stand."""
    return [problem.pointer for problem in checked.errors]
