"""How this machine stands with its remote, and who else works there; read from its own files.

Needs no network and takes no lock: a view is as old as the last meeting, and says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wfledger.clock import parse_iso
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.hub import diary, losses, poking, refusals, renewing
from wfledger.run.hub.machines import interval_of, machines, names
from wfledger.run.hub.state import read_state
from wfledger.run.looks.doing import Doing
from wfledger.run.presence import crews
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class RemoteView:
    """How this machine stands with its remote."""

    name: str
    #: The server; None where it is a folder.
    host: str | None
    #: When the remote was last seen, and last took a push of ours (UTC, ISO 8601).
    seen: str | None
    pushed: str | None
    #: How old what is shown of other machines is; None where nothing was seen yet.
    age_s: float | None
    #: Least seconds between two pushes of this machine.
    interval_s: float
    #: Changes made here that the remote does not have yet.
    unconfirmed: int
    #: Changes made here that were lost to others since somebody last asked.
    lost: int
    #: Whether a process of this machine syncs.
    is_synced: bool
    #: Since when meetings have failed; None where the last has not.
    away: str | None = None
    #: What is wrong, and the command that helps; "" and None where all is well.
    trouble: str = ""
    hint: str | None = None
    #: What goes wrong though machine and remote are in step, such as branches that it refuses.
    notes: tuple[str, ...] = ()
    #: Why a person has to decide before anything goes on: `rewound`, `foreign`, `twin`.
    stopped: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `status --json` prints as `remote`, but for its machines."""
        return {
            "name": self.name, "host": self.host, "seen": self.seen, "pushed": self.pushed,
            "age_s": None if self.age_s is None else round(self.age_s, 1),
            "interval_s": self.interval_s, "unconfirmed": self.unconfirmed, "lost": self.lost,
            "synced": self.is_synced, "away_since": self.away, "trouble": self.trouble or None,
            "notes": list(self.notes), "stopped": self.stopped, "command": self.hint,
        }  # fmt: skip


@dataclass(frozen=True)
class MachineRow:
    """One machine, and what it works on."""

    id: str
    #: What people call it; unlike any other's in the same table.
    name: str
    is_here: bool
    #: Seconds without a sign of life; whether that is long enough to take its work over.
    silent_s: float
    is_gone: bool
    #: When its last sign of life was seen here.
    seen: str | None
    #: Attempts at once, as it says; 0 where nobody there dispatches.
    slots: int
    #: Tasks that it works on and that it lands, and what it was given besides.
    tasks: tuple[str, ...]
    offered: int
    version: str
    #: Whether somebody there dispatches, though he may begin nothing just now.
    drives: bool = False
    #: Why the server does not take what it does, as it says, and since when.
    refused: str = ""
    refused_since: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `status --json` prints."""
        return {
            "id": self.id, "name": self.name, "here": self.is_here,
            "silent_s": round(self.silent_s, 1), "gone": self.is_gone, "seen": self.seen,
            "slots": self.slots, "running": len(self.tasks), "tasks": list(self.tasks),
            "offered": self.offered, "version": self.version, "drives": self.drives,
            "refused": self.refused or None, "refused_since": self.refused_since or None,
        }  # fmt: skip


@dataclass(frozen=True)
class AsOf:
    """How old what is shown of other machines is."""

    #: What people call the remote, and when it was last seen (UTC, ISO 8601).
    name: str
    seen: str | None
    age_s: float | None

    def as_json(self) -> dict[str, Any]:
        """Return what verbs that show tasks print as `remote`."""
        age = None if self.age_s is None else round(self.age_s, 1)
        return {"name": self.name, "seen": self.seen, "age_s": age}


def as_of(workspace: Workspace) -> AsOf | None:
    """Return how old what is shown of other machines is; None where there are none."""
    hub = workspace.hub
    if hub is None:
        return None
    seen = read_state(workspace.ledger.layout.local).seen
    return AsOf(hub.name, seen, _age_s(workspace, seen))


def outlook(workspace: Workspace, name: str, *, held: int) -> str:
    """Say when a task in whose way nothing is will be taken, where *held* others have a place.

    *name* is what people call the remote.
    """
    peers = [one for one in machines(workspace) if not one.is_gone]
    places = [
        max(crews(workspace).values(), default=0) if one.is_here
        else one.beat.slots if one.beat is not None else 0 for one in peers
    ]  # fmt: skip
    working = sum(1 for count in places if count)
    if not working:
        return "nothing is in its way, but no machine works on tasks that wait: wfledger daemon"
    if held >= sum(places):
        count, many = sum(places), working > 1
        where = f"on {working} machines" if many else "on the only machine that works"
        taken = f"all {count} places {where} are" if count > 1 else "the only place is"
        return f"nothing is in its way but that {taken} taken"
    return f"nothing is in its way; a machine takes it when it meets {name} next"


def remote_view(workspace: Workspace) -> RemoteView | None:
    """Return how this machine stands with its remote; None where it has none."""
    hub = workspace.hub
    if hub is None:
        return None
    state, record = read_state(workspace.ledger.layout.local), diary.last(workspace)
    well = record is None or record.outcome in {"quiet", "ok", "lost"}
    trouble, hint = (record.said, record.hint) if record is not None and not well else ("", None)
    if state.stopped is not None:
        from wfledger.run.hub import rewinding  # opens git

        trouble, hint = state.reason, rewinding.hint(state.stopped)
    over = [ref for ref in state.refuses if refusals.has_landed(workspace, ref)]
    notes = refusals.sentences(
        hub.names, hub.name, state.refuses, here=workspace.machine.id, over=over
    )
    if well and state.trouble and state.stopped is None:
        notes.append(state.trouble)
    synced = poking.is_synced_here(workspace)
    held = _held(workspace) if synced and state.stopped is None else None
    if held is not None:
        notes.append(f"nothing new begins on this machine: {held}")
    return RemoteView(
        hub.name, hub.host, state.seen, state.pushed, _age_s(workspace, state.seen),
        interval_of(workspace), sum(1 for _ in workspace.ledger.journal.records()),
        len(losses.read(workspace)) - diary.told(workspace).lost, synced,
        record.away if record is not None else None, trouble, hint, tuple(notes), state.stopped,
    )  # fmt: skip


def fleet(workspace: Workspace, doings: Iterable[Doing]) -> tuple[MachineRow, ...]:
    """Return every machine with those of *doings* that are its; this one first."""
    peers = machines(workspace)
    if not peers:
        return ()
    called = names(workspace)
    tasks: dict[str, list[str]] = {peer.id: [] for peer in peers}
    offered = dict.fromkeys(tasks, 0)
    for doing in doings:
        machine = doing.task.grant.machine if doing.task.grant is not None else ""
        if doing.is_offered:
            offered[machine] = offered.get(machine, 0) + 1
        else:
            tasks.setdefault(machine, []).append(doing.task.id)
    here, crew = workspace.ledger.names(Status.PENDING), crews(workspace)
    own = max(crew.values(), default=0)
    rows = []
    for peer in peers:
        beat = peer.beat
        rows.append(MachineRow(
            peer.id, called[peer.id], peer.is_here, peer.silent_s, peer.is_gone, peer.seen,
            own if peer.is_here else beat.slots if beat is not None else 0, tuple(tasks[peer.id]),
            len(here) if peer.is_here else offered[peer.id],
            beat.version if beat is not None else "",
            bool(crew) if peer.is_here else beat is not None and beat.drives,
            beat.refused if beat is not None and not peer.is_here else "",
            beat.refused_since if beat is not None and not peer.is_here else "",
        ))  # fmt: skip
    return tuple(rows)


def _held(workspace: Workspace) -> str | None:
    try:
        return renewing.held_back(workspace)
    except WfledgerError:  # a policy that cannot be read; who works here says so
        return None


def _age_s(workspace: Workspace, moment: str | None) -> float | None:
    if moment is None:
        return None
    return max((workspace.clock.now() - parse_iso(moment)).total_seconds(), 0.0)
