"""The worktree in which a person looks at an attempt's kept work, and mends it.

`open` makes it, with the merge begun where that had conflicts; `accept` takes what is in it.
"""

from dataclasses import dataclass
from typing import Final

from wfledger.core.documents import Accepted, Task
from wfledger.core.statuses import Status
from wfledger.errors import GitError, NotFoundError, UsageError
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.keeping import fetched_head, keep
from wfledger.run.attempts.worktrees import Place
from wfledger.run.looks.changed import attempt_with_work, last_attempt
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.vcs import resolving

#: Blocks over what came of the work together with what had landed before.
_MERGED_FIRST: Final = frozenset({"conflict", "gate"})
#: Paths that a message names.
_NAMED: Final = 10


@dataclass(frozen=True)
class Opened:
    """A worktree with an attempt's kept work."""

    task: str
    place: Place
    #: Whether `accept` would take what is in it.
    is_for_mending: bool
    #: Paths in which a merge with the run's branch conflicts; marked in the files.
    conflicts: tuple[str, ...] = ()


def _name(task_id: str, attempt: int) -> str:
    return f"{task_id}.{attempt}.open"


def opened(workspace: Workspace, task: Task) -> Place | None:
    """Return the worktree that `open` made of the task's last attempt, if it is there."""
    place = worktrees.find(workspace, _name(task.id, attempt_with_work(task)))
    return place if place is not None and place.folder.exists() else None


def open_worktree(workspace: Workspace, task_id: str) -> Opened:
    """Return a worktree with the task's kept work, to look at and to mend; made once.

    Of a task that is blocked by a conflict or by the gate the merge is begun there, so that editing
    the files resolves it.
    """
    entry = workspace.ledger.get(task_id)
    attempt, is_blocked = last_attempt(entry), entry.status is Status.BLOCKED
    name = _name(task_id, attempt)
    place = worktrees.find(workspace, name)
    if place is not None and place.folder.exists():
        merging = resolving.merging_with(workspace.repo, place.folder)
        left = resolving.unresolved(workspace.repo, place.folder, merging) if merging else ()
        return Opened(task_id, place, is_blocked, left)
    result = workspace.ledger.result(task_id, attempt) if attempt else None
    head = fetched_head(workspace, task_id, attempt) if attempt else None
    head = head or (result.head if result else None)
    if head is None:
        raise NotFoundError(
            f"{task_id} has no kept work", hint=f"wfledger why {task_id}", task=task_id
        )
    place = worktrees.make(workspace, name, base=head, branch=None, purpose="open")
    return Opened(task_id, place, is_blocked, _begin_merge(workspace, place, entry))


def _begin_merge(workspace: Workspace, place: Place, entry: Entry) -> tuple[str, ...]:
    block = entry.task.block
    if block is None or block.code not in _MERGED_FIRST:
        return ()
    tip = workspace.repo.tip(workspace.ledger.run(entry.task.run).branch)
    if tip is None:
        return ()
    return resolving.begin_merge(workspace.repo, place.folder, tip)


def take(workspace: Workspace, place: Place, task: Task) -> Accepted | None:
    """Keep what is in *place*, the worktree of `open`, and return it as something to land.

    None where the attempt has no result to put it in the place of. Raises `UsageError` while
    conflicts are left.
    """
    attempt = attempt_with_work(task)
    result = workspace.ledger.result(task.id, attempt) if attempt else None
    if result is None or result.base is None:
        return None
    merged = resolving.merging_with(workspace.repo, place.folder)
    left = resolving.unresolved(workspace.repo, place.folder, merged) if merged else ()
    if left:
        raise UsageError(
            f"conflicts are left in {', '.join(left[:_NAMED])}",
            hint=f"resolve them in {place.path}, then: wfledger accept {task.id}", paths=list(left),
        )
    kept = keep(workspace, place, task_id=task.id, attempt=attempt, merged=merged)
    base = base_of(workspace, result.base, kept.head, task)
    return Accepted(attempt=attempt, head=kept.head, base=base)


def base_of(workspace: Workspace, base: str, head: str, task: Task) -> str:
    """Return what a result that a person may have mended is to be compared with.

    Where the run's branch was merged in to resolve a conflict, that is its tip of then: what came
    from there is not the task's change.
    """
    repo = workspace.repo
    tip = repo.tip(workspace.ledger.run(task.run).branch)
    if tip is None:
        return base
    try:
        common = repo.merge_base(tip, head)
    except GitError:
        return base
    return common if repo.is_ancestor(base, common) else base
