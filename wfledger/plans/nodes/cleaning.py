"""Takes references out of a tree that can never be followed; only lenient documents have them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from wfledger.plans.nodes.model import Expand, Node, SpecDoc
from wfledger.plans.nodes.references import Reference
from wfledger.plans.nodes.tree import Tree

_LISTS: Final = ("depends_on_results", "inputs", "candidates")


def without(doc: SpecDoc, tree: Tree, dropped: Sequence[Reference]) -> SpecDoc:
    """Return *doc* without the references *dropped*; in the documents of its nodes as well."""
    if not dropped:
        return doc
    places: dict[int, set[int]] = {}
    for reference in dropped:
        places.setdefault(reference.by, set()).add(reference.place)
    made: list[Node] = list(tree.nodes)
    # From the last to the first, so that what is inside of a node is there before it.
    for number in reversed(range(len(made))):
        made[number] = _made(tree, number, made, places.get(number, set()))
    return replace(doc, nodes=tuple(made[number] for number in tree.roots))


def _made(tree: Tree, number: int, made: Sequence[Node], dropped: set[int]) -> Node:
    node = tree.nodes[number]
    arms: dict[str, list[Node]] = {}
    for child in tree.inside[number]:
        arms.setdefault(tree.arm[child], []).append(made[child])
    same = all(made[child] is tree.nodes[child] for child in tree.inside[number])
    if same and not dropped:
        return node
    spec: dict[str, Any] = dict(node.raw["spec"])
    changed: dict[str, Any] = {}
    for name, children in arms.items():
        one = isinstance(node, Expand)
        changed[name] = children[0] if one else tuple(children)
        spec[name] = children[0].raw if one else [child.raw for child in children]
    for name in _LISTS:
        names = getattr(node, name, None)
        if dropped and names is not None:
            kept = [entry for place, entry in enumerate(names) if place not in dropped]
            changed[name], spec[name] = tuple(kept), kept
    return replace(node, raw={**node.raw, "spec": spec}, **changed)
