"""Who else takes part in a meeting: heartbeats, silence, branches of runs, kept work, trust.

One place, so that the cycle itself knows of commits and the journal alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from wfledger.core.hub import INTERVALS_PER_LEASE
from wfledger.core.policy import Policy
from wfledger.errors import WfledgerError
from wfledger.run.byhand.editing import adopt_edits
from wfledger.run.hub import (
    beating,
    branches,
    diary,
    keeping,
    retiring,
    rewinding,
    silence,
    trusting,
    turns,
)
from wfledger.run.hub.history import NewCommits
from wfledger.run.hub.keeping import KeepUpdate
from wfledger.run.hub.machines import interval_of
from wfledger.run.hub.proposals import Sight
from wfledger.run.hub.state import Hub, Inflight
from wfledger.run.workspace import Workspace
from wfledger.vcs.remote import ANY, Pushed, RemoteUpdate, push


@dataclass(frozen=True)
class Extra:
    """What else goes with a push."""

    updates: tuple[RemoteUpdate, ...] = ()
    #: The heartbeat among them, and the kept work.
    beat: str | None = None
    kept: tuple[KeepUpdate, ...] = ()


def prepare(workspace: Workspace, *, timeout: float) -> None:
    """Fetch what somebody asked for, and what decides what may go; over the network, no lock."""
    hub = workspace.hub
    if hub is not None:
        trusting.refuse_other_address(workspace, hub)
        retiring.look(workspace, hub, timeout=timeout)
    keeping.fetch_wanted(workspace, timeout=timeout)


def twin(workspace: Workspace, hub: Hub, refs: Mapping[str, str]) -> rewinding.Stop | None:
    """Say whether another clone goes by the name of this machine."""
    said = beating.twin(workspace, refs.get(hub.names.beat(workspace.machine.id)))
    return None if said is None else rewinding.Stop(rewinding.TWIN, said)


def sight(
    workspace: Workspace, hub: Hub, tip: str, refs: Mapping[str, str], *, news: NewCommits,
    began: float,
) -> Sight:  # fmt: skip
    """Return what the last fetch saw, for those who propose."""
    prefix = hub.names.beats
    beats = {ref.removeprefix(prefix): oid for ref, oid in refs.items() if ref.startswith(prefix)}
    silent = silence.observe(
        workspace, beats, news.wrote, began=began, interval_s=interval_of(workspace),
        lease_s=lease_s(workspace),
    )
    facts = {machine: beating.read(workspace, oid) for machine, oid in beats.items()}
    return Sight(tip, refs, silent, facts)


def before_showing(workspace: Workspace, refs: Mapping[str, str], tip: str) -> list[str]:
    """Do what comes before the directory shows *tip*; returns what people have to be told."""
    trusting.check(workspace)
    return before_confirming(workspace, refs, tip)


def before_confirming(workspace: Workspace, refs: Mapping[str, str], tip: str) -> list[str]:
    """Do the same before it shows what this machine itself has asked for.

    That is tasks, runs and results; nothing of it is run from.
    """
    with workspace.ledger.transaction("hand") as changes:
        adopt_edits(workspace, changes)
    return branches.follow(workspace, refs, tip=tip)


def after_showing(workspace: Workspace) -> None:
    """Do what is due when the directory shows what came."""
    trusting.check(workspace)


def kept(workspace: Workspace) -> tuple[KeepUpdate, ...]:
    """Return the work that goes with the push; asked when the journal is closed, under the lock."""
    return keeping.queued(workspace)


def extras(
    workspace: Workspace, seen: Sight, kept: Sequence[KeepUpdate], *,
    has_news: bool, denied: Collection[str], took_s: float,
) -> Extra:  # fmt: skip
    """Return what goes with a push, but for refs that were *denied*; nothing without a reason.

    *took_s*: for how long this round has lasted.
    """
    hub = workspace.hub
    if hub is None:
        return Extra()
    made = [one for one in branches.to_create(workspace, seen.refs) if one.ref not in denied]
    kept = [one for one in kept if one.ref not in denied]
    is_due = beating.due(workspace, lease_s=lease_s(workspace))
    # What may go from there goes along with something else.
    if not (has_news or made or is_due or any(one.commit is not None for one in kept)):
        return Extra()
    found = [RemoteUpdate(one.ref, one.new, one.old) for one in made]
    found += [RemoteUpdate(one.ref, one.commit, ANY) for one in kept]
    found += retiring.updates(workspace, seen.refs, denied=denied)
    ref = hub.names.beat(workspace.machine.id)
    if ref in denied:
        return Extra(tuple(found), None, tuple(kept))
    beat = beating.compose(
        workspace, seen.refs.get(ref), interval_s=interval_of(workspace),
        # A push that has news and comes through shows that the ledger is taken.
        refused="" if has_news else _refused(workspace),
        round_s=took_s,
    )  # fmt: skip
    found.append(RemoteUpdate(beat.ref, beat.new, beat.old))
    gone = silence.outdated(workspace, _policy(workspace))
    updates = (RemoteUpdate(hub.names.beat(name), None, oid) for name, oid in gone.items())
    found += [one for one in updates if one.ref not in denied]
    return Extra(tuple(found), beat.new, tuple(kept))


def _refused(workspace: Workspace) -> str:
    """Return why the server took nothing of the last meeting's, "" where it did."""
    record = diary.last(workspace)
    return record.said if record is not None and record.outcome == "refused" else ""


def call_out(workspace: Workspace, hub: Hub, seen: Sight, count: int, *, timeout: float) -> None:
    """Say by a heartbeat alone that others came first *count* times: they leave us a turn."""
    ref = hub.names.beat(workspace.machine.id)
    beat = beating.compose(
        workspace, seen.refs.get(ref), interval_s=interval_of(workspace), overtaken=count,
        round_s=turns.round_s(workspace),
    )  # fmt: skip
    began, update = workspace.clock.elapsed(), RemoteUpdate(beat.ref, beat.new, beat.old)
    pushed = push(workspace.repo, hub.url, [update], atomic=False, timeout=timeout)
    if pushed.outcome == "ok":
        beating.confirmed(workspace, beat.new, began)


def beat_if_due(workspace: Workspace, hub: Hub, seen: Sight, *, timeout: float) -> None:
    """Push a heartbeat that is due by itself, where others go first: they may do so for long."""
    if beating.due(workspace, lease_s=lease_s(workspace)):
        call_out(workspace, hub, seen, turns.overtaken(workspace), timeout=timeout)


def longest_s(workspace: Workspace) -> float:
    """Return how long a meeting lasts at most: a heartbeat is due well before the lease ends."""
    return lease_s(workspace) / INTERVALS_PER_LEASE


def sent(workspace: Workspace, extra: Extra, pushed: Pushed, *, began: float) -> None:
    """Note what a push that came through has brought there; each ref may have its own end."""
    there = {ref for ref, (status, _) in pushed.per_ref.items() if status == "ok"}
    here = workspace.hub.names.beat(workspace.machine.id) if workspace.hub else ""
    beating.confirmed(workspace, extra.beat if here in there else None, began)
    keeping.sent(workspace, [one for one in extra.kept if one.ref in there])
    ended = {ref for ref, (status, _) in pushed.per_ref.items() if status in {"ok", "refused"}}
    retiring.forget(workspace, {one.ref for one in extra.updates if one.new is None} & ended)


def came_through(workspace: Workspace, inflight: Inflight) -> None:
    """Note that a push came through whose answer was lost."""
    if inflight.boot == workspace.machine.boot:  # else its clock is gone, and it proves nothing
        beating.confirmed(workspace, inflight.beat, inflight.began)


def lease_s(workspace: Workspace) -> float:
    """Return the lease, as far as it can be read just now."""
    return _policy(workspace).lease_s


def _policy(workspace: Workspace) -> Policy:
    try:
        return workspace.policy()
    except WfledgerError:  # somebody is at ledger.json; a machine beats all the same
        return Policy()
