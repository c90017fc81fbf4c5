"""Attempts whose runtime is gone or stands still: end what is left, keep the work, hand on.

Before a task may be offered again on this machine every process of the old attempt is gone and its
work is under a ref (WFL-REC-012). One process recovers an attempt at a time, by a lock.
"""

from wfledger import faults
from wfledger.core.documents import Hold, Result, Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Actor, Status
from wfledger.errors import (
    BusyError,
    EnvironmentFailedError,
    NotFoundError,
    StaleError,
    WfledgerError,
)
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.attempt import Report, clear_if_able
from wfledger.run.attempts.closing import close, closed, failure
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.attempts.keeping import (
    WorkGoneError,
    keep_late,
    keep_what_is_left,
    kept_head,
    with_kept,
)
from wfledger.run.beating import beats
from wfledger.run.guard import fingerprints
from wfledger.run.liveness import (
    Observations,
    Owner,
    has_runtime,
    owner_of,
    stopped_runtimes,
)
from wfledger.run.processes.holders import end_holders
from wfledger.run.processes.process import sweep
from wfledger.run.processes.proctree import inhabited
from wfledger.run.service.exhaustion import ran_out
from wfledger.run.workspace import Workspace
from wfledger.store.claiming import take_back
from wfledger.store.layout import split_attempt
from wfledger.store.locks import LiveLock, is_alive

faults.register("recovery.swept", "recovery.kept")

_GRACE_S = 2.0


def recover_lost(workspace: Workspace, *, report: Report) -> int:
    """End every attempt on this machine whose owner is gone; returns how many that were."""
    policy = workspace.policy()
    count = 0
    for task, owner in _owners(workspace, policy.lease_s):
        if owner == "alive":
            continue
        if owner == "unrecorded":
            count += _take_back_if_old(workspace, task, policy.claim_grace_s, report)
        else:
            count += _recover_one(workspace, task, owner, report)
    return count


def _owners(workspace: Workspace, lease_s: float) -> list[tuple[Task, Owner]]:
    here = workspace.ledger.layout.machine
    found = workspace.ledger.tasks(Status.IN_PROGRESS)
    tasks = [task for task in found if not is_elsewhere(task, here)]
    if not tasks and not beats(workspace):
        return []
    with workspace.ledger.locks.hold("ledger"):
        observations = Observations.load(workspace)
        owners = [(task, owner_of(workspace, task, observations, lease_s)) for task in tasks]
        for task, owner in owners:
            if owner == "unrecorded":
                observations.age(f"unrecorded:{task.id}", task.attempt)
        # A runtime whose attempts were all taken over still holds slots and locks.
        stopped_runtimes(workspace, observations, lease_s)
        observations.save("beat", "unrecorded", "runtime")
    return owners


def _take_back_if_old(
    workspace: Workspace, task: Task, grace_s: float, report: Report
) -> bool:
    """Take back a claim that nobody has recorded for the grace (WFL-CLAIM-007)."""
    with workspace.ledger.transaction("finder") as changes:
        observations = Observations.load(workspace)
        if observations.age(f"unrecorded:{task.id}", task.attempt) < grace_s:
            return False
        entry = workspace.ledger.find(task.id)
        if entry is None or entry.status is not Status.IN_PROGRESS:
            return False
        if entry.task.attempt != task.attempt or is_elsewhere(
            entry.task, workspace.ledger.layout.machine
        ):
            return False
        if not take_back(workspace.ledger.layout, task.id, task.attempt):
            return False
        reason = "claimed by nobody who said so"
        changes.move(
            task.id, Status.WAITING, actor=Actor.FINDER, why=reason,
            attempts=(*entry.task.attempts, closed(workspace, entry.task, "released", reason)),
            claim=None, hold=Hold(code="released", reason=reason),
        )
    report(task.id, reason)
    return True


def _recover_one(workspace: Workspace, task: Task, owner: Owner, report: Report) -> bool:
    layout = workspace.ledger.layout
    name = layout.attempt_name(task.id, task.attempt)
    try:
        mine = LiveLock(layout.reap(task.id, task.attempt))
    except BusyError:
        return False
    try:
        if not _is_open(workspace, task):
            return False
        gone = "its worker is gone" if owner == "dead" else f"{owner_said(workspace, task)}"
        report(task.id, f"{gone}; ending what is left of it")
        tree = layout.tree(task.id, task.attempt)
        if not _is_swept(workspace, name) or not end_holders(tree, clock=workspace.clock):
            report(task.id, "a process of the lost attempt still runs; not offered again yet")
            return False
        faults.point("recovery.swept")
        fingerprints.end(workspace, name)
        return _hand_on(workspace, task, owner, name)
    finally:
        mine.release()


def _is_open(workspace: Workspace, task: Task) -> bool:
    """Whether the attempt still is, once what its runtime had begun to record is finished."""
    with workspace.ledger.transaction("finder") as changes:
        entry = changes.ledger.find(task.id)
    if entry is None or entry.status is not Status.IN_PROGRESS:
        return False
    is_here = not is_elsewhere(entry.task, workspace.ledger.layout.machine)
    return is_here and entry.task.attempt == task.attempt


def _is_swept(workspace: Workspace, name: str) -> bool:
    """End every process of the job *name*; False when one does not end."""
    try:
        sweep(tag_for(workspace, name), grace_s=_GRACE_S)
    except EnvironmentFailedError:
        return False
    return True


def owner_said(workspace: Workspace, task: Task) -> str:
    """Return what has become of the owner of an attempt whose lease is over, for people."""
    if has_runtime(workspace, task):
        return f"its runtime has stood still for {workspace.policy().lease_s:g} s"
    return "its lease ran out"


def _hand_on(workspace: Workspace, task: Task, owner: Owner, name: str) -> bool:
    said = "its runtime died" if owner == "dead" else owner_said(workspace, task)
    result = Result(
        task=task.id, attempt=task.attempt, status="failed",
        failure=failure("lost", f"attempt {task.attempt}: {said}"),
    )
    place = worktrees.find(workspace, name)
    if place is not None:
        result = _with_work(workspace, task, place, result)
        result = result.but(confined=worktrees.confined(workspace, place, task))
    faults.point("recovery.kept")
    try:
        close(workspace, result, by="finder", actor=Actor.FINDER)
    except StaleError:
        return False  # it was ended meanwhile
    is_kept = result.failure is not None and result.failure.failure_class == "lost"
    if place is not None and is_kept and not inhabited(place.folder):
        clear_if_able(workspace, place)
    return True


def _with_work(
    workspace: Workspace, task: Task, place: worktrees.Place, result: Result
) -> Result:
    try:
        kept = keep_what_is_left(workspace, place, task_id=task.id, attempt=task.attempt)
    except WfledgerError as error:
        if ran_out(workspace, error):
            raise
        message = f"lost, and {error.message}; the worktree stays at {place.path}"
        return result.but(failure=failure("environment", message))
    return with_kept(workspace, task, result, kept)


def sweep_worktrees(workspace: Workspace) -> int:
    """Remove worktrees that were left by attempts and trials that are over; returns how many.

    One that may hold work is kept first; one whose attempt is still open is left alone.
    """
    count = 0
    for place in worktrees.recorded(workspace):
        if place.purpose == "open":
            continue
        named = split_attempt(place.name)
        if named is None:
            continue  # `doctor` looks at it
        task_id, attempt = named.task_id, named.attempt
        if _is_in_use(workspace, place, task_id, attempt):
            continue
        if not _is_swept(workspace, place.name) or inhabited(place.folder):
            continue  # who still works in one whose lease ran out must not find it gone
        if _is_kept(workspace, place, task_id, attempt):
            count += clear_if_able(workspace, place)  # what stays, `doctor` names
    return count


def _is_kept(workspace: Workspace, place: worktrees.Place, task_id: str, attempt: int) -> bool:
    """Keep what is in *place*; False when it must stay where it is.

    What came after its attempt was kept goes under a name of its own.
    """
    if place.purpose != "attempt":
        return True
    is_kept = kept_head(workspace, task_id, attempt) is not None
    try:
        if is_kept:
            keep_late(workspace, place, task_id=task_id, attempt=attempt)
        else:
            keep_what_is_left(workspace, place, task_id=task_id, attempt=attempt)
    except WorkGoneError:
        return is_kept  # it is half removed already
    except WfledgerError:
        return False  # `doctor` names it
    return True


def _is_in_use(
    workspace: Workspace, place: worktrees.Place, task_id: str, attempt: int
) -> bool:
    try:
        entry = workspace.ledger.get(task_id)
    except NotFoundError:
        return True  # not ours to judge; `doctor` looks at it
    if is_alive(workspace.ledger.layout.live(task_id, attempt)):
        return True  # its runtime clears away itself
    is_open = entry.status is Status.IN_PROGRESS and entry.task.attempt == attempt
    is_open &= not is_elsewhere(entry.task, workspace.ledger.layout.machine)
    if place.purpose == "attempt":
        return is_open
    # Of an open attempt it is that of a check before the work is handed in.
    return is_open or entry.status is Status.MERGING
