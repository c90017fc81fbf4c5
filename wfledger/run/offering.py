"""A claim for whoever asks: makes offers first where the window is empty.

So claiming works without a daemon; a claim that finds offers open does nothing but claim. On a
shared ledger only the remote makes offers: it is asked for one, in a meeting that is waited for.
"""

from wfledger.core import bounds
from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Status
from wfledger.errors import NothingToClaimError
from wfledger.run.attempts.claims import Claim, claim
from wfledger.run.hub.renewing import held_back
from wfledger.run.merger.verifiers import is_own
from wfledger.run.pausing import pause_of
from wfledger.run.scheduler import Scheduler
from wfledger.run.slots import count_of
from wfledger.run.workspace import Workspace

#: Meetings for one claim: the first may only find out which commits the task needs.
_MEETINGS = 2


def claim_next(workspace: Workspace, *, worker: str, task_id: str | None = None) -> Claim:
    """Claim *task_id* or the first offer, after refilling a window that is below half.

    Raises as `claims.claim` does.
    """
    said = refill(workspace, worker=worker, wanted=task_id)
    try:
        return claim(workspace, worker=worker, task_id=task_id)
    except NothingToClaimError as error:
        if not workspace.is_shared:
            raise
        raise NothingToClaimError(_nothing_here(workspace, said), hint=error.hint) from None


def refill(workspace: Workspace, *, worker: str, wanted: str | None = None) -> str:
    """Put on offer what may start where few offers are open, or *wanted* is not among them.

    On a shared ledger one task is asked for where *worker* would find none; returns what keeps the
    remote from granting any, or "".
    """
    _renew(workspace)
    offers = workspace.ledger.names(Status.PENDING)
    is_missing = wanted is not None and wanted not in offers
    if not workspace.is_shared:
        if is_missing or len(offers) < bounds.WINDOW_MIN // 2:
            Scheduler(workspace).step(slots=count_of(workspace, None))
        return ""
    if is_missing or not _has_offer(workspace, worker, wanted):
        Scheduler(workspace).step(slots=count_of(workspace, None))
        return _asked_for(workspace, worker, wanted)
    return ""


def _renew(workspace: Workspace) -> None:
    """Have the remote hear of this machine where nothing may begin before it has."""
    if held_back(workspace) is None:
        return
    from wfledger.run.hub.asking import meet_now
    from wfledger.run.hub.attending import PROMPT_S

    meet_now(workspace, within_s=PROMPT_S)  # what comes of it the claim says


def _has_offer(workspace: Workspace, worker: str, wanted: str | None) -> bool:
    offers = workspace.ledger.names(Status.PENDING)
    if wanted is not None:
        return wanted in offers
    return any(not is_own(workspace, name, worker) for name in offers)


def _asked_for(workspace: Workspace, worker: str, wanted: str | None) -> str:
    from wfledger.run.hub.asking import meet_now
    from wfledger.run.hub.attending import PROMPT_S
    from wfledger.run.hub.meeting import Met
    from wfledger.run.hub.telling import trouble_of
    from wfledger.run.hub.wants import Want, wanting

    if pause_of(workspace) is not None:
        return ""
    with wanting(workspace, Want(worker, wanted)):
        for _ in range(_MEETINGS):
            record = meet_now(workspace, within_s=PROMPT_S)
            met = Met(record.outcome, record.said, record.hint)
            if not met.is_well:
                hub = workspace.hub
                return f"{hub.name if hub else 'the remote'} {trouble_of(met)}"
            if _has_offer(workspace, worker, wanted):
                break
    return ""


def _nothing_here(workspace: Workspace, said: str) -> str:
    """Say why a claim found nothing on a shared ledger."""
    here = workspace.machine.id
    tasks = workspace.ledger.tasks(Status.IN_PROGRESS)
    others = sum(is_elsewhere(task, here) for task in tasks)
    text = "no task is on offer here"
    if others:
        text += f"; {others} {'is' if others == 1 else 'are'} granted to other machines"
    return f"{text}; {said}" if said else text
