"""The claim itself: one rename and one exclusive creation, sound with the ledger lock turned off.

Exactly this holds without the lock: at most one claimant for each (task, attempt) (WFL-CLAIM-001).
The attempt number came with the promotion, so the rename hands out owner and number in one step;
the record settles a race with whoever takes an unrecorded claim back.
"""

from wfledger import faults
from wfledger.core import bounds
from wfledger.core.documents import Task, parse
from wfledger.core.statuses import Status
from wfledger.errors import StaleError
from wfledger.store import atomic
from wfledger.store.claims import ClaimRecord
from wfledger.store.entries import Entry
from wfledger.store.layout import Layout


def take(layout: Layout, task_id: str, record: ClaimRecord) -> Entry:
    """Claim the task or raise `StaleError`; see the module for what holds without the lock."""
    goal = layout.task(Status.IN_PROGRESS, task_id)
    try:
        atomic.move(layout.task(Status.PENDING, task_id), goal)
    except (FileNotFoundError, FileExistsError):
        raise StaleError(f"{task_id} is not on offer", task=task_id) from None
    faults.point("ledger.claim.renamed")
    try:
        task = parse(Task, atomic.read(goal, limit=bounds.TASK_BYTES))
        atomic.create(layout.claim(task_id, task.attempt), record.to_bytes())
    except (FileNotFoundError, FileExistsError):
        # Between rename and record the claim was taken back as abandoned (WFL-CLAIM-007).
        raise StaleError(f"the claim of {task_id} was taken back", task=task_id) from None
    faults.point("ledger.claim.recorded")
    return Entry(task, Status.IN_PROGRESS)
