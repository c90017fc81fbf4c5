"""What people decide: retry, answer, widen, accept, cancel.

Each lifts a block or ends a task, along an arrow of the table that says person. A changed spec is a
new frozen spec: its digest goes into the history with the reason (WFL-TASK-011).
"""

from collections.abc import Sequence
from typing import Any, Final

from wfledger.core.documents import Accepted, Result, Task, TaskSpec
from wfledger.core.scopes import parse_all
from wfledger.core.statuses import Actor, Status
from wfledger.errors import BusyError, NotFoundError, TransitionError, UsageError
from wfledger.plans.budgets import Allowance
from wfledger.run.attempts import elsewhere, mending, worktrees
from wfledger.run.attempts.keeping import fetched_head
from wfledger.run.attempts.stopping import stop
from wfledger.run.byhand.submitted import submitted_spec
from wfledger.run.controllers import lifting
from wfledger.run.controllers.lifting import retried
from wfledger.run.looks.changed import attempt_with_work
from wfledger.run.merger.approving import VERDICTS, give_verdict, is_asked
from wfledger.run.money.raising import with_more
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.store.transaction import Transaction

_BY: Final = "person"
#: Where failures come from that say nothing against the worker having finished.
_AFTER_WORK: Final = frozenset({"verification", "merge"})
#: Moves of others that a cancel follows before it gives up.
_CHASES: Final = 5


def _blocked(workspace: Workspace, task_id: str) -> Entry:
    entry = workspace.ledger.get(task_id)
    if entry.status is not Status.BLOCKED:
        raise TransitionError(
            f"{task_id} is {entry.status.value}, not blocked",
            hint=f"wfledger why {task_id}", task=task_id, status=entry.status.value,
        )
    return entry


def _lift(changes: Transaction, task_id: str, *, why: str, **values: Any) -> Task:
    """Move a blocked task to waiting/ as a person decided."""
    return changes.move(
        task_id, Status.WAITING, actor=Actor.PERSON, why=why, block=None, hold=None, claim=None,
        **values,
    )


def retry(
    workspace: Workspace, task_id: str, *, edited: bool = False, more: Allowance | None = None
) -> Task:
    """Let a blocked task be attempted again from the start; earlier failures are forgiven.

    *edited* accepts what somebody changed in its file; else what was submitted is put back, with
    *more* in its budget.
    """
    if edited:
        return _retry_edited(workspace, task_id)
    spec = submitted_spec(workspace, _blocked(workspace, task_id).task)
    if more is not None:
        spec = with_more(spec, more)
    with workspace.ledger.transaction(_BY) as changes:
        task = _blocked(workspace, task_id).task
        return _lift(
            changes, task_id, why="retry", spec=spec, spec_sha256=spec.digest(), accepted=None,
            forgiven=task.attempt, **retried(workspace, task, has_more=more is not None),
        )


def _retry_edited(workspace: Workspace, task_id: str) -> Task:
    """Make the spec that stands in the file the one that counts (WFL-TASK-010)."""
    with workspace.ledger.transaction(_BY) as changes:
        task = _blocked(workspace, task_id).task
        spec = task.spec
        if spec.digest() == task.spec_sha256:
            raise UsageError(
                f"the spec of {task_id} is what was submitted; nothing was edited",
                hint=f"wfledger retry {task_id}",
            )
        parse_all(spec.write)
        return _lift(
            changes, task_id, why="retry as edited", spec_sha256=spec.digest(), accepted=None,
            forgiven=task.attempt,
        )


def answer(
    workspace: Workspace, task_id: str, text: str, *, who: str = _BY, reason: str = ""
) -> Task:
    """Answer a blocked task's question; the next attempt is given the answer.

    Of a result that waits for a verdict it is that of *who*: yes, or no with a *reason*.
    """
    if is_asked(_blocked(workspace, task_id).task):
        verdict = VERDICTS.get(text)
        if verdict is not None:
            return give_verdict(workspace, task_id, verdict, who=who, reason=reason)
        raise UsageError(
            f"{task_id} waits for a verdict on its result: yes or no",
            hint=f"wfledger answer {task_id} yes",
        )
    if reason and text == "no" and _blocked(workspace, task_id).task.spec.control is not None:
        text, reason = f"no: {reason}", ""
    if reason:
        raise UsageError("a reason belongs to a no; an answer stands for itself")
    if not text.strip():
        raise UsageError("an answer says something")
    task = _blocked(workspace, task_id).task
    if task.block is not None and task.block.code in lifting.ASKS_NOTHING:
        raise UsageError(f"{task_id} asks nothing", hint=task.block.command)
    spec = submitted_spec(workspace, task)
    with workspace.ledger.transaction(_BY) as changes:
        entry = _blocked(workspace, task_id)
        return _lift(
            changes, task_id, why="answered", spec=spec, accepted=None,
            answers=(*entry.task.answers, text), forgiven=entry.task.attempt,
        )


def widen(workspace: Workspace, task_id: str, patterns: Sequence[str]) -> Task:
    """Add *patterns* to a blocked task's write scope.

    Where its worker was finished and changed something, that result goes on to merging once the
    wider scope is free; else the task is attempted again.
    """
    parsed = parse_all(patterns)
    entry = _blocked(workspace, task_id)
    spec = _wider(
        submitted_spec(workspace, entry.task), [pattern.text for pattern in parsed]
    )
    parse_all(spec.write)
    accepted = _finished_work(workspace, entry.task)
    values: dict[str, Any] = {"accepted": accepted}
    if accepted is None:
        values["forgiven"] = entry.task.attempt
    with workspace.ledger.transaction(_BY) as changes:
        _unchanged(workspace, entry)
        return _lift(
            changes, task_id, why="widened", spec=spec, spec_sha256=spec.digest(), **values
        )


def _unchanged(workspace: Workspace, entry: Entry) -> None:
    """Check under the lock that the blocked task is as it was when it was looked at."""
    if _blocked(workspace, entry.task.id).task.seq != entry.task.seq:
        raise BusyError(f"{entry.task.id} was changed meanwhile", hint="look again")


def _wider(spec: TaskSpec, patterns: list[str]) -> TaskSpec:
    new = [text for text in patterns if text not in spec.write]
    return spec.but(write=(*spec.write, *new))


def _finished_work(workspace: Workspace, task: Task) -> Accepted | None:
    """Return what the last attempt changed as something to land, if its worker was finished."""
    attempt = attempt_with_work(task)
    result = workspace.ledger.result(task.id, attempt) if attempt else None
    head = fetched_head(workspace, task.id, attempt)
    if result is None or result.base is None or head is None or head == result.base:
        return None
    if not _was_finished(result):
        return None
    base = mending.base_of(workspace, result.base, head, task)
    return Accepted(attempt=attempt, head=head, base=base)


def _was_finished(result: Result) -> bool:
    why = result.failure
    return why is None or why.source in _AFTER_WORK or why.failure_class == "no_change"


def accept(workspace: Workspace, task_id: str, *, waive: Sequence[str] = ()) -> Task:
    """Let a blocked task's result go on to merging without another attempt.

    What was mended by hand in the worktree of `open` is taken as the result. Scope check,
    verification, merge and gate are done as ever, but for the checks in *waive*; accepting a task
    that changed nothing waives just that. Of a task without a write scope nothing but its report
    is taken; a controller goes on with what there is, unless what it chose was refused at landing.
    Raises `UsageError` while conflicts are left in that worktree.
    """
    entry = _blocked(workspace, task_id)
    task = entry.task
    spec = submitted_spec(workspace, task)
    if spec.control is not None and not lifting.has_result(task):
        with workspace.ledger.transaction(_BY) as changes:
            _unchanged(workspace, entry)
            return _lift(changes, task_id, why="accepted", spec=spec, **lifting.accepted(task))
    place = mending.opened(workspace, task) if spec.writes else None
    if is_asked(task) and place is None and "verification" not in waive:
        raise UsageError(
            f"{task_id} waits for a verdict, not for another landing",
            hint=f"wfledger answer {task_id} yes",
        )
    accepted = mending.take(workspace, place, task) if place is not None else None
    accepted = accepted or _to_accept(workspace, task, spec)
    unheard = task.block.facts.get("unheard", []) if task.block else []
    accepted = accepted.but(
        waive=tuple(dict.fromkeys((*accepted.waive, *waive))), unheard=tuple(unheard)
    )
    with workspace.ledger.transaction(_BY) as changes:
        _unchanged(workspace, entry)
        done = _lift(changes, task_id, why="accepted", spec=spec, accepted=accepted)
    if place is not None:
        worktrees.discard(workspace, place)
    return done


def _to_accept(workspace: Workspace, task: Task, spec: TaskSpec) -> Accepted:
    """Return what the last attempt left, as it is."""
    attempt = attempt_with_work(task)
    result = workspace.ledger.result(task.id, attempt) if attempt else None
    base = result.base if result is not None else None
    if result is None or base is None:
        raise _no_result(task)
    head = fetched_head(workspace, task.id, attempt) or base
    if spec.writes and head != base:
        based = mending.base_of(workspace, base, head, task)
        return Accepted(attempt=attempt, head=head, base=based)
    if not _was_finished(result):
        raise _no_result(task)
    return Accepted(attempt=attempt, head=base, base=base, waive=("no_change",))


def _no_result(task: Task) -> NotFoundError:
    return NotFoundError(
        f"{task.id} has no result to accept", hint=f"wfledger retry {task.id}", task=task.id
    )


def cancel(workspace: Workspace, task_id: str, *, reason: str = "") -> Task:
    """Give a task up. One that is worked on here is stopped first, its work kept.

    Another machine stops it when it hears of that.

    Raises `TransitionError` for one that is done, or that turns out to have landed.
    """
    from wfledger.run.merger.landing import cancel_merging

    for _ in range(_CHASES):
        entry = workspace.ledger.get(task_id)
        status = entry.status
        if elsewhere.is_of_another(workspace, entry):
            given_up = elsewhere.cancel(workspace, task_id, reason=reason or "cancelled")
            if given_up is not None:
                return given_up
            continue
        if status is Status.MERGING:
            return cancel_merging(workspace, task_id, by=_BY, why=reason or "cancelled")
        if status is Status.IN_PROGRESS:
            _stop(workspace, task_id, reason or "cancelled")
            continue
        done = _cancel_idle(workspace, task_id, reason)
        if done is not None:
            return done
    raise BusyError(f"{task_id} does not stand still", hint="try again")


def _stop(workspace: Workspace, task_id: str, reason: str) -> None:
    try:
        stop(workspace, task_id, reason=reason, cancel=True)
    except TransitionError:
        return  # its attempt ended by itself meanwhile


def _cancel_idle(workspace: Workspace, task_id: str, reason: str) -> Task | None:
    """Cancel a task that nobody works on; None when somebody does by now."""
    with workspace.ledger.transaction(_BY) as changes:
        entry = workspace.ledger.get(task_id)
        if entry.status is Status.CANCELLED:
            return entry.task
        if entry.status in {Status.IN_PROGRESS, Status.MERGING}:
            return None
        return changes.move(
            task_id, Status.CANCELLED, actor=Actor.PERSON, why=reason or "cancelled", block=None,
            hold=None,
        )
