"""Leaving a remote: the ledger becomes this machine's alone again (spec 97).

The step that counts is the renaming of one file. From then on nothing goes to the remote, what it
had not confirmed is committed here, and what others hold is taken back: they go on with it there,
and the two ledgers go different ways. Killed in between, doing it again finishes it.
"""

import os
from dataclasses import dataclass
from typing import Final

from wfledger import faults
from wfledger.core import outcome
from wfledger.core.documents import Hold, Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Status
from wfledger.errors import BusyError
from wfledger.run.attempts.closing import closed
from wfledger.run.commit import commit_journal
from wfledger.run.hub import trusting
from wfledger.run.hub.poking import lock_path
from wfledger.run.hub.state import FOLDER, Hub, folder, leave, left
from wfledger.run.pausing import withdraw_offers
from wfledger.run.presence import driven
from wfledger.run.refnames import HUB
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock
from wfledger.store.transaction import Transaction
from wfledger.vcs.refs import RefUpdate, refs_under, swap

faults.register("detaching.left", "detaching.cleared", "detaching.committed")

_WHY: Final = "the ledger has left its remote"


@dataclass(frozen=True)
class Detached:
    """What `detach` did."""

    remote: str
    #: Tasks that other machines held.
    taken_back: tuple[str, ...]
    #: Records that the remote had not confirmed, and that are committed here now.
    unconfirmed: int


def held_elsewhere(workspace: Workspace) -> tuple[str, ...]:
    """Return the tasks that other machines work on, or could begin at any moment."""
    here = workspace.machine.id
    held = (Status.PENDING, Status.IN_PROGRESS, Status.MERGING)
    tasks = (task for status in held for task in workspace.ledger.tasks(status))
    return tuple(sorted(task.id for task in tasks if is_elsewhere(task, here)))


def detach(workspace: Workspace) -> Detached | None:
    """Make the ledger this machine's alone; None where it is so already.

    Raises `BusyError` while a daemon or a run of this machine works on it.
    """
    hub = workspace.hub or left(workspace.ledger.layout.local)
    if hub is None:
        return None
    if driven(workspace):
        raise BusyError("somebody works on the ledger here", hint="wfledger daemon stop")
    lock = LiveLock(lock_path(workspace))
    try:
        return _detach(workspace, hub)
    finally:
        lock.release()


def _detach(workspace: Workspace, hub: Hub) -> Detached:
    local = workspace.ledger.layout.local
    unconfirmed = sum(1 for _ in workspace.ledger.journal.records())
    with workspace.ledger.transaction("person") as changes:
        leave(local)
        faults.point("detaching.left")
        taken_back = _take_back(workspace, changes)
    faults.point("detaching.cleared")
    commit_journal(workspace)
    faults.point("detaching.committed")
    trusting.forget(workspace)
    found = refs_under(workspace.repo, HUB)
    swap(workspace.repo, [RefUpdate(ref, None, oid) for ref, oid in found.items()],
         reason="wfledger: leave the remote")  # fmt: skip
    _put_away(workspace)
    return Detached(hub.name, taken_back, unconfirmed)


def _take_back(workspace: Workspace, changes: Transaction) -> tuple[str, ...]:
    here, taken = workspace.machine.id, []
    withdraw_offers(workspace, changes, run=None, reason=_WHY)
    for status in (Status.IN_PROGRESS, Status.MERGING):
        for task in workspace.ledger.tasks(status):
            if task.grant is None:
                continue
            if is_elsewhere(task, here):
                _end(workspace, changes, task, status)
                taken.append(task.id)
            else:
                changes.update(task.id, why=_WHY, grant=None)
    return tuple(taken)


def _end(workspace: Workspace, changes: Transaction, task: Task, status: Status) -> None:
    """Let what another machine held wait here, or where it has begun count as lost."""
    layout = workspace.ledger.layout
    was_offer = workspace.history.read(layout.relative(Status.PENDING, task.id)) is not None
    if status is Status.IN_PROGRESS and was_offer:
        hold = Hold(code="withdrawn", reason=_WHY)
        changes.restore(task.next(grant=None, hold=hold), Status.WAITING, source=status, why=_WHY)
        return
    earlier = tuple(one for one in task.attempts if one.number != task.attempt)
    attempts = (*earlier, closed(workspace, task, "lost", _WHY))
    after = outcome.after_failure(
        task.but(attempts=attempts), "lost", _WHY, now=workspace.clock.now()
    )
    moved = task.next(
        attempts=attempts, claim=None, grant=None, merger=None, intent=None, hold=after.hold,
        block=after.block,
    )
    changes.restore(moved, after.status, source=status, why=_WHY)


def _put_away(workspace: Workspace) -> None:
    """Keep what was known of the remote where nobody reads it, as the last step."""
    local = workspace.ledger.layout.local
    aside = local / "aside"
    aside.mkdir(exist_ok=True)
    number = 0
    while os.path.lexists(aside / f"{FOLDER}.{number}"):
        number += 1
    folder(local).rename(aside / f"{FOLDER}.{number}")
