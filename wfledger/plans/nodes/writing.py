"""Writes a document of the node shape in its canonical order (`plan --expand`, WFL-NODE-080)."""

from collections.abc import Callable, Mapping
from typing import Any

from wfledger.plans.fields import Shape
from wfledger.plans.nodes.shapes import GATE, SHAPES, SPEC

#: Fields that hold nodes, or one.
_NODES = frozenset({"children", "then_nodes", "else_nodes", "nodes"})


def in_order(document: Mapping[str, Any], sort: Callable[[Any], Any]) -> dict[str, Any]:
    """Return *document*, which is valid, with its fields in the order of spec 95.

    *sort* orders whatever is inside of a field. What is absent, null or unknown is left out. As
    deep as the document, which was read and is bounded.
    """
    shown = _ordered(document, SPEC, sort)
    if "gates" in shown:
        shown["gates"] = [_ordered(gate, GATE, sort) for gate in document["gates"]]
    return shown


def _node(node: Mapping[str, Any], sort: Callable[[Any], Any]) -> dict[str, Any]:
    kind = node["kind"]
    return {"kind": kind, "spec": _ordered(node["spec"], SHAPES[kind], sort)}


def _ordered(
    values: Mapping[str, Any], shape: Shape, sort: Callable[[Any], Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in shape:
        value = values.get(name)
        if value is None:
            continue
        if name in _NODES:
            found[name] = [_node(one, sort) for one in value]
        else:
            found[name] = _node(value, sort) if name == "template" else sort(value)
    return found
