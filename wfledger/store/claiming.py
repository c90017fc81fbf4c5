"""The claim itself: one rename and one exclusive creation, sound with the ledger lock turned off.

Exactly this holds without the lock: at most one claimant for each (task, attempt) (WFL-CLAIM-001).
The attempt number came with the promotion, so the rename hands out owner and number in one step;
the record settles a race with whoever takes an unrecorded claim back.
"""

from pathlib import Path

from wfledger import faults
from wfledger.core import bounds
from wfledger.core.documents import Task
from wfledger.core.records import parse
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError, LedgerDamagedError, StaleError
from wfledger.store import atomic, claims
from wfledger.store.claims import RECOVERY, ClaimRecord
from wfledger.store.entries import Entry
from wfledger.store.layout import Layout

faults.register("ledger.claim.renamed", "ledger.claim.recorded", "ledger.take-back.recorded")


def take(layout: Layout, task_id: str, record: ClaimRecord) -> Entry:
    """Claim the task or raise `StaleError`; see the module for what holds without the lock.

    Raises `LedgerDamagedError` when a folder is missing: that is no lost race. A file that turns
    out to be no task raises `InvalidDocumentError` and lies in in-progress/ with nobody's record,
    where `inspect` finds it.
    """
    goal = layout.task(Status.IN_PROGRESS, task_id)
    try:
        atomic.move(layout.task(Status.PENDING, task_id), goal)
    except (FileNotFoundError, FileExistsError):
        _need(layout.folder(Status.PENDING), goal.parent)
        raise StaleError(f"{task_id} is not on offer", task=task_id) from None
    faults.point("ledger.claim.renamed")
    try:
        task = parse(Task, atomic.read(goal, limit=bounds.TASK_BYTES))
        if task.id != task_id:
            raise InvalidDocumentError(f"{task_id}.json holds the task {task.id}", task=task_id)
        atomic.create(layout.claim(task_id, task.attempt), record.to_bytes())
    except (FileNotFoundError, FileExistsError):
        # Between rename and record the claim was taken back as abandoned (WFL-CLAIM-007).
        _need(goal.parent, layout.claim(task_id, 1).parent)
        raise StaleError(f"the claim of {task_id} was taken back", task=task_id) from None
    faults.point("ledger.claim.recorded")
    return Entry(task, Status.IN_PROGRESS)


def _need(*folders: Path) -> None:
    for folder in folders:
        if not folder.is_dir():
            raise LedgerDamagedError(
                f"the folder {folder.name} is missing", hint="wfledger doctor --fix",
                path=str(folder),
            )


def take_back(layout: Layout, task_id: str, attempt: int) -> bool:
    """Record an abandoned claim as nobody's, so that its claimer can never record it himself.

    The caller holds the ledger lock, has seen the task in in-progress/ without a record, and moves
    it on afterwards. False when somebody did record the claim: then it is his. True again when it
    was taken back before (WFL-CLAIM-007). The attempt's number is used up.
    """
    record = ClaimRecord(worker=RECOVERY, machine="", pid=0, boot="", token_sha256="")
    path = layout.claim(task_id, attempt)
    try:
        atomic.create(path, record.to_bytes())
    except FileExistsError:
        return is_taken_back(layout, task_id, attempt)
    faults.point("ledger.take-back.recorded")
    return True


def is_taken_back(layout: Layout, task_id: str, attempt: int) -> bool:
    """Whether the claim of an attempt was recorded as nobody's."""
    try:
        found = claims.read(layout.claim(task_id, attempt))
    except FileNotFoundError:
        return False
    return found is not None and found.worker == RECOVERY
