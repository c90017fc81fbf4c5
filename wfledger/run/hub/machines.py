"""The machines that share the ledger, as this one knows them; needs no network."""

from dataclasses import dataclass
from typing import Final

from wfledger.core.hub import LEAST_INTERVAL_S, interval_s
from wfledger.core.silence import limit_s
from wfledger.errors import WfledgerError
from wfledger.run.hub import beating, silence, turns
from wfledger.run.hub.beating import Beat
from wfledger.run.hub.state import Hub
from wfledger.run.workspace import Workspace

_SHORT: Final = 6


@dataclass(frozen=True)
class Peer:
    """One machine."""

    id: str
    #: The host's name, or the id where it has said none.
    name: str
    is_here: bool
    #: For how long it has been silent while this machine could see; 0 for this one.
    silent_s: float
    #: Whether that is long enough to take over what it holds.
    is_gone: bool
    #: When this machine first saw its last heartbeat (UTC, ISO 8601).
    seen: str | None = None
    #: What it says of itself, if anything.
    beat: Beat | None = None


def machines(workspace: Workspace) -> tuple[Peer, ...]:
    """Return this machine and all others that have been heard of, this one first."""
    hub = workspace.hub
    if hub is None:
        return ()
    here, others = workspace.machine.id, silence.heard(workspace)
    dates, limit = silence.dated(workspace), limit_of(workspace, hub, len(others) + 1)
    own = beating.read(workspace, beating.latest(workspace))
    found = [Peer(here, beating.own_name(workspace), True, 0.0, False, None, own)]
    for machine, heard in sorted(others.items()):
        beat, date = beating.read(workspace, heard.value), dates.get(machine)
        found.append(Peer(
            machine, beat.name if beat and beat.name else machine, False, max(heard.for_s, 0.0),
            heard.for_s >= limit, date.at if date else None, beat,
        ))  # fmt: skip
    return tuple(found)


def limit_of(workspace: Workspace, hub: Hub, count: int) -> float:
    """Return after how much silence one of *count* machines is taken for gone."""
    policy = workspace.policy()
    return limit_s(interval_s(policy.remote, hub.host, count), policy.lease_s)


def names(workspace: Workspace) -> dict[str, str]:
    """Return what people call each machine: its name, and with it its id where two share one."""
    peers = machines(workspace)
    called = [peer.name for peer in peers]
    return {
        peer.id: peer.name if called.count(peer.name) == 1 else f"{peer.name} ({peer.id[:_SHORT]})"
        for peer in peers
    }


def name_of(workspace: Workspace, machine: str) -> str:
    """Return what people call one machine; its id where nothing is known of it."""
    return names(workspace).get(machine, machine)


def offered(workspace: Workspace) -> frozenset[str]:
    """Return what workers of other machines offer, those that are gone left out."""
    beats = [one.beat for one in _live(workspace) if one.beat is not None and not one.is_here]
    return frozenset(name for beat in beats for name in beat.offers)


def interval_of(workspace: Workspace, *, before: float = LEAST_INTERVAL_S) -> float:
    """Return the seconds between two pushes of this machine; *before* where nothing can be read."""
    try:
        hub, policy = workspace.hub, workspace.policy().remote
        count = live(workspace)
    except (WfledgerError, OSError):
        return before
    return interval_s(policy, hub.host if hub is not None else None, count)


def live(workspace: Workspace) -> int:
    """Return how many machines share the ledger that are not taken for gone."""
    return len(_live(workspace))


def rounds(workspace: Workspace) -> list[float]:
    """Return how many seconds a round takes, for each of these; as ours does where it is unsaid."""
    own = turns.round_s(workspace)
    said = [one.beat.round_s if one.beat and not one.is_here else None for one in _live(workspace)]
    return [own if one is None else one for one in said]


def _live(workspace: Workspace) -> list[Peer]:
    return [one for one in machines(workspace) if not one.is_gone]
