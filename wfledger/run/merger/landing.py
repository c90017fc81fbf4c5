"""Landing: what a task has made comes onto its run's branch, whole and proved, or not at all.

The protocol is spec 70. One lander at a time works on a target; what correctness rests on is the
compare-and-swap of the ref and the fence in the ledger.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.documents import Landed, Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.states import State
from wfledger.core.statuses import Actor, Status
from wfledger.errors import (
    BusyError,
    EnvironmentFailedError,
    PausedError,
    StaleError,
    TransitionError,
)
from wfledger.run.attempts import phases
from wfledger.run.beating import Heart, signed_by
from wfledger.run.guard import fingerprints
from wfledger.run.liveness import look_for_stopped
from wfledger.run.merger import chains, targets
from wfledger.run.merger.cleanroom import Report
from wfledger.run.merger.lander import Lander
from wfledger.run.merger.merging import (
    BACKOFF_MAX_S,
    Blocked,
    Deferred,
    Done,
    Errand,
    Landing,
    Retried,
    drop_intent,
    finish,
    lease,
)
from wfledger.run.merger.scopecheck import subject_of
from wfledger.run.merger.verifiers import have_spoken
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.store.locks import LiveLock

__all__ = [
    "Blocked", "Deferred", "Done", "Landing", "Retried", "cancel_merging", "is_landable",
    "land_task",
]  # fmt: skip

#: Seconds that a cancel waits for a landing that is between intent and swap.
CANCEL_WAIT_S: Final = 30.0


def _silent(_: str) -> None:
    """Report nothing."""


def is_landable(workspace: Workspace, task: Task, *, now: datetime) -> bool:
    """Whether a task in merging/ is due: nothing put its last landing off, and no verdict is out.

    What waits for verifiers is due as soon as each of them has come to an end. What another machine
    lands, and what waits for the remote, is not.
    """
    if not chains.is_due_here(workspace, task):
        return False
    if task.hold is not None and task.hold.code == "verifier":
        return have_spoken(workspace, task.hold.on)
    return outcome.is_due(task.hold, now=now, longest_s=BACKOFF_MAX_S)


def land_task(
    workspace: Workspace,
    task_id: str,
    *,
    owner: str,
    stop: threading.Event,
    report: Report = _silent,
    wait_for_target: float = 0.0,
) -> Landing:
    """Land the task *task_id*, which is in merging/; durable on return.

    Waits at most *wait_for_target* seconds for another landing on the same branch. *stop* ends
    verification and gate; the task then stays where it is. Where somebody else has landed or
    refused it already, that is returned. Raises `StaleError` when the task is elsewhere, or was
    taken away meanwhile.
    """
    with workspace.ledger.transaction(f"merger:{owner}") as changes:
        entry = changes.get(task_id)  # what somebody who died began with it is finished by now
    over = _outcome_of(entry) or _elsewhere(workspace, entry)
    if over is not None:
        return over
    if entry.status is not Status.MERGING:
        raise StaleError(
            f"{task_id} is {entry.status.value}; there is nothing to land",
            task=task_id, status=entry.status.value,
        )  # fmt: skip
    alarm = fingerprints.check(workspace)
    if alarm is not None:  # nobody has agreed to what a check or the gate would run in
        return Deferred(f"nothing lands: {alarm.reason}; {alarm.command}")
    if _is_not_taken_in(workspace, entry.task):
        return Deferred("it was handed in by files, which the next step of a scheduler takes in")
    branch = workspace.ledger.run(entry.task.run).branch
    try:
        with (
            targets.hold_target(
                workspace, branch, wait_s=wait_for_target, stop=stop
            ) as heart,
            _alive(workspace, entry.task, heart),
        ):
            said = "checks its result"
            phases.note(workspace, task_id, entry.task.attempt, State.MERGING, text=said)
            taken = _take_up(workspace, task_id, owner)
            return Lander(taken, stop, report).land() if isinstance(taken, Errand) else taken
    except (BusyError, EnvironmentFailedError, PausedError, OSError) as error:
        return Deferred(str(error))


def _elsewhere(workspace: Workspace, entry: Entry) -> Deferred | None:
    """Return why a task in merging/ is not landed by us: another machine does, or has to agree."""
    task = entry.task
    if entry.status is not Status.MERGING or chains.is_due_here(workspace, task):
        return None
    if is_elsewhere(task, workspace.machine.id):
        return Deferred("another machine lands it")
    return Deferred(chains.waiting_hold(workspace).reason, handed_over=True)


def _is_not_taken_in(workspace: Workspace, task: Task) -> bool:
    """Whether a claimant moved it here and nobody has looked at what he handed in."""
    is_over = any(attempt.number == task.attempt for attempt in task.attempts)
    is_claimed = workspace.ledger.is_claimed(task.id, task.attempt)
    return is_claimed and not is_over and task.accepted is None


def _take_up(workspace: Workspace, task_id: str, owner: str) -> Errand | Landing:
    """Lease the task, or return what became of it while we waited for the target."""
    try:
        return lease(workspace, task_id, owner=owner)
    except StaleError:
        over = _outcome_of(workspace.ledger.get(task_id))
        if over is None:
            raise
        return over


def _outcome_of(entry: Entry) -> Landing | None:
    """Return what a landing that is over has come to."""
    landed, block = entry.task.landed, entry.task.block
    if entry.status is Status.DONE and landed is not None:
        return Done(landed.how, landed.commit)
    if entry.status is Status.BLOCKED and block is not None:
        return Blocked(block.code, block.reason, block.command, block.facts)
    return None


@contextmanager
def _alive(workspace: Workspace, task: Task, heart: Heart) -> Iterator[None]:
    """Say to everybody on this machine that the task is being merged (WFL-LAND-020)."""
    path = workspace.ledger.layout.merge(task.id, task.attempt)
    lock = _merge_lock(workspace, path)
    heart.sign(lock)
    try:
        yield
    finally:
        if lock.is_at(path):  # else another has taken over meanwhile, and it is his
            phases.forget(workspace, task.id, task.attempt)
            path.unlink(missing_ok=True)
        lock.release()


def _merge_lock(workspace: Workspace, path: Path) -> LiveLock:
    """Take the lock of a task's merger, from one who stands still as well.

    The caller holds the target, so nobody else takes it at the same moment.
    """
    try:
        return LiveLock(path)
    except BusyError:
        if signed_by(path) not in look_for_stopped(workspace, remember=False):
            raise
    path.unlink(missing_ok=True)
    return LiveLock(path)


# -- cancelling ----------------------------------------------------------------------------------


def cancel_merging(
    workspace: Workspace, task_id: str, *, by: str = "person", why: str = "cancelled"
) -> Task:
    """Cancel a task in merging/; raises `TransitionError` when it has landed (WFL-STATUS-029).

    A landing under way finds itself fenced and changes nothing any more. What the attempt made
    stays under its keep ref.
    """
    task = workspace.ledger.get(task_id).task
    if task.intent is None:
        cancelled = _cancel_unintended(workspace, task_id, by=by, why=why)
        if cancelled is not None:
            return cancelled
    if workspace.is_shared and is_elsewhere(task, workspace.machine.id):
        raise BusyError(
            f"another machine lands {task_id} at the moment", hint=f"wfledger why {task_id}"
        )
    branch = workspace.ledger.run(task.run).branch
    never = threading.Event()
    with ExitStack() as held:
        heart = held.enter_context(
            targets.hold_target(workspace, branch, wait_s=CANCEL_WAIT_S, stop=never)
        )
        if workspace.is_shared:
            held.enter_context(chains.quiet(workspace, wait_s=CANCEL_WAIT_S))
            _unchain(workspace, task_id)
        _resolve(workspace, task_id, heart, by=by)
        cancelled = _cancel_unintended(workspace, task_id, by=by, why=why)
    if cancelled is None:
        raise BusyError(f"{task_id} is being landed", hint="try again")
    return cancelled


def _cancel_unintended(workspace: Workspace, task_id: str, *, by: str, why: str) -> Task | None:
    """Cancel the task unless a landing has been announced: it may have happened already."""
    with workspace.ledger.transaction(by) as changes:
        entry = changes.get(task_id)
        if entry.status is not Status.MERGING:
            raise TransitionError(
                f"{task_id} is {entry.status.value}, no longer merging", task=task_id,
                source=entry.status.value, target=Status.CANCELLED.value,
            )  # fmt: skip
        if entry.task.intent is not None:
            return None
        return changes.move(
            task_id, Status.CANCELLED, actor=Actor.PERSON, why=why, hold=None, merger=None,
            claim=None,
        )  # fmt: skip


def _unchain(workspace: Workspace, task_id: str) -> None:
    """Take a landing that waits for the remote back, with all on top of it (WFL-HUB-074)."""
    entry = workspace.ledger.get(task_id)
    intent = entry.task.intent
    if entry.status is not Status.MERGING or intent is None:
        return
    if chains.is_in_flight(workspace, intent):
        hint = "wfledger sync"
        raise BusyError(f"{task_id} is being landed, and the remote has not answered", hint=hint)
    if targets.contains(workspace.repo, intent.candidate, workspace.repo.tip(intent.target)):
        raise TransitionError(
            f"{task_id} has landed as {intent.candidate[:12]}", task=task_id,
            source=Status.MERGING.value, target=Status.CANCELLED.value,
        )  # fmt: skip
    chains.break_before(workspace, intent)


def _resolve(workspace: Workspace, task_id: str, heart: Heart, *, by: str) -> None:
    """Bring a landing that has happened to its end and refuse, or forget its intent."""
    entry = workspace.ledger.get(task_id)
    intent = entry.task.intent
    if entry.status is not Status.MERGING or intent is None:
        return
    targets.fence(workspace, task_id, intent)
    if not targets.resolve_intent(workspace, task_id, intent):
        drop_intent(workspace, task_id, intent, by=by)
        return
    with _alive(workspace, entry.task, heart):
        errand = lease(workspace, task_id, owner=by)
        targets.note_landed(workspace, intent.target, intent.candidate)
        at = iso(workspace.clock.now())
        landed = Landed(target=intent.target, commit=intent.candidate, how="merged", at=at)
        finish(errand, landed, attempt=subject_of(workspace, errand.task).attempt)
    raise TransitionError(
        f"{task_id} has landed as {intent.candidate[:12]} and is done", task=task_id,
        source=Status.DONE.value, target=Status.CANCELLED.value,
    )  # fmt: skip
