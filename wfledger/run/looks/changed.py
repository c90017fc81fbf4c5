"""What an attempt changed, from git: its kept commit against the commit that it began from."""

from dataclasses import dataclass
from typing import Any, Final

from wfledger.core.documents import Changed, Task
from wfledger.core.statuses import Status
from wfledger.errors import NotFoundError
from wfledger.run.attempts.keeping import Kept, changed_paths, fetched_head
from wfledger.run.merger.targets import as_landed
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.vcs.trees import show_diff

_BEFORE: Final = frozenset({Status.WAITING, Status.PENDING})


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
    head = fetched_head(workspace, task_id, number) if number else None
    head = head or (result.head if result else None)
    if result is None or result.base is None or head is None:
        raise _nothing(entry, number)
    kept = Kept(result.base, head)
    if not workspace.repo.has_commit(head):
        kept = _as_landed(workspace, entry, number)
    changed = changed_paths(workspace, kept, entry.task)
    return Difference(task_id, number, kept.base, kept.head, changed)


def _as_landed(workspace: Workspace, entry: Entry, number: int) -> Kept:
    """Return what a task changed whose work is on another machine and has gone from the remote."""
    is_last = number == attempt_with_work(entry.task)
    change = as_landed(workspace.repo, entry.task) if is_last else None
    if change is None:
        raise NotFoundError(
            f"the work of attempt {number} of {entry.task.id} is on the machine that did it",
            hint=f"wfledger why {entry.task.id}", task=entry.task.id, attempt=number,
        )
    return Kept(*change)


def last_attempt(entry: Entry) -> int:
    """Return the number of the last attempt that is over, else of the present one, 0 for none."""
    task: Task = entry.task
    if task.accepted is None and not task.attempts and entry.status in _BEFORE:
        return 0
    return attempt_with_work(task)


def attempt_with_work(task: Task) -> int:
    """Return the number of the attempt that a blocked task's result and kept work are of.

    The task's own number may be beyond it: promotion and a rebuild raise that, an attempt's end
    does not.
    """
    if task.accepted is not None:
        return task.accepted.attempt
    return task.attempts[-1].number if task.attempts else task.attempt


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
