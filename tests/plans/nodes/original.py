"""The original's validator of node trees, written anew from its description: the oracle.

It stops at the first error. It recurses, knows neither templates nor anything that only wfledger
has, and shares no code with what it judges.
"""

from typing import Any

Tree = dict[str, Any]


class FoundError(Exception):
    """The first error."""


def verdict(document: Tree) -> str:
    """Return the kind of the first error in a document that is right in type, or `ok`."""
    seen: set[str] = set()
    try:
        _names(document["nodes"], seen)
        _references(document["nodes"], seen)
    except FoundError as found:
        return str(found)
    return "ok"


def _lists(node: Tree) -> list[list[Tree]]:
    spec = node["spec"]
    if node["kind"] in {"branch_set", "sequence", "loop_until"}:
        return [spec.get("children", [])]
    if node["kind"] == "cond":
        return [spec.get("then_nodes", []), spec.get("else_nodes", [])]
    return []


def _names(nodes: list[Tree], seen: set[str]) -> None:
    for node in nodes:
        spec = node["spec"]
        if not spec["id"].strip():
            raise FoundError("empty_node_id")
        if spec["id"] in seen:
            raise FoundError("duplicate_node_id")
        seen.add(spec["id"])
        if node["kind"] == "leaf":
            if not spec["prompt"].strip():
                raise FoundError("empty_leaf_prompt")
            role, profile = spec.get("role"), spec.get("profile")
            if role is not None and _is_no_token(role.strip()):
                raise FoundError("invalid_leaf_role")
            if profile is not None and _is_no_token(profile):
                raise FoundError("invalid_leaf_profile")
        for children in _lists(node):
            _names(children, seen)


def _is_no_token(text: str) -> bool:
    return not text or any(c.isspace() or c in "\"'`=" for c in text)


def _references(nodes: list[Tree], seen: set[str]) -> None:
    fields = {"leaf": "depends_on_results", "reduce": "inputs", "teacher_review": "candidates"}
    for node in nodes:
        for name in node["spec"].get(fields.get(node["kind"], ""), []):
            if name not in seen:
                raise FoundError("unknown_node_reference")
        for children in _lists(node):
            _references(children, seen)
