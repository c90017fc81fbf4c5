"""What people have to do: each task that cannot go on without one, and the command that lets it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wfledger.core.admission import lacking
from wfledger.core.documents import Task
from wfledger.core.statuses import Status
from wfledger.run.hub.machines import offered
from wfledger.run.money.caps import capped
from wfledger.run.pausing import pause_of
from wfledger.run.workers.routing import Router
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Need:
    """A task that cannot go on without a person."""

    task: str
    #: The code of its block; `manual` for one that people do.
    code: str
    reason: str
    #: Ready to paste.
    command: str

    def as_json(self) -> dict[str, str]:
        """Return the shape that `run --json` and `status --json` print."""
        return {
            "task": self.task, "code": self.code, "reason": self.reason, "command": self.command,
        }  # fmt: skip


def need_of(task: Task) -> Need:
    """Return what a blocked task needs."""
    if task.block is None:  # moved there by hand, against the rules
        return Need(task.id, "unknown", "it does not say why", f"wfledger retry {task.id}")
    return Need(task.id, task.block.code, task.block.reason, task.block.command)


def needs(workspace: Workspace, run_id: str | None) -> tuple[Need, ...]:
    """Return what the tasks of a run, or of all runs, need of people; changes nothing."""
    ledger = workspace.ledger
    blocked = [need_of(task) for task in ledger.tasks(Status.BLOCKED, run=run_id)]
    manual = [
        Need(task.id, "manual", "nobody has taken it", f"wfledger claim {task.id}")
        for task in ledger.tasks(Status.PENDING, run=run_id)
        if task.spec.manual
    ]
    return (*blocked, *manual)


def obstacles(workspace: Workspace, run_id: str) -> tuple[Need, ...]:
    """Return what keeps waiting tasks of a run from starting that is no matter of another task."""
    waiting = workspace.ledger.tasks(Status.WAITING, run=run_id)
    pause = pause_of(workspace)
    held = waiting
    if pause is not None and pause.is_alarm:
        held = [*waiting, *workspace.ledger.tasks(Status.MERGING, run=run_id)]
    if pause is not None and held:
        reason = f"dispatch is paused: {pause.reason}"
        return (Need(held[0].id, pause.code, reason, pause.command),)
    caps = capped(workspace, waiting)
    budgets = {cap.reason: (task_id, cap) for task_id, cap in reversed(caps.items())}
    found = [
        Need(task_id, "budget", cap.reason, cap.command) for task_id, cap in budgets.values()
    ]  # fmt: skip
    offers = workspace.fleet().offers | offered(workspace)
    unmet = ((task, lacking(task, offers)) for task in waiting if task.accepted is None)
    found += [
        Need(task.id, "needs", f"no worker offers {', '.join(names)}", f"wfledger why {task.id}")
        for task, names in unmet
        if names
    ]
    return (*found, *_unrouted(workspace, waiting))


def _unrouted(workspace: Workspace, waiting: Iterable[Task]) -> Iterator[Need]:
    """Yield what providers keep tasks from starting until a person does something, each once."""
    router = Router(workspace, workspace.fleet())
    said = set[str]()
    for task in waiting:
        closed = None if task.accepted is not None else router.needs_person(task.spec)
        if closed is not None and closed.reason not in said:
            said.add(closed.reason)
            command = closed.command or f"wfledger why {task.id}"
            yield Need(task.id, "provider", closed.reason, command)
