"""What an attempt changed, from git: its kept commit against the commit that it began from."""

from dataclasses import dataclass
from typing import Any

from wfledger.core.documents import Changed, Task
from wfledger.core.statuses import Status
from wfledger.errors import NotFoundError
from wfledger.run.keeping import Kept, changed_paths, kept_head
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.vcs.trees import show_diff


@dataclass(frozen=True)
class Difference:
    """The work of one attempt. Scope is judged by what the task may write now."""

    task: str
    attempt: int
    base: str
    head: str
    changed: tuple[Changed, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `diff --json` prints, without the patch."""
        return {
            "task": self.task,
            "attempt": self.attempt,
            "base": self.base,
            "head": self.head,
            "changed": [one.model_dump(mode="json") for one in self.changed],
        }


def difference(workspace: Workspace, task_id: str, attempt: int | None = None) -> Difference:
    """Return what an attempt (default: the last one) changed; raises `NotFoundError`."""
    entry = workspace.ledger.get(task_id)
    number = attempt or last_attempt(entry)
    result = workspace.ledger.result(task_id, number) if number else None
    head = kept_head(workspace, task_id, number) if number else None
    head = head or (result.head if result else None)
    if result is None or result.base is None or head is None:
        raise _nothing(entry, number)
    kept = Kept(result.base, head)
    changed = changed_paths(workspace, kept, entry.task)
    return Difference(task_id, number, kept.base, kept.head, changed)


def last_attempt(entry: Entry) -> int:
    """Return the number of the last attempt that is over, else of the present one, 0 for none."""
    task: Task = entry.task
    if task.accepted is not None:
        return task.accepted.attempt
    if task.attempts:
        return task.attempts[-1].number
    return task.attempt if entry.status not in {Status.WAITING, Status.PENDING} else 0


def _nothing(entry: Entry, number: int) -> NotFoundError:
    task = entry.task
    if number == 0:
        message = f"{task.id} has not been attempted"
    elif entry.status is Status.IN_PROGRESS and number == task.attempt:
        message = f"attempt {number} of {task.id} still runs; nothing of it is kept yet"
    else:
        message = f"attempt {number} of {task.id} left nothing to compare"
    return NotFoundError(message, hint=f"wfledger why {task.id}", task=task.id, attempt=number)


def patch(workspace: Workspace, found: Difference, *, paths: tuple[str, ...] = ()) -> bytes:
    """Return the difference as git prints it, of some paths or of all."""
    return show_diff(workspace.repo, found.base, found.head, color=False, paths=paths)
