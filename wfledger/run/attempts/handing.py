"""Handing in by whoever drives himself: a worktree at the claim, then complete or fail.

The same fence, the same keeping and the same landing as for attempts of the runtime; the caller is
told every reason at once (spec 60, "Handing in").
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from wfledger.core.documents import Failure, Result, Task
from wfledger.errors import EnvironmentFailedError, StaleError, WfledgerError
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.attempt import clear_if_able
from wfledger.run.attempts.claims import Claim, held_entry, release
from wfledger.run.attempts.closing import as_said, close, failure
from wfledger.run.attempts.envelope import parse_envelope
from wfledger.run.attempts.keeping import keep, keep_late, keep_what_is_left, with_kept
from wfledger.run.attempts.preparation import PreparationFailed
from wfledger.run.attempts.ready import make_ready
from wfledger.run.attempts.tenure import Tenure
from wfledger.run.guard import fingerprints
from wfledger.run.merger.landing import Landing, land_task
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry

_BY = "worker"


def give_worktree(workspace: Workspace, claimed: Claim) -> worktrees.Place:
    """Make the worktree of a claim and prepare it.

    Raises `EnvironmentFailedError`; the attempt is over then, for nobody knows its token.
    """
    try:
        return _prepared(workspace, claimed)
    except (WfledgerError, OSError) as error:
        said = failure("environment", str(error))
        result = Result(
            task=claimed.task.id, attempt=claimed.attempt, status="failed", failure=said
        )
        close(workspace, result, by=_BY)
        if isinstance(error, WfledgerError):
            raise
        raise EnvironmentFailedError(str(error)) from error


def _prepared(workspace: Workspace, claimed: Claim) -> worktrees.Place:
    task = claimed.task
    place = worktrees.make_for(workspace, task, claimed.attempt)
    log = workspace.ledger.layout.local / "logs" / f"{place.name}.setup.log"
    ready = make_ready(workspace, place, log=log, stop=threading.Event())
    if isinstance(ready, PreparationFailed):
        raise EnvironmentFailedError(f"the worktree could not be prepared: {ready.message}")
    return worktrees.excluding(workspace, place, ready.excluded)


def give_back(
    workspace: Workspace, task_id: str, token: str | None, *, reason: str = ""
) -> Task:
    """Give a claimed task back; what is in its worktree is kept."""
    entry = held(workspace, task_id, token)
    given = Result(
        task=task_id, attempt=entry.task.attempt, status="failed",
        failure=failure("stopped", reason or "released"),
    )
    with _ending(workspace, task_id, token) as cleared:
        result, place = with_work(workspace, entry.task, given)
        task = release(workspace, task_id, token, reason=reason, result=result)
        cleared.append(place)
    return task


@dataclass(frozen=True)
class Handed:
    """What became of a completed attempt; *landing* is None while it is queued."""

    task: Task
    landing: Landing | None
    #: Why the envelope says that the attempt failed.
    failure: Failure | None = None


@dataclass(frozen=True)
class Foreground:
    """How somebody waits for a check or a landing: what he is told, and how he stops it."""

    report: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)


def complete(
    workspace: Workspace, task_id: str, token: str | None, *, envelope: bytes | None,
    landing: Foreground | None,
) -> Handed:
    """Hand in an attempt as finished and land it; without *landing* it is only queued.

    Raises `StaleError` for a zombie, `InvalidDocumentError` for a bad envelope; both change
    nothing.
    """
    entry = held(workspace, task_id, token)
    result = as_given(entry.task, envelope)
    with _ending(workspace, task_id, token) as cleared:
        result, place = with_work(workspace, entry.task, result)
        task = close(workspace, result, by=_BY)
        cleared.append(place)
    if landing is None or result.failure is not None:
        return Handed(task, None, result.failure)
    landed = land_task(
        workspace, task_id, owner=_BY, stop=landing.stop, report=landing.report,
        wait_for_target=60.0,
    )
    return Handed(workspace.ledger.get(task_id).task, landed)


def as_given(task: Task, envelope: bytes | None) -> Result:
    """Return what the worker says of the present attempt; raises `InvalidDocumentError`."""
    if envelope is None:
        return Result(task=task.id, attempt=task.attempt, status="succeeded")
    return as_said(parse_envelope(envelope, task_id=task.id, attempt=task.attempt))


def fail(
    workspace: Workspace, task_id: str, token: str | None, *, kind: str, reason: str
) -> Task:
    """Hand in an attempt as failed; its work is kept."""
    entry = held(workspace, task_id, token)
    why: Failure = failure(kind, reason)
    result = Result(
        task=task_id, attempt=entry.task.attempt, failure=why,
        status="blocked" if kind == "question" else "failed",
    )
    with _ending(workspace, task_id, token) as cleared:
        result, place = with_work(workspace, entry.task, result)
        task = close(workspace, result, by=_BY)
        cleared.append(place)
    return task


def held(workspace: Workspace, task_id: str, token: str | None) -> Entry:
    """Return the task if the bearer of *token* holds it; a zombie's work is kept, and he is told.

    It is that of his own attempt alone; nobody else's is touched (WFL-CLAIM-024).
    """
    try:
        return held_entry(workspace, task_id, token)
    except StaleError as error:
        yours = int(error.facts.get("yours", 0))
        name = workspace.ledger.layout.attempt_name(task_id, yours)
        place = worktrees.find(workspace, name) if yours else None
        if place is None:
            raise
        with suppress(WfledgerError):  # gone, or not to be kept: then it stays where it is
            kept = keep_late(workspace, place, task_id=task_id, attempt=yours)
            if kept.late is not None:
                error.message += f"; what you did since is kept as {kept.late}"
                error.facts["kept"] = kept.late
        raise


@contextmanager
def _ending(
    workspace: Workspace, task_id: str, token: str | None
) -> Iterator[list[worktrees.Place | None]]:
    """End an attempt in the block, and clear away the worktrees that it puts into the list.

    Where it was taken over meanwhile, that is said as if it had been before.
    """
    cleared: list[worktrees.Place | None] = []
    try:
        yield cleared
    except StaleError:
        held(workspace, task_id, token)
        raise
    for place in filter(None, cleared):
        clear_if_able(workspace, place)


def with_work(
    workspace: Workspace, task: Task, result: Result
) -> tuple[Result, worktrees.Place | None]:
    """Keep what is in the attempt's worktree, if it was given one; it may be done again.

    Nothing succeeds in a worktree that is gone; what was committed there is kept all the same.
    """
    name = workspace.ledger.layout.attempt_name(task.id, task.attempt)
    fingerprints.end(workspace, task.id)
    place = worktrees.find(workspace, name)
    if place is None:
        base = workspace.repo.tip(workspace.ledger.run(task.run).branch)
        return result.but(base=base, head=base), None
    keep_it = keep_what_is_left if result.failure is not None else keep
    try:
        tenure = Tenure(workspace, task.id, task.attempt)
        kept = keep_it(
            workspace, place, task_id=task.id, attempt=task.attempt, is_over=tenure.is_over
        )
    except WfledgerError as error:
        raise EnvironmentFailedError(
            f"the work cannot be kept: {error.message}; nothing was handed in",
            hint="mend the worktree and hand in again", path=place.path,
        ) from error
    return with_kept(workspace, task, result, kept), place
