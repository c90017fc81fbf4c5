"""Replays a whole run: every controller decides again, and every record is looked for.

Nothing is started and nothing is changed. With another plan the controllers decide as that plan
has them, and work whose result could not be taken for it diverges.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wfledger.clock import parse_iso
from wfledger.core.documents import Run, Task, TaskSpec
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.plans.compiling import Plan
from wfledger.run.attempts.handed import landed_result
from wfledger.run.looks.naming import task_ids
from wfledger.run.replay.deciding import Divergence, Replay, Replayed
from wfledger.run.replay.then import workspace_then
from wfledger.run.reuse.forecast import forecast
from wfledger.run.submit import as_submitted, new_task
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry


@dataclass(frozen=True)
class Report:
    """What a replay has found."""

    run: str
    controllers: int
    #: Answers that controllers gave again.
    decisions: int
    divergences: tuple[Divergence, ...]

    @property
    def diverged(self) -> bool:
        """Whether anything comes out otherwise than it is recorded."""
        return bool(self.divergences)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `replay --json` prints."""
        return {
            "run": self.run, "controllers": self.controllers, "decisions": self.decisions,
            "diverged": self.diverged,
            "divergences": [one.as_json() for one in self.divergences],
        }  # fmt: skip


def replay(
    workspace: Workspace, run: Run, plan: Plan | None = None, *, role: str | None = None
) -> Report:
    """Replay *run*, or what *plan* would have made of its records."""
    entries, found = _entries(workspace, run)
    found += _records(workspace, entries)
    if plan is not None:
        found += _work(workspace, run, plan, role)
        entries = list(_planned(workspace, run, plan, role, entries=entries))
    ended = {
        (entry.task.id, one.number): parse_iso(one.ended)
        for entry in entries for one in entry.task.attempts
    }
    controllers = decisions = 0
    for entry in entries:
        if entry.task.spec.control is None:
            continue
        then, clock = workspace_then(workspace, ended)
        done = _replayed(Replay(then, clock, run, entry.task, entry.status))
        controllers += 1
        decisions += done.decisions
        found += done.divergences
    return Report(run.id, controllers, decisions, tuple(found))


def _replayed(replayed: Replay) -> Replayed:
    """Replay one controller; what it cannot do without its records diverges as well."""
    try:
        return replayed.go()
    except (WfledgerError, OSError, ValueError, LookupError, TypeError) as error:
        # Records that are gone or damaged: what a kind trips over is told, and the others go on.
        control = replayed.task.spec.control
        kind = control.kind if control is not None else "task"
        told = Divergence(replayed.task.id, kind, f"it cannot be decided again: {error}")
        replayed.done.divergences.append(told)
        return replayed.done


def _entries(workspace: Workspace, run: Run) -> tuple[list[Entry], list[Divergence]]:
    """Return the tasks of a run that are on record, and what is missing of them."""
    entries, missing = [], []
    for name in task_ids(workspace, run):
        try:
            entry = workspace.ledger.find(name)
        except (WfledgerError, OSError, ValueError) as error:
            missing.append(Divergence(name, "task", f"its record cannot be read: {error}"))
            continue
        if entry is None:
            missing.append(Divergence(name, "task", "there is no record of it"))
        else:
            entries.append(entry)
    return entries, missing


def _records(workspace: Workspace, entries: Sequence[Entry]) -> list[Divergence]:
    """Return the done tasks whose results are not on record."""
    found = []
    for entry in entries:
        if entry.status is not Status.DONE or entry.task.spec.control is not None:
            continue
        try:
            result = landed_result(workspace, entry.task.id)
            message = None if result is not None else "the record of its result is missing"
        except (WfledgerError, OSError, ValueError) as error:
            message = f"the record of its result cannot be read: {error}"
        if message is not None:
            found.append(Divergence(entry.task.id, "task", message))
    return found


def _work(workspace: Workspace, run: Run, plan: Plan, role: str | None) -> list[Divergence]:
    """Return the work of *plan* for which *run* holds no result."""
    told = forecast(workspace, plan, [run], base=run.base, role=role)
    return [
        Divergence(
            f"{run.id}.{line.node}", "task",
            "; ".join(one.message for one in line.reasons) or "there is no result of that key",
        )
        for line in told.lines if line.action == "run"
    ]  # fmt: skip


def _planned(
    workspace: Workspace, run: Run, plan: Plan, role: str | None, *, entries: Sequence[Entry]
) -> Iterator[Entry]:
    """Yield the recorded tasks, the controllers among them as *plan* has them.

    A controller that is not on record is one that has decided nothing.
    """
    fleet = workspace.fleet()
    ids = {task.node: f"{run.id}.{task.node}" for task in plan.tasks}
    specs = {
        ids[task.node]: as_submitted(task.spec, ids, role, fleet)
        for task in plan.tasks if task.spec.control is not None
    }  # fmt: skip
    for entry in entries:
        spec = specs.pop(entry.task.id, None)
        yield entry if spec is None else Entry(_as_planned(entry.task, spec), entry.status)
    for name, spec in specs.items():
        yield Entry(new_task(name, spec, run.created), Status.WAITING)


def _as_planned(task: Task, spec: TaskSpec) -> Task:
    return task.but(spec=spec, spec_sha256=spec.digest())
