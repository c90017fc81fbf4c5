"""Whether this machine still holds what it was granted, as far as it can know (WFL-HUB-054).

Other machines take its work over when they have heard nothing for a lease. So it counts for itself,
by a clock that suspended time counts for, since when a push has come through: after half of the
lease it begins nothing new, and where policy says so it ends what runs. Landing needs the remote
anyway. When a push comes through again everything goes on.
"""

from wfledger.core.policy import Policy
from wfledger.errors import LedgerDamagedError
from wfledger.run.hub import beating, poking, state
from wfledger.run.workspace import Workspace


def held_back(workspace: Workspace) -> str | None:
    """Return why nothing new may begin on this machine, for people; None where it may."""
    if not workspace.is_shared:
        return None
    local = workspace.ledger.layout.local
    known = state.read_state(local)
    if known.stopped is not None:
        return f"nothing goes on with the remote: {known.reason or known.stopped}"
    return _unrenewed(workspace, workspace.policy())


def to_be_stopped(workspace: Workspace) -> str | None:
    """Return why what runs here is to end, by policy; None where it may go on."""
    if not workspace.is_shared:
        return None
    policy = workspace.policy()
    return _unrenewed(workspace, policy) if policy.remote.offline == "stop" else None


def is_arriving(workspace: Workspace) -> bool:
    """Whether the directory may lack some of what the remote has: a tip is being taken in.

    Under the ledger lock; also when whoever took it in has died.
    """
    if not workspace.is_shared:
        return False
    try:
        tip = workspace.history.tip()
    except LedgerDamagedError:
        return True
    return state.read_state(workspace.ledger.layout.local).applied not in {None, tip}


def renew(workspace: Workspace) -> None:
    """Have the remote hear of this machine if that is due and nobody here syncs.

    For who works without a runtime: his heartbeats are all that is heard of a machine on which no
    `run` or daemon is. Takes seconds at most; a remote that is away is no failure.
    """
    if not workspace.is_shared or poking.is_synced_here(workspace):
        return
    if beating.due(workspace, lease_s=workspace.policy().lease_s):
        from wfledger.run.hub.attending import meet_here

        meet_here(workspace, force=False)


def _unrenewed(workspace: Workspace, policy: Policy) -> str | None:
    hub, age = workspace.hub, beating.renewed_s(workspace)
    name = hub.name if hub is not None else "the remote"
    if age is None:
        return f"{name} has confirmed nothing since this machine was started"
    if age > policy.lease_s / 2:
        return f"{name} has confirmed nothing for {age:.0f} s, more than half of the lease"
    return None
