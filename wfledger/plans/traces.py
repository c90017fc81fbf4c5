"""Recorded traces of the original, replayed over a workflow document without calling any model.

A trace is JSON: `{trace_id, leaf_records, control_records}`. A leaf's record is found by the hash
of what goes into it (`input_hash`, the original's own, of June); one that is missing makes it
`replay_diverged`, and the replay goes on. Documents are taken as they are in June's dialect: what
came later is no part of the hash.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.records import load_json
from wfledger.errors import InvalidDocumentError

#: June's fields of a leaf and their defaults, in the order in which they are hashed.
_LEAF: Final[Mapping[str, Any]] = {
    "id": "", "prompt": "", "agent_type": "general", "mode": "read_only", "isolation": "shared",
    "file_scope": [], "depends_on_results": [],
    "budget": {"max_steps": None, "timeout_secs": None, "max_parallel": None},
    "permissions": {
        "allow_write": False, "allow_network": False, "allowed_tools": [], "file_scope": [],
    },
    "model_policy": {"provider": None, "model": None, "fallback_models": []},
}  # fmt: skip
#: Statuses of the original that are no success.
DIVERGED: Final = "replay_diverged"
_SUCCEEDED: Final = "succeeded"
#: Nodes in nodes; deeper ones are a mistake, or meant to do harm.
_DEEPEST: Final = 200
#: Field of a node's document that holds nodes, by kind.
_INSIDE: Final[Mapping[str, str]] = {
    "branch_set": "children", "sequence": "children", "loop_until": "children",
}  # fmt: skip


def input_hash(
    workflow_id: str | None, goal: str, leaf: Mapping[str, Any], inputs: Mapping[str, str | None]
) -> str:
    """Return the original's hash of what goes into a leaf: its document and the results it has.

    Lower-case hexadecimal SHA-256 of compact JSON in UTF-8, in June's order of fields; the inputs
    are sorted by name.
    """
    whole = {
        "workflow_id": workflow_id, "workflow_goal": goal, "leaf": _filled(leaf, _LEAF),
        "resolved_inputs": {name: inputs[name] for name in sorted(inputs)},
    }  # fmt: skip
    text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _filled(given: Mapping[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of *shape* in its order, as *given* or by default."""
    found: dict[str, Any] = {}
    for name, default in shape.items():
        value = given.get(name)
        if isinstance(default, Mapping):
            found[name] = _filled(value if isinstance(value, Mapping) else {}, default)
        else:
            found[name] = default if value is None else value
    return found


@dataclass(frozen=True)
class Trace:
    """What was recorded of one execution; of records with the same key the last counts."""

    id: str
    #: (leaf, input hash) -> result.
    leaves: Mapping[tuple[str, str], Mapping[str, Any]]
    #: (node, kind) -> record.
    controls: Mapping[tuple[str, str], Mapping[str, Any]]


def read_trace(raw: bytes) -> Trace:
    """Read a trace; raises `InvalidDocumentError`. Records of another trace are left out."""
    data = load_json(raw, limit=bounds.PLAN_BYTES)
    trace_id = data.get("trace_id") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(trace_id, str):
        raise InvalidDocumentError("a trace is an object with a trace_id")
    leaves = {
        (str(one.get("leaf_id")), str(one.get("input_hash"))): _mapping(one.get("result"))
        for one in _records(data, "leaf_records", trace_id)
    }
    controls = {
        (str(one.get("node_id")), str(one.get("kind"))): one
        for one in _records(data, "control_records", trace_id)
    }
    return Trace(trace_id, leaves, controls)


def _records(data: Mapping[str, Any], name: str, trace_id: str) -> list[Mapping[str, Any]]:
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidDocumentError(f"{name} is a list of objects")
    return [one for one in found if one.get("trace_id", trace_id) == trace_id]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


@dataclass
class Execution:
    """What a replay has come to, in the original's words."""

    status: str = _SUCCEEDED
    leaf_results: list[dict[str, Any]] = field(default_factory=list)
    control_node_results: list[dict[str, Any]] = field(default_factory=list)
    #: Ids of the nodes without a record, each once.
    missing: list[str] = field(default_factory=list)

    @property
    def diverged(self) -> bool:
        """Whether any record was missing."""
        return bool(self.missing)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `replay --trace --json` prints."""
        return {
            "status": self.status, "diverged": self.diverged, "missing": self.missing,
            "leaf_results": self.leaf_results,
            "control_node_results": self.control_node_results,
        }  # fmt: skip


def replay_trace(document: Mapping[str, Any], trace: Trace) -> Execution:
    """Re-evaluate a workflow document from *trace*.

    Unlike in the original a divergence is never forgotten for a later failure: it names the status
    of the whole. Raises `InvalidDocumentError` for what is no tree of nodes.
    """
    replayed = _Replay(document, trace)
    for node in _nodes(document.get("nodes"), 0):
        replayed.run(node, 0)
    if replayed.done.diverged:
        replayed.done.status = DIVERGED
    return replayed.done


def _nodes(value: Any, depth: int) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return the nodes of a list, each by kind and document: `{kind, spec}`, or `{kind: spec}`."""
    if depth > _DEEPEST:
        raise InvalidDocumentError(f"nodes are nested more than {_DEEPEST} deep")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidDocumentError("nodes are a list")
    found: list[tuple[str, Mapping[str, Any]]] = []
    for one in value:
        kind = one.get("kind") if isinstance(one, dict) else None
        if isinstance(one, dict) and isinstance(kind, str):
            found.append((kind, _mapping(one.get("spec"))))
        elif isinstance(one, dict) and len(one) == 1:
            name, spec = next(iter(one.items()))
            found.append(("leaf" if name == "agent" else str(name), _mapping(spec)))
        else:
            raise InvalidDocumentError("a node is an object with kind and spec")
    return found


class _Replay:
    def __init__(self, document: Mapping[str, Any], trace: Trace) -> None:
        self._id = document.get("id")
        self._goal = str(document.get("goal") or "")
        self._trace = trace
        #: Leaf -> what it has put out so far; controls put nothing out.
        self._outputs: dict[str, str | None] = {}
        self.done = Execution()

    def run(self, node: tuple[str, Mapping[str, Any]], depth: int) -> None:
        """Replay one node and all that it leads to."""
        kind, spec = node
        if kind == "leaf":
            self._leaf(spec)
            return
        record = self._trace.controls.get((str(spec.get("id")), kind))
        for child in self._chosen(kind, spec, record, depth + 1):
            self.run(child, depth + 1)
        self._control(kind, spec, record)

    def _leaf(self, leaf: Mapping[str, Any]) -> None:
        name = str(leaf.get("id"))
        wanted = [str(one) for one in leaf.get("depends_on_results") or ()]
        inputs = {one: self._outputs.get(one) for one in wanted}
        found = self._trace.leaves.get((name, input_hash(self._id, self._goal, leaf, inputs)))
        if found is None:
            self._outputs[name] = None
            self.done.leaf_results.append({"leaf_id": name, "status": DIVERGED, "output": None})
            self._note_missing(name)
            return
        output = found.get("output")
        self._outputs[name] = output if isinstance(output, str) else None
        self.done.leaf_results.append({**found, "leaf_id": name})
        self._note_status(str(found.get("status", _SUCCEEDED)))

    def _chosen(
        self, kind: str, spec: Mapping[str, Any], record: Mapping[str, Any] | None, depth: int
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the nodes that ran: as recorded where that was a decision, else as declared."""
        if kind == "expand":
            yield from _nodes(record.get("generated_nodes") if record else None, depth)
            return
        if kind == "cond":
            arms = (*_nodes(spec.get("then_nodes"), depth), *_nodes(spec.get("else_nodes"), depth))
            picked = self._selected(record)
            yield from (one for one in arms if str(one[1].get("id")) in picked)
            return
        inside = _nodes(spec.get(_INSIDE[kind]) if kind in _INSIDE else None, depth)
        if kind == "loop_until" and record is not None:
            inside = [one for one in inside if str(one[1].get("id")) in self._selected(record)]
        yield from inside

    def _selected(self, record: Mapping[str, Any] | None) -> frozenset[str]:
        result = _mapping(record.get("result")) if record else {}
        return frozenset(map(str, result.get("selected_children") or ()))

    def _control(
        self, kind: str, spec: Mapping[str, Any], record: Mapping[str, Any] | None
    ) -> None:
        name = str(spec.get("id"))
        result = _mapping(record.get("result")) if record else {}
        if record is None:
            self._note_missing(name)
        self.done.control_node_results.append({
            "status": DIVERGED if record is None else _SUCCEEDED, **result, "node_id": name,
            "kind": kind,
        })  # fmt: skip
        if record is not None:
            self._note_status(str(result.get("status", _SUCCEEDED)))

    def _note_missing(self, name: str) -> None:
        if name not in self.done.missing:
            self.done.missing.append(name)

    def _note_status(self, status: str) -> None:
        if status == "failed":
            self.done.status = status
