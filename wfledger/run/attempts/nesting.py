"""Runs and tasks that a worker starts: they are below its task, and may do no more than it may.

Who starts them is known by the variables of its attempt, and what it may by the ledger: the
variables are the worker's to change. In another ledger they are all that is known.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core.authority import can_descend
from wfledger.core.documents import Run, TaskSpec
from wfledger.core.usage import Budget
from wfledger.errors import BudgetError, InvalidDocumentError
from wfledger.run.attempts.authorities import Grounds, authority_of, depth_of
from wfledger.run.attempts.bounding import bounded
from wfledger.run.attempts.claims import held_entry
from wfledger.run.guard import vouching
from wfledger.run.money.caps import Caps
from wfledger.run.money.spending import above
from wfledger.run.workers.launch import Assignment
from wfledger.run.workspace import Within, Workspace

_LESS: Final = "ask for less; what a worker starts may do no more than its task"


@dataclass(frozen=True)
class Nested:
    """What a worker starts, within its bounds."""

    specs: tuple[TaskSpec, ...]
    #: Of the run; None where nobody's worker starts it, or that of another ledger.
    parent: str | None = None
    depth: int | None = None
    budget: Budget | None = None


def variables(given: Assignment) -> dict[str, str]:
    """Return what a worker is told of what it may hand on (WFL-AUTH-005)."""
    workspace, task = given.workspace, given.task
    grounds = Grounds(given.fleet, workspace.ledger.run(task.run), workspace.policy())
    return {
        "WFLEDGER_DEPTH": str(depth_of(grounds, task.spec)),
        "WFLEDGER_BUDGET": json.dumps(given.budget.model_dump(exclude_none=True)),
    }


def nest(
    workspace: Workspace, specs: Sequence[TaskSpec], budget: Budget | None = None
) -> Nested:
    """Return *specs*, and the *budget* of their run, as whoever starts them may have them.

    Raises `InvalidDocumentError` with every excess, `BudgetError` where nothing is left,
    `StaleError` where the attempt is over; nothing is changed.
    """
    within = workspace.within
    if within is None:
        return Nested(tuple(specs), budget=budget)
    if not within.is_of(workspace):
        return _in_another(within, specs, budget)
    parent = held_entry(workspace, within.task, within.token).task
    fleet, policy = vouching.fleet(workspace), vouching.policy(workspace)
    grounds = Grounds(fleet, workspace.ledger.run(parent.run), policy)
    caps = Caps(workspace)
    cap = caps.of(parent)
    if cap is not None:
        raise BudgetError(f"nothing is left for it: {cap.reason}", hint=cap.command)
    left = caps.left(parent, fleet, None)
    mine = authority_of(grounds, parent.spec, left=left)
    if not can_descend(mine):
        raise _refused([f"nothing is started below {parent.id}: its depth is {mine.depth}"])
    problems = beyond(budget, left)
    made = []
    for spec in specs:
        inner, said = bounded(grounds, parent, _held(spec, parent.spec), mine)
        made.append(inner.but(budget=spec.budget))  # what is left holds for all of them together
        problems += said
    if problems:
        raise _refused(problems)
    depth = None if mine.depth is None else mine.depth - 1
    return Nested(tuple(made), parent.id, depth, budget)


def _held(spec: TaskSpec, parent: TaskSpec) -> TaskSpec:
    """Return the spec of a script as one that a worker starts: it aborts only where that may."""
    is_script = spec.control is not None and spec.control.kind == "script"
    return spec.but(on_failure=parent.on_failure) if is_script else spec


def generation(workspace: Workspace, run: Run) -> int:
    """Return below how many workers a run is: 0 for one that a person has started."""
    return 0 if run.parent is None else 1 + len(above(workspace, run.parent))


def beyond(asked: Budget | None, left: Budget) -> list[str]:
    """Return one sentence for each limit of a run that is above what its starter has left."""
    found = []
    for name in ("usd", "tokens", "steps"):
        least, wanted = getattr(left, name), getattr(asked, name) if asked else None
        if least is not None and wanted is not None and wanted > least:
            found.append(f"its budget of {wanted:g} {name} is more than {least:g}, which are left")
    return found


def _in_another(within: Within, specs: Sequence[TaskSpec], budget: Budget | None) -> Nested:
    """Return what is started in a ledger that does not know the worker."""
    if within.depth is None:
        return Nested(tuple(specs), budget=budget)
    if within.depth <= 0:
        raise _refused([f"nothing is started below {within.task}: its depth is {within.depth}"])
    problems = beyond(budget, within.budget)
    if problems:
        raise _refused(problems)
    whole = (budget or Budget()).within(within.budget)
    return Nested(
        tuple(specs), depth=within.depth - 1, budget=None if whole == Budget() else whole
    )


def _refused(problems: list[str]) -> InvalidDocumentError:
    listed = list(dict.fromkeys(problems))
    facts: Mapping[str, Any] = {"problems": listed}
    return InvalidDocumentError("; ".join(listed), hint=_LESS, **facts)
