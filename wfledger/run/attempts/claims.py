"""Claiming, renewing and giving back, for whoever works: the engine, scripts, people.

A claim hands out the attempt's number and a secret token; every later word about the attempt must
carry both (spec 50). The ledger holds the token's digest only.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass

from wfledger.core.documents import Hold, Result, Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Actor, Status
from wfledger.errors import NothingToClaimError, PausedError, StaleError, WfledgerError
from wfledger.run.attempts.closing import closed
from wfledger.run.hub.machines import name_of
from wfledger.run.hub.renewing import held_back, renew
from wfledger.run.merger.verifiers import is_own
from wfledger.run.money import spending
from wfledger.run.pausing import pause_of
from wfledger.run.refnames import keep_ref
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.claims import ClaimRecord
from wfledger.store.entries import Entry
from wfledger.store.transaction import Transaction


@dataclass(frozen=True)
class Claim:
    """An attempt that is ours."""

    task: Task
    attempt: int
    token: str
    worker: str


def claim(
    workspace: Workspace, *, worker: str, task_id: str | None = None, dispatches: bool = False
) -> Claim:
    """Take *task_id*, or the first task on offer; durable on return.

    Nobody is given the verifier of his own result; who *dispatches* starts another worker for each
    attempt and takes it for that one.
    Raises `NothingToClaimError` when nothing is on offer, `StaleError` when the named task is not,
    `PausedError` while the ledger is paused, or its remote has not heard of this machine for long.
    """
    reason = held_back(workspace)
    if reason is not None:
        raise PausedError(f"nothing new begins on this machine: {reason}", hint="wfledger sync")
    token = workspace.clock.token()
    record = record_for(workspace, worker, token)
    with workspace.ledger.transaction(f"worker:{worker}") as changes:
        entry = None
        if task_id is not None:
            if not dispatches:
                _refuse_own(workspace, task_id, worker)
            entry = _claim_named(workspace, changes, task_id, record)
        for name in workspace.ledger.names(Status.PENDING) if entry is None else ():
            if not dispatches and is_own(workspace, name, worker):
                continue
            try:
                entry = changes.claim(name, record)
                break
            except StaleError:
                continue  # a file worker was faster
        if entry is None:
            raise _nothing(workspace)
        atomic.create(
            workspace.ledger.layout.token(entry.task.id, entry.task.attempt),
            token.encode(), mode=0o600,
        )
    return Claim(entry.task, entry.task.attempt, token, worker)


def _refuse_own(workspace: Workspace, task_id: str, worker: str) -> None:
    if is_own(workspace, task_id, worker):
        raise StaleError(
            f"{task_id} verifies a result of {worker}, who does not judge it himself",
            hint="let another worker claim it", task=task_id,
        )


def _claim_named(
    workspace: Workspace, changes: Transaction, task_id: str, record: ClaimRecord
) -> Entry:
    try:
        return changes.claim(task_id, record)
    except StaleError:
        paused = _paused(workspace)
        if paused is not None:
            raise paused from None
        entry = workspace.ledger.get(task_id)
        found, grant = entry.status.value, entry.task.grant
        said = f"it is {found}"
        if grant is not None and is_elsewhere(entry.task, workspace.machine.id):
            said = f"it is granted to {name_of(workspace, grant.machine)}"
        raise StaleError(
            f"{task_id} is not on offer: {said}", hint=f"wfledger why {task_id}", task=task_id,
            status=found,
        ) from None


def _nothing(workspace: Workspace) -> NothingToClaimError | PausedError:
    return _paused(workspace) or NothingToClaimError("no task is on offer", hint="wfledger status")


def _paused(workspace: Workspace) -> PausedError | None:
    pause = pause_of(workspace)
    if pause is None:
        return None
    return PausedError(f"dispatch is paused: {pause.reason}", hint=pause.command)


def record_for(workspace: Workspace, worker: str, token: str) -> ClaimRecord:
    """Return the claim record of *worker* in this process."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    machine = workspace.machine
    return ClaimRecord(one_line(worker), machine.id, os.getpid(), machine.boot, digest)


def one_line(text: str) -> str:
    """Return *text* fit for a line of a claim record."""
    return " ".join(text.split())[:100] or "anonymous"


def held_entry(workspace: Workspace, task_id: str, token: str | None) -> Entry:
    """Return the task if the bearer of *token* holds it now, else raise `StaleError`.

    This is the fence: an attempt that was taken over has another number and another token
    (WFL-CLAIM-020).
    """
    entry = workspace.ledger.get(task_id)
    digest = _digest(token)
    is_held = entry.status is Status.IN_PROGRESS
    if is_held and hmac.compare_digest(_recorded(workspace, task_id, entry.task.attempt), digest):
        return entry
    raise _refusal(workspace, entry, digest)


def _digest(token: str | None) -> str:
    return hashlib.sha256((token or "").encode()).hexdigest()


def _recorded(workspace: Workspace, task_id: str, attempt: int) -> str:
    record = workspace.ledger.claim_record(task_id, attempt)
    return record.token_sha256 if record else ""


def _refusal(workspace: Workspace, entry: Entry, digest: str) -> StaleError:
    """Return what a zombie is told: which attempt was his, how it ended, where the task is now.

    The fact `yours` is the number of his attempt; it is absent where the token is nobody's.
    """
    task, status = entry.task, entry.status.value
    numbers = range(task.attempt, 0, -1)
    yours = next((n for n in numbers if _recorded(workspace, task.id, n) == digest), None)
    facts: dict[str, object] = {"task": task.id, "attempt": task.attempt, "status": status}
    hint = f"wfledger why {task.id}"
    if yours is not None:
        ended = next((one for one in task.attempts if one.number == yours), None)
        how = f" ({ended.outcome}{': ' if ended.message else ''}{ended.message})" if ended else ""
        now = f"the task is {status}, attempt {task.attempt}"
        kept = _kept(workspace, keep_ref(task.id, yours))
        work = f"; its work is kept: {kept}" if kept else ""
        said = f"attempt {yours} of {task.id} is over{how}; {now}{work}"
        return StaleError(said, hint=hint, yours=yours, kept=kept, **facts)
    if entry.status is not Status.IN_PROGRESS:
        return StaleError(f"{task.id} is {status}; nobody works on it", hint=hint, **facts)
    said = f"attempt {task.attempt} of {task.id} is not yours: the token is wrong"
    return StaleError(said, hint=hint, **facts)


def _kept(workspace: Workspace, ref: str) -> str | None:
    """Return *ref* where it keeps work; a refusal is one all the same where git cannot tell."""
    try:
        return ref if workspace.repo.tip(ref) is not None else None
    except WfledgerError:
        return None


def heartbeat(workspace: Workspace, task_id: str, token: str | None) -> int:
    """Say that the attempt goes on; returns the count of heartbeats so far.

    Where other machines share the ledger and nobody here syncs, the remote hears of it, too.
    """
    renew(workspace)
    entry = held_entry(workspace, task_id, token)
    path = workspace.ledger.layout.beat(task_id, entry.task.attempt)
    try:
        count = int(path.read_text("ascii")) + 1
    except (FileNotFoundError, ValueError):
        count = 1
    atomic.replace(path, str(count).encode(), tmp=workspace.ledger.layout.tmp)
    return count


def release(
    workspace: Workspace, task_id: str, token: str | None, *, reason: str = "",
    result: Result | None = None,
) -> Task:  # fmt: skip
    """Give a claimed task back; it counts as no failure. *result* says what is kept of it."""
    with workspace.ledger.transaction("worker") as changes:
        entry = held_entry(workspace, task_id, token)
        kept = None
        if result is not None:
            result = spending.note(workspace, entry.task, result)
            changes.put_result(result)
            kept = result.head if result.head != result.base else None
        attempt = closed(workspace, entry.task, "released", reason, kept=kept)
        return changes.move(
            task_id, Status.WAITING, actor=Actor.WORKER, why=reason or "released",
            attempts=(*entry.task.attempts, attempt), claim=None,
            hold=Hold(code="released", reason=reason),
        )
