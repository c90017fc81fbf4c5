"""Compiles what a controller starts when it decides: a round, an arm, an item (spec 95.6).

The nodes of a body are documents, kept by their controller. Values are filled in, then they are
read and judged by the rules that planned nodes are, within what surrounds them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.control import Control, Promotion
from wfledger.core.documents import TaskSpec
from wfledger.core.ids import child_id
from wfledger.core.records import canonical
from wfledger.errors import PlanError
from wfledger.plans.compiling import CompiledTask, renamed
from wfledger.plans.nodes import rules, shapes
from wfledger.plans.nodes.compiling import (
    Compiled,
    Setting,
    compile_level,
    hold_candidates,
    in_order,
    too_wide,
)
from wfledger.plans.nodes.narrowing import Around, read_around
from wfledger.plans.nodes.placeholders import fill_node
from wfledger.plans.problems import Findings, Problem, join

#: Controllers whose bodies run one after the other.
_CHAINED: Final = frozenset({"loop_until", "cond"})


@dataclass(frozen=True)
class Unfolded:
    """The tasks of one step, each after those of them that it waits for."""

    tasks: tuple[tuple[str, TaskSpec], ...]
    #: The last of them: when these are settled, all are.
    exits: tuple[str, ...]
    #: Id of a node in the plan -> the task that stands for it.
    nodes: dict[str, str]


def unfold(
    control: Control, *, owner: str, step: str, body: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
) -> Unfolded:  # fmt: skip
    """Return the tasks of *body* in one *step* of the controller *owner*.

    The ids depend on names alone. Raises `PlanError` with every problem; what stands in the way of
    one node starts none.
    """
    known = {**control.values, **values}
    findings = Findings(lenient=control.lenient)
    filled = [
        fill_node(node, known, join("/nodes", place), findings.rules)
        for place, node in enumerate(body)
    ]
    _raise(findings)
    chained = control.kind in _CHAINED
    compiled = _compiled(control, owner, filled, findings, known=known, chained=chained)
    tasks = in_order(compiled, findings)
    too_wide(tasks, findings)
    _raise(findings)
    ids = {task.node: child_id(owner, f"{step}.{task.node}") for task in tasks}
    _require_distinct(tasks, ids, findings)
    ids |= {full: full for full in control.outer.values()}
    made = tuple((ids[task.node], renamed(task.spec, ids).but(parent=owner)) for task in tasks)
    _require_small(tasks, made, findings)
    _raise(findings)
    last = compiled.level.roots[-1:] if chained else compiled.level.roots
    exits = tuple(ids[compiled.name_of(node)] for node in last)
    stands = {given: ids[compiled.name_of(node)] for given, node in compiled.level.stands.items()}
    return Unfolded(made, exits, stands)


def _compiled(
    control: Control, owner: str, filled: Sequence[Mapping[str, Any]], findings: Findings,
    *, known: Mapping[str, Any], chained: bool,
) -> Compiled:  # fmt: skip
    """Return the nodes of a body as tasks; raises `PlanError`."""
    around = read_around(control.around) if control.around else Around()
    doc = shapes.read_spec({"goal": owner, "nodes": list(filled)}, findings)
    _raise(findings)
    if doc is None:
        raise AssertionError("an object is read, or says what is wrong")
    doc = replace(doc, promotion=control.reviews or Promotion())
    resolved = rules.resolve(
        doc, findings, around=around, outer=frozenset(control.outer), chained=chained
    )
    _raise(findings)
    if resolved is None:
        raise AssertionError("what has no error is resolved")
    setting = Setting(
        findings, resolved.narrowed, on_failure=around.on_failure,
        promotion=doc.promotion,
        outer=control.outer, values=known,
    )  # fmt: skip
    compiled = compile_level(resolved.doc.nodes, setting, chained=chained)
    hold_candidates(compiled, findings)
    return compiled


def _raise(findings: Findings) -> None:
    errors = findings.errors
    if errors:
        first = errors[0]
        raise PlanError(
            f"{first.pointer or '/'}: {first.message}", errors=[one.as_json() for one in errors]
        )


def _require_distinct(
    tasks: Sequence[CompiledTask], ids: Mapping[str, str], findings: Findings
) -> None:
    seen: set[str] = set()
    for task in tasks:
        if ids[task.node] in seen:
            message = f"two nodes would have the id {ids[task.node]}"
            findings.error("clashing_id", message, "/nodes")
        seen.add(ids[task.node])


def _require_small(
    tasks: Sequence[CompiledTask], made: Sequence[tuple[str, TaskSpec]], findings: Findings
) -> None:
    for task, (_, spec) in zip(tasks, made, strict=True):
        size = len(canonical(spec))
        if size > bounds.TASK_BYTES // 2:
            message = f"{task.given} would have {size} bytes; at most {bounds.TASK_BYTES // 2}"
            findings.extend((Problem("too_large", message, "/nodes"),))
