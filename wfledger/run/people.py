"""What people decide: retry, answer, widen, accept, cancel.

Each lifts a block or ends a task, along an arrow of the table that says person. A changed spec is a
new frozen spec: its digest goes into the history with the reason (WFL-TASK-011).
"""

from collections.abc import Sequence

from wfledger.core.documents import Accepted, Task, TaskSpec
from wfledger.core.scopes import parse_all
from wfledger.core.statuses import Actor, Status
from wfledger.errors import NotFoundError, TransitionError, UsageError
from wfledger.run import worktrees
from wfledger.run.keeping import keep, kept_head
from wfledger.run.stopping import stop
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry

_BY = "person"


def _blocked(workspace: Workspace, task_id: str) -> Entry:
    entry = workspace.ledger.get(task_id)
    if entry.status is not Status.BLOCKED:
        raise TransitionError(
            f"{task_id} is {entry.status.value}, not blocked",
            hint=f"wfledger why {task_id}", task=task_id, status=entry.status.value,
        )
    return entry


def retry(workspace: Workspace, task_id: str) -> Task:
    """Let a blocked task be attempted again from the start; earlier failures are forgiven."""
    with workspace.ledger.transaction(_BY) as changes:
        entry = _blocked(workspace, task_id)
        return changes.move(
            task_id, Status.WAITING, actor=Actor.PERSON, why="retry",
            block=None, hold=None, accepted=None, forgiven=entry.task.attempt, claim=None,
        )


def answer(workspace: Workspace, task_id: str, text: str) -> Task:
    """Answer a blocked task's question; the next attempt is given the answer."""
    if not text.strip():
        raise UsageError("an answer says something")
    with workspace.ledger.transaction(_BY) as changes:
        entry = _blocked(workspace, task_id)
        return changes.move(
            task_id, Status.WAITING, actor=Actor.PERSON, why="answered",
            answers=(*entry.task.answers, text), block=None, hold=None,
            forgiven=entry.task.attempt, claim=None,
        )


def widen(workspace: Workspace, task_id: str, patterns: Sequence[str]) -> Task:
    """Add *patterns* to a blocked task's write scope.

    Where its last attempt's work is kept, that result goes on to merging once the wider scope is
    free; else the task is attempted again.
    """
    parsed = parse_all(patterns)
    with workspace.ledger.transaction(_BY) as changes:
        entry = _blocked(workspace, task_id)
        spec = _wider(entry.task.spec, [pattern.text for pattern in parsed])
        parse_all(spec.write)
        accepted = _kept_result(workspace, entry.task)
        return changes.move(
            task_id, Status.WAITING, actor=Actor.PERSON, why="widened", spec=spec,
            spec_sha256=spec.digest(), accepted=accepted, block=None, hold=None, claim=None,
        )


def _wider(spec: TaskSpec, patterns: list[str]) -> TaskSpec:
    new = [text for text in patterns if text not in spec.write]
    return spec.but(write=(*spec.write, *new))


def _kept_result(workspace: Workspace, task: Task) -> Accepted | None:
    """Return the last attempt's kept work as something to land, where the worker was finished."""
    result = workspace.ledger.result(task.id, task.attempt)
    head = kept_head(workspace, task.id, task.attempt)
    if result is None or result.base is None or head is None or head == result.base:
        return None
    return Accepted(attempt=task.attempt, head=head, base=result.base)


def accept(workspace: Workspace, task_id: str, *, waive: Sequence[str] = ()) -> Task:
    """Let a blocked task's result go on to merging without another attempt.

    What was mended by hand in the worktree of `open` is taken as the result. Scope check,
    verification, merge and gate are done as ever, but for the checks in *waive*; accepting a task
    that changed nothing waives just that.
    """
    entry = _blocked(workspace, task_id)
    task = entry.task
    accepted = _mended(workspace, task) or _kept_result(workspace, task)
    if accepted is None:
        accepted = _nothing_changed(workspace, task)
    accepted = accepted.but(waive=(*accepted.waive, *waive))
    with workspace.ledger.transaction(_BY) as changes:
        _blocked(workspace, task_id)
        return changes.move(
            task_id, Status.WAITING, actor=Actor.PERSON, why="accepted", accepted=accepted,
            block=None, hold=None, claim=None,
        )


def _nothing_changed(workspace: Workspace, task: Task) -> Accepted:
    result = workspace.ledger.result(task.id, task.attempt) if task.attempt else None
    code = task.block.code if task.block else ""
    if result is None or result.base is None or code not in {"no_change", "read_only_violation"}:
        raise NotFoundError(
            f"{task.id} has no result to accept", hint=f"wfledger retry {task.id}", task=task.id
        )
    return Accepted(
        attempt=task.attempt, head=result.base, base=result.base, waive=("no_change",)
    )


def open_name(task: Task) -> str:
    """Return the name of the worktree that `open` makes of a task's last attempt."""
    return f"{task.id}.{task.attempt}.open"


def _mended(workspace: Workspace, task: Task) -> Accepted | None:
    place = worktrees.find(workspace, open_name(task))
    result = workspace.ledger.result(task.id, task.attempt) if task.attempt else None
    if place is None or not place.folder.exists() or result is None or result.base is None:
        return None
    kept = keep(workspace, place, task_id=task.id, attempt=task.attempt)
    worktrees.discard(workspace, place)
    base = _base_of(workspace, result.base, kept.head, task)
    return Accepted(attempt=task.attempt, head=kept.head, base=base)


def _base_of(workspace: Workspace, base: str, head: str, task: Task) -> str:
    """Return what a mended result is to be compared with.

    Where a person merged the run's branch in to resolve a conflict, that is the merged tip: what
    came from there is not the task's change.
    """
    tip = workspace.repo.tip(workspace.ledger.run(task.run).branch)
    if tip is not None and workspace.repo.is_ancestor(tip, head):
        return tip
    return base


def open_worktree(workspace: Workspace, task_id: str) -> worktrees.Place:
    """Return a worktree with the task's kept work, to look at and to mend; made once.

    `accept` takes what is in it.
    """
    task = workspace.ledger.get(task_id).task
    name = open_name(task)
    place = worktrees.find(workspace, name)
    if place is not None and place.folder.exists():
        return place
    head = kept_head(workspace, task_id, task.attempt)
    if head is None:
        raise NotFoundError(
            f"{task_id} has no kept work", hint=f"wfledger why {task_id}", task=task_id
        )
    return worktrees.make(workspace, name, base=head, branch=None, purpose="open")


def cancel(workspace: Workspace, task_id: str, *, reason: str = "") -> Task:
    """Give a task up. One that is worked on is stopped first, its work kept.

    Raises `TransitionError` for one that is done, or that turns out to have landed.
    """
    from wfledger.run.landing import cancel_merging

    entry = workspace.ledger.get(task_id)
    if entry.status is Status.IN_PROGRESS:
        stop(workspace, task_id, reason=reason or "cancelled")
    if entry.status is Status.MERGING:
        return cancel_merging(workspace, task_id, by=_BY, why=reason or "cancelled")
    with workspace.ledger.transaction(_BY) as changes:
        entry = workspace.ledger.get(task_id)
        if entry.status is Status.CANCELLED:
            return entry.task
        return changes.move(
            task_id, Status.CANCELLED, actor=Actor.PERSON, why=reason or "cancelled", block=None,
            hold=None,
        )
