"""Nodes as JavaScript writes them, `{"agent": {…}}`, and the nodes of spec 95 that they stand for.

A node in its own form, `{"kind": …, "spec": …}`, stays as it is, and so does what stands inside of
it: there wrappers are an error of the node shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.plans.problems import Findings, Problem, join, quote

#: What a wrapper stands for.
KINDS: Final[Mapping[str, str]] = {
    "agent": "leaf", "branch": "branch_set", "sequence": "sequence", "reduce": "reduce",
    "teacher_review": "teacher_review", "loop_until": "loop_until", "cond": "cond",
    "expand": "expand",
}  # fmt: skip
#: Wrappers whose bodies refuse fields that they do not know, even in lenient.
_CLOSED: Final = frozenset({"branch", "sequence", "loop_until", "cond", "expand"})
#: Fields that hold nodes.
_LISTS: Final = ("children", "then_nodes", "else_nodes")


@dataclass
class Lowered:
    """A document of the node shape."""

    document: Any = None
    #: Pointers into it of objects that refuse unknown fields.
    closed: set[str] = field(default_factory=lambda: {""})

    def refuses(self, problem: Problem) -> bool:
        """Whether this is a field that the original refuses to read."""
        return problem.kind == "unknown_field" and (
            problem.pointer.rpartition("/")[0] in self.closed
        )


def lower(written: Any, findings: Findings) -> Lowered:
    """Return the document that *written*, the object of a call, stands for.

    Depth is bounded by reading. What is no node at all is left for the rules of nodes to name.
    """
    lowered = Lowered()
    lowering = _Lowering(lowered, findings)
    nodes = written.get("nodes", [])
    lowered.document = {**written, "nodes": lowering.nodes(nodes, "/nodes")}
    return lowered


@dataclass
class _Lowering:
    lowered: Lowered
    findings: Findings

    def nodes(self, values: Any, pointer: str) -> Any:
        if not isinstance(values, list):
            return values
        return [self.node(value, join(pointer, place)) for place, value in enumerate(values)]

    def node(self, value: Any, pointer: str) -> Any:
        if not isinstance(value, dict):
            return value
        if {"kind", "spec"} <= value.keys():
            return self._own_form(value, pointer)
        name = wrapper_of(value)
        if name is None:
            return self._no_form(value, pointer)
        inner = join(pointer, "spec")
        if name in _CLOSED:
            self.lowered.closed.add(inner)
        return {"kind": KINDS[name], "spec": self._body(name, value[name], inner)}

    def _own_form(self, value: Mapping[str, Any], pointer: str) -> Any:
        """Leave out what the original does not look at, but not without a word."""
        for name in value.keys() - {"kind", "spec"}:
            message = f"{quote(name)} beside `kind` and `spec` is not looked at"
            self.findings.warn("unknown_field", message, join(pointer, name))
        return {"kind": value["kind"], "spec": value["spec"]}

    def _no_form(self, value: Mapping[str, Any], pointer: str) -> Any:
        names = ", ".join(f"`{name}`" for name in KINDS)
        given = ", ".join(quote(str(name)) for name in list(value)[:5]) or "nothing"
        message = f"a node has one key, one of {names}, or `kind` and `spec`; here is {given}"
        self.findings.parse.append(Problem("invalid_json", message, pointer))
        return None

    def _body(self, name: str, body: Any, pointer: str) -> Any:
        if not isinstance(body, dict):
            return body
        spec = dict(body)
        if name == "agent":
            spec |= {
                token: spec[token].strip().lower()
                for token in ("role", "profile") if isinstance(spec.get(token), str)
            }  # fmt: skip
        if name == "branch":
            spec.setdefault("parallel", True)
        spec |= {one: self.nodes(spec[one], join(pointer, one)) for one in _LISTS if one in spec}
        if name == "expand" and isinstance(spec.get("template"), dict):
            spec["template"] = self.node(spec["template"], join(pointer, "template"))
        return spec


def wrapper_of(value: Any) -> str | None:
    """Return the wrapper that *value* is, if it is one."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    (name,) = value
    return name if name in KINDS else None


def written(source: Any, pointer: str) -> str:
    """Return *pointer*, which goes into the lowered document, as it goes into *source*."""
    value, found = source, ""
    for part in pointer.split("/")[1:]:
        name = wrapper_of(value) if part in {"kind", "spec"} else None
        shown = part if name is None else name
        found = f"{found}/{shown}"
        if part == "kind" and name is not None:
            break
        value = _inside(value, shown.replace("~1", "/").replace("~0", "~"))
    return found


def _inside(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    return None
