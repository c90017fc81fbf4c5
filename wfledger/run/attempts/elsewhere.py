"""What people do to tasks that another machine works on, where several share the ledger.

Nobody but that machine moves such a task on, except to cancel it: that is recorded here, and ends
the attempt there as soon as that machine meets the remote (WFL-HUB-010, 057).
"""

from wfledger.clock import iso
from wfledger.core.documents import Attempt, Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Actor, Status
from wfledger.errors import TransitionError
from wfledger.run.hub.machines import name_of
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry

_BY = "person"


def is_of_another(workspace: Workspace, entry: Entry) -> bool:
    """Whether another machine holds the task now."""
    is_held = entry.status.holds_scope
    return is_held and is_elsewhere(entry.task, workspace.ledger.layout.machine)


def where(workspace: Workspace, task: Task) -> str:
    """Return the machine that a task was granted to, for people."""
    return name_of(workspace, task.grant.machine) if task.grant is not None else "this machine"


def refuse_to_stop(workspace: Workspace, task: Task) -> None:
    """Raise `TransitionError` that says where the attempt can be stopped."""
    there = where(workspace, task)
    raise TransitionError(
        f"{task.id} is with {there}: only there its attempt can be stopped",
        hint=f"on {there}: wfledger stop {task.id}; to give it up from here: "
        f"wfledger cancel {task.id}", task=task.id, machine=task.grant and task.grant.machine,
    )


def cancel(workspace: Workspace, task_id: str, *, reason: str) -> Task | None:
    """Give up a task that another machine holds; None where none does any more.

    Raises `TransitionError` while its landing is announced: it may have landed.
    """
    with workspace.ledger.transaction(_BY) as changes:
        entry = changes.get(task_id)
        task = entry.task
        if not is_of_another(workspace, entry):
            return None
        if entry.status is Status.MERGING and task.intent is not None:
            raise TransitionError(
                f"{task_id} is being landed by {where(workspace, task)}", task=task_id,
                hint=f"wfledger sync; wfledger why {task_id}",
            )
        return changes.move(
            task_id, Status.CANCELLED, actor=Actor.PERSON, why=reason,
            attempts=_ended(workspace, task, reason), claim=None, merger=None, intent=None,
            hold=None, block=None,
        )


def _ended(workspace: Workspace, task: Task, reason: str) -> tuple[Attempt, ...]:
    """Return the attempts with the present one, which ends there when this is heard of."""
    if any(one.number == task.attempt for one in task.attempts):
        return task.attempts
    worker = task.claim.worker if task.claim is not None else "unknown"
    over = Attempt(
        number=task.attempt, worker=worker, outcome="stopped", message=reason[:500],
        ended=iso(workspace.clock.now()),
    )
    return (*task.attempts, over)
