"""Tasks that a worker adds below the one it holds: bounded, checked, never more than it may itself.

The fence is that of every word about an attempt. Children are added under one hold of the ledger
lock, each after what it waits for, so that a death in between leaves only tasks that are whole; the
same call again adds the rest (WFL-EXPAND-001…007).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.clock import iso
from wfledger.core import bounds
from wfledger.core.documents import Task, TaskSpec
from wfledger.core.ids import child_id, child_prefix
from wfledger.core.statuses import Status
from wfledger.errors import BudgetError, InvalidDocumentError, PlanError, UsageError
from wfledger.plans import checking
from wfledger.plans.compiling import Plan
from wfledger.run.attempts.authorities import Grounds, authority_of
from wfledger.run.attempts.bounding import bounded
from wfledger.run.attempts.claims import held_entry
from wfledger.run.guard import vouching
from wfledger.run.money.caps import Caps
from wfledger.run.staffing import missing_roles
from wfledger.run.submit import as_submitted, new_task
from wfledger.run.workspace import Workspace

#: Tasks of one call, and children of one task.
PER_CALL: Final = 50
PER_PARENT: Final = 200
_BY: Final = "worker"


@dataclass(frozen=True)
class Expanded:
    """What a call came to: full ids by the names that it gave, in order."""

    parent: str
    tasks: dict[str, str] = field(default_factory=dict)
    #: Names of those that were there already.
    existing: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `expand --json` prints."""
        return {"parent": self.parent, "tasks": self.tasks, "existing": list(self.existing)}


def expand(
    workspace: Workspace, task_id: str, token: str | None, listed: Sequence[Any]
) -> Expanded:
    """Add the tasks *listed*, in the fields of the short form, below the claimed *task_id*.

    Durable on return. Raises `StaleError` for a zombie, `PlanError` with every problem of the list,
    `InvalidDocumentError` for what exceeds the parent, `UsageError` beyond a bound; all of them
    before anything is added.
    """
    parent = held_entry(workspace, task_id, token).task
    if not 0 < len(listed) <= PER_CALL:
        raise UsageError(f"{len(listed)} tasks; one call adds 1 to {PER_CALL}")
    outer, plan = _compiled(workspace, parent, listed)
    children = _children(workspace, parent, plan, outer)
    with workspace.ledger.transaction(_BY) as changes:
        held_entry(workspace, task_id, token)
        run = workspace.ledger.run(parent.run)
        if run.state in {"landed", "aborted"}:
            raise UsageError(f"the run {run.id} is {run.state}; nothing is added to it")
        known = {one.id: workspace.ledger.find(one.id) for one in children.values()}
        fresh = [one for one in children.values() if known[one.id] is None]
        _refuse_other_content(parent, children, {i: e.task for i, e in known.items() if e})
        _refuse_too_many(workspace, parent, len(run.tasks), len(fresh))
        for one in fresh:
            changes.add(one, why=f"added by {parent.id}, attempt {parent.attempt}")
        new = tuple(one.id for one in children.values() if one.id not in run.tasks)
        if new:
            changes.put_run(
                run.but(seq=run.seq + 1, tasks=(*run.tasks, *new)), why=f"expanded by {parent.id}"
            )
    there = tuple(name for name, one in children.items() if known[one.id] is not None)
    return Expanded(parent.id, {name: one.id for name, one in children.items()}, there)


def children_of(workspace: Workspace, task_id: str) -> tuple[str, ...]:
    """Return the ids of a task's children, as far as their names tell; no document is read."""
    prefix, run = child_prefix(task_id), task_id.partition(".")[0]
    return tuple(
        name for status in Status for name in workspace.ledger.names(status, run=run)
        if name.startswith(prefix)
    )  # fmt: skip


# -- checking ------------------------------------------------------------------------------------


def _compiled(
    workspace: Workspace, parent: Task, listed: Sequence[Any]
) -> tuple[dict[str, "_Outer"], Plan]:
    """Return what of the run each task waits for, and the rest as a plan that has no error."""
    inner = {one["id"] for one in listed if isinstance(one, dict) and _is_text(one.get("id"))}
    outer: dict[str, _Outer] = {}
    cleaned = []
    for one in listed:
        if isinstance(one, dict) and _is_text(one.get("id")):
            outer[one["id"]] = found = _Outer.of(workspace, parent, one, inner)
            cleaned.append(found.rest)
        else:
            cleaned.append(one)
    checked = checking.check({"goal": parent.id, "tasks": cleaned})
    if checked.plan is None:
        errors = [problem.as_json() for problem in checked.errors]
        raise PlanError(f"{errors[0]['pointer']}: {errors[0]['message']}", errors=errors)
    return outer, checked.plan


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@dataclass(frozen=True)
class _Outer:
    """What a child waits for outside of its call, and its fields without that."""

    after: tuple[str, ...]
    inputs: tuple[str, ...]
    rest: dict[str, Any]

    @classmethod
    def of(
        cls, workspace: Workspace, parent: Task, one: Mapping[str, Any], inner: set[str]
    ) -> "_Outer":
        rest = dict(one)
        found: dict[str, list[str]] = {"after": [], "inputs": []}
        for key in found:
            given = one.get(key)
            if not isinstance(given, list):
                continue
            known = {n: _in_run(workspace, parent, n) for n in given if _is_text(n)}
            full = {n: i for n, i in known.items() if i is not None and n not in inner}
            found[key] = list(full.values())
            rest[key] = [n for n in given if not _is_text(n) or n not in full]
        if "inputs" not in one:
            found["inputs"] = found["after"]
        stray = [name for name in found["inputs"] if name not in found["after"]]
        if stray:
            raise PlanError(
                f"{one['id']} takes the result of {stray[0]}, which is not in its `after`",
                errors=[],
            )
        return cls(tuple(found["after"]), tuple(found["inputs"]), rest)


def _in_run(workspace: Workspace, parent: Task, name: str) -> str | None:
    """Return the full id of a task of the parent's run, or None; its other children come first."""
    full = [name] if name.partition(".")[0] == parent.run else []
    wanted = (*full, f"{child_prefix(parent.id)}{name}", f"{parent.run}.{name}")
    return next((one for one in wanted if workspace.ledger.find(one) is not None), None)


# -- what the children are -----------------------------------------------------------------------


def _children(
    workspace: Workspace, parent: Task, plan: Plan, outer: Mapping[str, _Outer]
) -> dict[str, Task]:
    """Return the children by the names they were given, each after what it waits for."""
    fleet = vouching.fleet(workspace)
    problems = missing_roles(plan, fleet, parent.spec.role)
    grounds = Grounds(fleet, workspace.ledger.run(parent.run), vouching.policy(workspace))
    cap = Caps(workspace).of(parent)
    if cap is not None:
        raise BudgetError(f"nothing is left for it: {cap.reason}", hint=cap.command)
    mine = authority_of(grounds, parent.spec, left=Caps(workspace).left_of_task(parent))
    ids = {item.node: child_id(parent.id, item.node) for item in plan.tasks}
    now = iso(workspace.clock.now())
    made: dict[str, Task] = {}
    for item in plan.tasks:
        spec = as_submitted(item.spec, ids, parent.spec.role, fleet)
        more = outer.get(item.given, _Outer((), (), {}))
        spec = spec.but(
            after=(*spec.after, *more.after), inputs=(*spec.inputs, *more.inputs), parent=parent.id
        )
        spec, said = bounded(grounds, parent, spec, mine)
        problems += [f"{item.given}: {one}" for one in (*said, *_edge_problem(spec))]
        made[item.given] = new_task(ids[item.node], spec, now)
    if problems:
        raise InvalidDocumentError(
            "; ".join(problems), problems=problems,
            hint="ask for less; a child may do no more than its parent",
        )  # fmt: skip
    return made


def _edge_problem(spec: TaskSpec) -> tuple[str, ...]:
    count = len(spec.after)
    return (f"{count} dependencies; at most {bounds.TASK_EDGES}",) * (count > bounds.TASK_EDGES)


# -- what is there already ----------------------------------------------------------------------


def _refuse_other_content(
    parent: Task, children: Mapping[str, Task], known: Mapping[str, Task]
) -> None:
    clashing = [
        (name, one.id) for name, one in children.items()
        if one.id in known and _content(known[one.id].spec) != _content(one.spec)
    ]  # fmt: skip
    if clashing:
        listed = ", ".join(f"{name} ({task_id})" for name, task_id in clashing)
        raise InvalidDocumentError(
            f"added before with other content: {listed}",
            hint=f"leave it out, or name it otherwise; wfledger show {clashing[0][1]}",
            task=parent.id, clashing=[name for name, _ in clashing],
        )  # fmt: skip


def _content(spec: TaskSpec) -> str:
    """Return what makes a child the same one: not what it was given of its parent's meanwhile."""
    return spec.but(budget=None, depth=None, tools=None).digest()


def _refuse_too_many(workspace: Workspace, parent: Task, tasks: int, fresh: int) -> None:
    there = len(children_of(workspace, parent.id))
    if there + fresh > PER_PARENT:
        raise UsageError(f"{parent.id} has {there} children; at most {PER_PARENT}")
    if tasks + fresh > bounds.RUN_TASKS:
        raise UsageError(f"the run has {tasks} tasks; at most {bounds.RUN_TASKS}")
