"""The end of an attempt, in one transaction: the result first, then the task moves.

Runtime, command line and recovery all end attempts here, so there is one fence and one place that
decides what follows.
"""

from wfledger.core import outcome
from wfledger.core.documents import Attempt, Failure, Hold, Result, Task
from wfledger.core.states import LANDING
from wfledger.core.statuses import Actor, Status
from wfledger.errors import StaleError
from wfledger.run import phases
from wfledger.run.claims import closed
from wfledger.run.requests import is_given_up
from wfledger.run.workspace import Workspace
from wfledger.store.transaction import Transaction


def failure(failure_class: str, message: str) -> Failure:
    """Return a failure of a class, with the source that it is counted under."""
    source = outcome.SOURCES.get(failure_class, "task")
    return Failure(failure_class=failure_class, source=source, message=message[:1000])


def close(
    workspace: Workspace, result: Result, *, by: str, actor: Actor = Actor.WORKER,
    left: bool = False,
) -> Task:  # fmt: skip
    """End the present attempt of a task with *result*; returns the task as it is then.

    *left*: the runtime went away and gives the task back, which says nothing about the task.
    Raises `StaleError` when the attempt is over already: a zombie changes nothing.
    """
    ended = _close(workspace, result, by=by, actor=actor, left=left)
    # Its landing may have begun already, and says so in the same place.
    phases.forget(workspace, result.task, result.attempt, unless=LANDING)
    return ended


def _close(
    workspace: Workspace, result: Result, *, by: str, actor: Actor, left: bool
) -> Task:
    now = workspace.clock.now()
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
        changes.put_result(result)
        if result.failure is None:
            done = closed(workspace, task, "succeeded", result.summary, kept=result.head)
            return changes.move(
                task.id, Status.MERGING, actor=actor, why="the worker is finished",
                attempts=(*task.attempts, done), hold=None,
            )
        if left:
            return _give_back(workspace, changes, task, result)
        ended = _ended(workspace, task, result, result.failure)
        if _is_given_up(workspace, result):
            return changes.move(
                task.id, Status.CANCELLED, actor=Actor.PERSON, why=result.failure.message,
                attempts=ended, claim=None, hold=None,
            )
        counted = task.but(attempts=ended)
        following = outcome.after_failure(
            counted, result.failure.failure_class, result.failure.message, now=now
        )
        return changes.move(
            task.id, following.status, actor=actor, why=result.failure.failure_class,
            attempts=ended, claim=None, hold=following.hold, block=following.block,
        )


def _is_given_up(workspace: Workspace, result: Result) -> bool:
    """Whether it was stopped by a person who cancels the task."""
    why = result.failure
    if why is None or why.failure_class != "stopped":
        return False
    return is_given_up(workspace, result.task, result.attempt)


def _give_back(
    workspace: Workspace, changes: Transaction, task: Task, result: Result
) -> Task:
    reason = result.failure.message if result.failure else ""
    kept = result.head if result.head != result.base else None
    attempt = closed(workspace, task, "released", reason, kept=kept)
    return changes.move(
        task.id, Status.WAITING, actor=Actor.WORKER, why="its runtime left", claim=None,
        attempts=(*task.attempts, attempt), hold=Hold(code="released", reason=reason),
    )


def _ended(
    workspace: Workspace, task: Task, result: Result, why: Failure
) -> tuple[Attempt, ...]:
    kept = result.head if result.head != result.base else None
    attempt = closed(workspace, task, why.failure_class, why.message, kept=kept)
    return (*task.attempts, attempt)
