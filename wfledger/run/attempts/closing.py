"""The end of an attempt, in one transaction: the result first, then the task moves.

Runtime, command line and recovery all end attempts here, so there is one fence and one place that
decides what follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.documents import Attempt, Failure, Hold, Result, Task
from wfledger.core.states import LANDING
from wfledger.core.statuses import Actor, Status
from wfledger.errors import StaleError, WfledgerError
from wfledger.run.attempts import phases
from wfledger.run.attempts.requests import is_given_up
from wfledger.run.attempts.synthesis import with_synthesis
from wfledger.run.money import meters, spending
from wfledger.run.money.caps import Caps
from wfledger.run.reuse.keying import Keyer
from wfledger.run.workspace import Workspace


def failure(failure_class: str, message: str) -> Failure:
    """Return a failure of a class, with the source that it is counted under.

    A rate limit or an overload that nothing helped against is `transport`.
    """
    failure_class = outcome.PASSING.get(failure_class, failure_class)
    source = outcome.SOURCES.get(failure_class, "task")
    return Failure(failure_class=failure_class, source=source, message=message[:1000])


def closed(
    workspace: Workspace, task: Task, how: str, message: str, *, kept: str | None = None
) -> Attempt:
    """Return the record of the present attempt of *task*, which ends now: *how* is its outcome."""
    record = workspace.ledger.claim_record(task.id, task.attempt)
    worker = record.worker if record else (task.claim.worker if task.claim else "unknown")
    since = task.claim.since if task.claim else None
    return Attempt(
        number=task.attempt, worker=worker, outcome=how, message=message[:500],
        started=since, ended=iso(workspace.clock.now()), kept=kept,
    )


def as_said(result: Result) -> Result:
    """Return a worker's envelope with the failure that its status stands for."""
    if result.status == "blocked":
        text = "; ".join(result.open_questions) or result.summary or "a question"
        return result.but(failure=failure("question", text))
    if result.status == "failed" and result.failure is None:
        return result.but(failure=failure("task", result.summary or "failed"))
    return result


def close(
    workspace: Workspace, result: Result, *, by: str, actor: Actor = Actor.WORKER,
    left: bool = False,
) -> Task:  # fmt: skip
    """End the present attempt of a task with *result*; returns the task as it is then.

    *left*: the runtime went away and gives the task back, which says nothing about the task.
    Raises `StaleError` when the attempt is over already: a zombie changes nothing.
    """
    ended = _close(workspace, _keyed(workspace, result), by=by, actor=actor, left=left)
    # Its landing may have begun already, and says so in the same place.
    phases.forget(workspace, result.task, result.attempt, unless=LANDING)
    meters.forget(
        meters.path_of(workspace.ledger.layout.local, result.task, result.attempt)
    )
    return ended


def _keyed(workspace: Workspace, result: Result) -> Result:
    """Return *result* with the key of its task, where nobody has said it yet (WFL-REUSE-001)."""
    entry = workspace.ledger.find(result.task) if result.key is None else None
    if entry is None:
        return result
    task = entry.task
    key = Keyer(workspace).key(task, missing=task.missing, started=result.base)
    return result.but(key=key)


def _close(
    workspace: Workspace, result: Result, *, by: str, actor: Actor, left: bool
) -> Task:
    with workspace.ledger.transaction(by) as changes:
        entry = changes.get(result.task)
        task = entry.task
        if entry.status is not Status.IN_PROGRESS or task.attempt != result.attempt:
            raise StaleError(
                f"attempt {result.attempt} of {task.id} is over: the task is "
                f"{entry.status.value}, attempt {task.attempt}",
                hint=f"wfledger why {task.id}",
                task=task.id,
            )
        result = spending.note(workspace, task, with_synthesis(workspace, task, result))
        changes.put_result(result)
        end = ending(workspace, task, result, actor=actor, left=left)
        return changes.move(task.id, end.status, actor=end.actor, why=end.why, **end.changes)


@dataclass(frozen=True)
class Ending:
    """Where the end of an attempt leads, who may move the task there, and what it says then."""

    status: Status
    actor: Actor
    why: str
    changes: Mapping[str, Any]


def ending(
    workspace: Workspace, task: Task, result: Result, *, actor: Actor = Actor.WORKER,
    left: bool = False,
) -> Ending:  # fmt: skip
    """Return what the end of the present attempt of *task* with *result* leads to."""
    why = result.failure
    if why is None:
        done = closed(workspace, task, "succeeded", result.summary, kept=result.head)
        said = {"attempts": (*task.attempts, done), "hold": None}
        return Ending(Status.MERGING, actor, "the worker is finished", said)
    if left:
        return released(workspace, task, result, why="its runtime left")
    ended = _ended(workspace, task, result, why)
    over: dict[str, Any] = {"attempts": ended, "claim": None}
    if _is_given_up(workspace, result):
        return Ending(Status.CANCELLED, Actor.PERSON, why.message, {**over, "hold": None})
    following = outcome.after_failure(
        task.but(attempts=ended), why.failure_class, why.message, now=workspace.clock.now()
    )
    if why.failure_class == "budget" and following.block is not None:
        following = _capped(workspace, task, result, following)
    over |= {"hold": following.hold, "block": following.block}
    return Ending(following.status, actor, why.failure_class, over)


def _capped(
    workspace: Workspace, task: Task, result: Result, following: outcome.Next
) -> outcome.Next:
    """Return what follows a budget that is used up: whose it is decides (WFL-MONEY-015)."""
    caps = Caps(workspace)
    cap = caps.of(task)
    if cap is None and result.route is not None and result.route.provider is not None:
        try:
            provider = workspace.fleet().provider(result.route.provider)
        except WfledgerError:  # it cannot be read now; the attempt has to end all the same
            provider = None
        cap = caps.of_provider(provider) if provider is not None else None
    if cap is None or following.block is None:
        return following
    if cap.is_of_task:
        return replace(following, block=following.block.but(command=cap.command))
    return outcome.Next(Status.WAITING, hold=Hold(code="budget", reason=cap.reason))


def _is_given_up(workspace: Workspace, result: Result) -> bool:
    """Whether it was stopped by a person who cancels the task."""
    why = result.failure
    if why is None or why.failure_class != "stopped":
        return False
    return is_given_up(workspace, result.task, result.attempt)


def released(workspace: Workspace, task: Task, result: Result, *, why: str) -> Ending:
    """Return what giving the present attempt back leads to; it counts as no failure."""
    reason = result.failure.message if result.failure else ""
    kept = result.head if result.head != result.base else None
    attempt = closed(workspace, task, "released", reason, kept=kept)
    said = {
        "attempts": (*task.attempts, attempt), "claim": None,
        "hold": Hold(code="released", reason=reason),
    }
    return Ending(Status.WAITING, Actor.WORKER, why, said)


def _ended(
    workspace: Workspace, task: Task, result: Result, why: Failure
) -> tuple[Attempt, ...]:
    kept = result.head if result.head != result.base else None
    attempt = closed(workspace, task, why.failure_class, why.message, kept=kept)
    return (*task.attempts, attempt)
