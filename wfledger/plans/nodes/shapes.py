"""Reads a document of the node shape: types only (spec 95.2).

A tree is read without recursion: the nodes inside a node are kept as `_Later` and read after it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from wfledger.plans import fields
from wfledger.plans.budgets import Allowance
from wfledger.plans.checks import read_checks, read_gate
from wfledger.plans.fields import BAD, Field, Site
from wfledger.plans.model import AGENT_TYPES, CONFIG, ON_FAILURE
from wfledger.plans.nodes.model import (
    DEPTH,
    NODE_KINDS,
    Bounds,
    Chain,
    Cond,
    Expand,
    GateDoc,
    Group,
    Judge,
    Leaf,
    Loop,
    Node,
    Reduce,
    Review,
    SpecDoc,
)
from wfledger.plans.nodes.parts import (
    JUDGED,
    ask_problem,
    read_bounds,
    read_condition,
    read_judge,
    read_permissions,
    read_policy,
    read_promotion,
)
from wfledger.plans.problems import Findings, Problem, join, quote
from wfledger.plans.terms import TERMS, split
from wfledger.plans.words import read_label, read_pattern, strip


@dataclass(eq=False)
class _Later:
    """A node that is read after the one that holds it."""

    value: object
    site: Site
    #: Nodes that it stands inside of.
    depth: int = 0
    node: Node | None = None


def _role(value: object, site: Site) -> Any:
    """Read the name of a role in the plan; roles are compared without regard to case in ASCII."""
    result = fields.text(value, site)
    return BAD if result is BAD else "".join(c.lower() if c.isascii() else c for c in strip(result))


_NODE: Final[fields.Shape] = {
    "kind": Field(fields.choice(*NODE_KINDS), required=True),
    "spec": Field(_Later, required=True),
}
_NODES: Final = Field(fields.many(_Later, "node"))
_NAMES: Final = Field(fields.many(fields.text, "entry"))
_ID: Final = Field(fields.text, required=True)
_BUDGET: Final = Field(read_bounds)
_POLICY: Final = Field(read_policy, into="policy")
_CONDITION: Final = Field(read_condition, required=True)
#: The additive fields of a task, but for those that the original has under the same name.
_TERMS: Final[fields.Shape] = {
    **TERMS,
    "role": Field(_role, into="plays", optional=True),
    "profile": Field(fields.text, optional=True),
    "budget": _BUDGET,
    "model_policy": _POLICY,
    "on_failure": Field(fields.choice(*ON_FAILURE), optional=True),
}
#: What a reduce has not: it is nobody's hand, and changes nothing.
_OF_LEAVES: Final = frozenset({"manual", "contracts", "allow_no_change"})
#: The fields of each kind of node.
SHAPES: Final[Mapping[str, fields.Shape]] = {
    "leaf": {
        "id": _ID,
        "prompt": Field(fields.text),
        "agent_type": Field(fields.choice(*AGENT_TYPES)),
        "mode": Field(fields.choice("read_only", "read_write")),
        "isolation": Field(fields.choice("auto", "shared", "worktree", "clone")),
        "file_scope": Field(fields.many(read_pattern, "pattern")),
        "depends_on_results": _NAMES,
        "permissions": Field(read_permissions),
        "best_of": Field(fields.ranged(2, 16), optional=True),
        "judge": Field(read_judge, optional=True),
        **_TERMS,
    },
    "branch_set": {
        "id": _ID,
        "description": Field(fields.text, optional=True),
        "parallel": Field(fields.flag),
        "budget": _BUDGET,
        "permissions": Field(read_permissions),
        "model_policy": _POLICY,
        "children": _NODES,
    },
    "sequence": {"id": _ID, "children": _NODES},
    "reduce": {
        "id": _ID,
        "inputs": _NAMES,
        "prompt": Field(fields.text),
        "merge": Field(fields.flag),
        **{name: known for name, known in _TERMS.items() if name not in _OF_LEAVES},
    },
    "teacher_review": {
        "id": _ID,
        "candidates": _NAMES,
        "promotion_policy": Field(read_promotion, into="promotion"),
        **JUDGED,
    },
    "loop_until": {
        "id": _ID,
        "condition": _CONDITION,
        "max_iterations": Field(fields.whole(32), optional=True),
        "budget": _BUDGET,
        "children": _NODES,
    },
    "cond": {"id": _ID, "condition": _CONDITION, "then_nodes": _NODES, "else_nodes": _NODES},
    "expand": {
        "id": _ID,
        "source": Field(fields.text, required=True),
        "max_children": Field(fields.whole(64), optional=True),
        "template": Field(_Later, optional=True),
    },
}
#: What the front ends call the kinds, for messages.
_WRAPPERS: Final[Mapping[str, str]] = {
    **{kind: kind for kind in NODE_KINDS}, "agent": "leaf", "branch": "branch_set",
}  # fmt: skip


@dataclass(frozen=True)
class _Draft:
    """A node whose inner nodes are not read yet."""

    kind: str
    common: Mapping[str, Any]
    values: dict[str, Any]


def _read_trees(roots: Sequence[_Later]) -> tuple[Node, ...]:
    """Read trees of nodes; what cannot be read is left out, after reporting."""
    pending = list(reversed(roots))
    read: list[tuple[_Later, _Draft]] = []
    while pending:
        later = pending.pop()
        draft = _read_one(later)
        if draft is None:
            continue
        read.append((later, draft))
        if later.depth > DEPTH:
            continue  # it is refused for that, and its pointers alone would take a lot
        inner = _inner(draft.values)
        for one in inner:
            one.depth = later.depth + 1
        pending.extend(reversed(inner))
    for later, draft in reversed(read):
        later.node = _BUILDERS[draft.kind](draft.common, _filled(draft.values))
    return _nodes(roots)


def _inner(values: Mapping[str, Any]) -> list[_Later]:
    found = []
    for value in values.values():
        if isinstance(value, _Later):
            found.append(value)
        elif isinstance(value, tuple):
            found.extend(part for part in value if isinstance(part, _Later))
    return found


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* with the nodes that were read in place of those that were to be."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, _Later):
            result[name] = value.node
        elif isinstance(value, tuple) and value and isinstance(value[0], _Later):
            result[name] = _nodes(value)
        else:
            result[name] = value
    return result


def _nodes(found: Sequence[_Later]) -> tuple[Node, ...]:
    return tuple(later.node for later in found if later.node is not None)


def _read_one(later: _Later) -> _Draft | None:
    value, outer = later.value, later.site
    late: list[Problem] = []
    place = Site(outer.pointer, outer.label, outer.parse, late)
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= _WRAPPERS.keys():
        name = next(iter(value))
        place.wrong(
            f"has the form `{{{name}: …}}` of the JavaScript front end; "
            f'write {{"kind": "{_WRAPPERS[name]}", "spec": …}}'
        )
        return None
    tagged = fields.read_object(value, _NODE, place)
    if tagged is None or not {"kind", "spec"} <= tagged.values.keys():
        return None
    fields.note_unknown(tagged, _NODE, place)
    kind, spec = tagged.values["kind"], tagged.values["spec"].value
    name = spec.get("id") if isinstance(spec, dict) else None
    label = f"{kind} {quote(name)}" if isinstance(name, str) else outer.label
    inner = Site(join(outer.pointer, "spec"), label, outer.parse, late)
    given = fields.read_object(spec, SHAPES[kind], inner)
    if given is None:
        return None
    given.values.setdefault("id", f"\ufffd{outer.pointer}")
    if kind in _SAID_OTHERWISE:
        _demand_prompt(kind, spec, given.values, inner)
    common = {
        "pointer": inner.pointer, "place": outer.pointer, "label": label, "names": given.names,
        "unknown": given.unknown, "late": late, "raw": value, "site": inner,
    }  # fmt: skip
    return _Draft(kind, common, given.values)


#: How a node of that kind may say what is done, besides a prompt and a command.
_SAID_OTHERWISE: Final[Mapping[str, str]] = {"leaf": "manual", "reduce": "merge"}


def _demand_prompt(kind: str, spec: Any, values: Mapping[str, Any], site: Site) -> None:
    other = _SAID_OTHERWISE[kind]
    if {"prompt", "command"} & spec.keys() or values.get(other):
        return
    missing = site.under("prompt", f"`prompt` of {site.label}")
    missing.wrong(f"is missing (or give a `command`, or `{other}: true`)")


# --- building


def _base(common: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("pointer", "place", "label", "names", "unknown", "raw")
    return {**{name: common[name] for name in shown}, "late": tuple(common["late"])}


def _terms(common: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a leaf or a reduce, with the additive ones as `terms`."""
    bounds = values.pop("budget", Bounds())
    terms, rest = split(values)
    rest["budget"] = bounds
    if bounds.time_s:
        # What one attempt may take stands beside the other limits of its time.
        terms = replace(terms, budget=Allowance(None, bounds.time_s))
    if terms.model is not None:
        if "model_policy" in common["names"]:
            common["site"].under("model", common["label"]).refuse(
                "has both `model` and `model_policy`", kind="contradictory_fields"
            )
        rest["policy"] = terms.model
    return {**rest, "terms": terms}


def _leaf(common: Mapping[str, Any], values: dict[str, Any]) -> Node:
    rest = _terms(common, values)
    return Leaf(**_base(common), **rest)


def _reduce(common: Mapping[str, Any], values: dict[str, Any]) -> Node:
    rest = _terms(common, values)
    return Reduce(**_base(common), **rest)


def _review(common: Mapping[str, Any], values: dict[str, Any]) -> Node:
    names = ("command", "prompt", "role", "timeout_s", "count")
    asked: dict[str, Any] = {name: values.pop(name) for name in names if name in values}
    problem = ask_problem(asked, needed=False)
    if problem:
        site = Site(common["pointer"], common["label"], common["site"].parse, common["late"])
        site.refuse(problem, kind="contradictory_fields")
        asked = {}
    return Review(**_base(common), judge=Judge(**asked), **values)


def _plain(build: Callable[..., Node]) -> Callable[[Mapping[str, Any], dict[str, Any]], Node]:
    return lambda common, values: build(**_base(common), **values)


_BUILDERS: Final[Mapping[str, Callable[[Mapping[str, Any], dict[str, Any]], Node]]] = {
    "leaf": _leaf, "branch_set": _plain(Group), "sequence": _plain(Chain), "reduce": _reduce,
    "teacher_review": _review, "loop_until": _plain(Loop), "cond": _plain(Cond),
    "expand": _plain(Expand),
}  # fmt: skip


# --- the document


GATE: Final[fields.Shape] = {
    "id": _ID,
    "role": Field(_role, required=True),
    "on": Field(fields.choice("role_complete", "role_start"), required=True),
    "gate": Field(fields.choice("verify", "review", "approve"), required=True),
    "on_fail": Field(fields.choice("retry", "block", "escalate"), required=True),
    "blocks_role": Field(_role, optional=True),
    "max_retries": Field(fields.whole(32)),
    "artifact_kind": Field(fields.text, optional=True),
    "require_explicit_verdict": Field(fields.flag),
}


def _gate(value: object, site: Site) -> Any:
    name = value.get("id") if isinstance(value, dict) else None
    label = f"gate {quote(name)}" if isinstance(name, str) else site.label
    inner = Site(site.pointer, label, site.parse)
    given = fields.read_object(value, GATE, inner)
    if given is None:
        return BAD
    given.values.setdefault("id", f"\ufffd{site.pointer}")
    return GateDoc(
        pointer=site.pointer, label=label, unknown=given.unknown, late=tuple(inner.late),
        **given.values,
    )  # fmt: skip


SPEC: Final[fields.Shape] = {
    "id": Field(fields.text, optional=True),
    "goal": Field(fields.text, required=True),
    "name": Field(fields.text, optional=True),
    "description": Field(fields.text, optional=True),
    "budget": _BUDGET,
    "permissions": Field(read_permissions),
    "model_policy": _POLICY,
    "promotion_policy": Field(read_promotion, into="promotion"),
    "nodes": _NODES,
    "gates": Field(fields.many(_gate, "gate")),
    "concurrency": CONFIG["concurrency"],
    "gate": Field(read_gate, optional=True),
    "on_failure": Field(fields.choice(*ON_FAILURE), optional=True),
    "verify": Field(read_checks, optional=True),
    "worker": Field(read_label, into="role", optional=True),
}


def read_spec(document: object, findings: Findings) -> SpecDoc | None:
    """Read a document of the node shape; types only, parse errors go to *findings*."""
    site = Site("", "the plan", findings.parse)
    given = fields.read_object(document, SPEC, site)
    if given is None or not isinstance(document, dict):
        return None
    values = given.values
    if not isinstance(values.get("concurrency"), int):
        values.pop("concurrency", None)
    values["nodes"] = _read_trees(values.get("nodes", ()))
    return SpecDoc(
        names=given.names, unknown=given.unknown, late=tuple(site.late), raw=document, **values
    )

