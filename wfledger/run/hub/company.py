"""Who else takes part in a meeting: heartbeats, silence, branches of runs, kept work, trust.

One place, so that the cycle itself knows of commits and the journal alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wfledger.errors import WfledgerError
from wfledger.run.hub import beating, rewinding, silence, trusting
from wfledger.run.hub.history import News
from wfledger.run.hub.proposals import Sight
from wfledger.run.hub.state import Hub, Inflight
from wfledger.run.workspace import Workspace
from wfledger.vcs.remote import RemoteUpdate

_FETCHED: Final = "refs/wfledger/hub/"
_HEADS: Final = "refs/heads/wf/"
TWIN: Final = "twin"


@dataclass(frozen=True)
class Extra:
    """What else goes with a push."""

    updates: tuple[RemoteUpdate, ...] = ()
    #: The heartbeat among them.
    beat: str | None = None


def wanted(hub: Hub) -> list[str]:
    """Return the refspecs of what is fetched at each meeting."""
    names = hub.names
    return [
        f"+{names.ledger}:{_FETCHED}ledger",
        f"+{names.beats}*:{_FETCHED}beat/*",
        f"+{_HEADS}*:{_FETCHED}heads/wf/*",
    ]


def prepare(workspace: Workspace, *, timeout: float) -> None:
    """Fetch what somebody asked for; over the network, without any lock."""


def twin(workspace: Workspace, hub: Hub, refs: Mapping[str, str]) -> rewinding.Stop | None:
    """Say whether another clone goes by the name of this machine."""
    said = beating.twin(workspace, refs.get(hub.names.beat(workspace.machine.id)))
    return None if said is None else rewinding.Stop(TWIN, said)


def sight(
    workspace: Workspace, hub: Hub, tip: str, refs: Mapping[str, str], news: News, *, began: float
) -> Sight:
    """Return what the last fetch saw, for those who propose."""
    prefix = hub.names.beats
    beats = {ref.removeprefix(prefix): oid for ref, oid in refs.items() if ref.startswith(prefix)}
    silent = silence.observe(
        workspace, beats, news.wrote, began=began, interval_s=_interval_s(workspace),
        lease_s=_lease_s(workspace),
    )
    facts = {machine: beating.read(workspace, oid) for machine, oid in beats.items()}
    return Sight(tip, refs, silent, facts)


def before_showing(workspace: Workspace, refs: Mapping[str, str]) -> None:
    """Do what comes before the directory is touched."""
    del refs
    trusting.check(workspace)


def after_showing(workspace: Workspace) -> None:
    """Do what is due when the directory shows what came."""
    trusting.check(workspace)


def updates(workspace: Workspace, hub: Hub, seen: Sight, *, has_news: bool) -> Extra:
    """Return what goes with a push; nothing where there is no reason for one."""
    if not has_news and not beating.due(workspace, lease_s=_lease_s(workspace)):
        return Extra()
    ref = hub.names.beat(workspace.machine.id)
    beat = beating.compose(workspace, seen.refs.get(ref), interval_s=_interval_s(workspace))
    return Extra((RemoteUpdate(beat.ref, beat.new, beat.old),), beat.new)


def sent(workspace: Workspace, extra: Extra, *, began: float) -> None:
    """Note what a push that came through has brought there."""
    beating.confirmed(workspace, extra.beat, began)


def came_through(workspace: Workspace, inflight: Inflight) -> None:
    """Note that a push came through whose answer was lost."""
    if inflight.boot == workspace.machine.boot:
        beating.confirmed(workspace, inflight.beat, inflight.began)


def _interval_s(workspace: Workspace) -> float:
    from wfledger.run.hub.attending import interval_of

    return interval_of(workspace)


def _lease_s(workspace: Workspace) -> float:
    try:
        return workspace.policy().lease_s
    except WfledgerError:
        return _LEASE_S


_LEASE_S: Final = 300.0
