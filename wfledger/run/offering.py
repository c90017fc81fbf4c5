"""A claim for whoever asks: makes offers first where the window is empty.

So claiming works without a daemon; a claim that finds offers open does nothing but claim.
"""

from wfledger.core import bounds
from wfledger.core.statuses import Status
from wfledger.run.attempts.claims import Claim, claim
from wfledger.run.scheduler import Scheduler
from wfledger.run.slots import count_of
from wfledger.run.workspace import Workspace


def claim_next(workspace: Workspace, *, worker: str, task_id: str | None = None) -> Claim:
    """Claim *task_id* or the first offer, after refilling a window that is below half.

    Raises as `claims.claim` does.
    """
    refill(workspace, wanted=task_id)
    return claim(workspace, worker=worker, task_id=task_id)


def refill(workspace: Workspace, *, wanted: str | None = None) -> None:
    """Put on offer what may start where few offers are open, or *wanted* is not among them."""
    offers = workspace.ledger.names(Status.PENDING)
    is_missing = wanted is not None and wanted not in offers
    if is_missing or len(offers) < bounds.WINDOW_MIN // 2:
        Scheduler(workspace).step(slots=count_of(workspace, None))
