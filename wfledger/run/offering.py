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
    offers = workspace.ledger.names(Status.PENDING)
    wanted = task_id is not None and task_id not in offers
    if wanted or len(offers) < bounds.WINDOW_MIN // 2:
        Scheduler(workspace).step(slots=count_of(workspace, None))
    return claim(workspace, worker=worker, task_id=task_id)
