"""The heartbeat of this machine on the remote: a commit of its own that says it is still there.

It goes with every push, and alone only when a third of the lease has passed without one. It is
pushed with a lease on the one before; that another one is there means that a second clone goes by
our name, as a copied folder does, and then nothing goes on (WFL-HUB-055). What was pushed and what
may have been is noted durably before each push, so a lost answer is no twin.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from platform import node
from typing import Any, Final, Literal

from wfledger import __version__
from wfledger.clock import iso
from wfledger.core.records import Id, Record, Seconds, canonical, canonical_json, parse
from wfledger.core.text import clean_line
from wfledger.errors import WfledgerError
from wfledger.run.hub import turns
from wfledger.run.hub.state import folder
from wfledger.run.presence import crews
from wfledger.run.slots import held
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

FILE: Final = "beat.json"
_BYTES: Final = 64 * 1024
#: Characters of a name.
NAME_CHARS: Final = 60
#: A third of the lease without a push makes a heartbeat due.
_PER_LEASE: Final = 3
#: Pushes whose answers were lost, at most; more than there are between two fetches.
_OPEN: Final = 64


class Beat(Record):
    """What a machine says of itself; nothing is decided by it but who is shown to people."""

    kind: Literal["wfledger.beat/1"] = "wfledger.beat/1"
    machine: Id
    #: The host's name, as people know the machine.
    name: str = ""
    #: Rises with each.
    number: int
    #: Whether somebody there dispatches, and how many attempts at once just now.
    drives: bool = False
    slots: int = 0
    running: int = 0
    #: What it offers to tasks that need something.
    offers: tuple[str, ...] = ()
    version: str = ""
    #: Since when it shares the ledger, and when it said this; by its own clock, for people.
    since: str = ""
    at: str = ""
    interval_s: Seconds | None = None
    #: In how many rounds in a row others came first, and landed first: they leave it a turn.
    overtaken: int = 0
    broken: int = 0
    #: How long a round takes it, from the look to the end of the push.
    round_s: Seconds | None = None
    #: Why the server does not take what this machine does, in its words, and since when.
    refused: str = ""
    refused_since: str = ""


@dataclass(frozen=True)
class Beating:
    """A heartbeat to be pushed: its ref, what it becomes, and what it is now (None: not there)."""

    ref: str
    new: str
    old: str | None


@dataclass(frozen=True)
class _Note:
    """What this machine remembers of its heartbeats."""

    number: int = 0
    since: str = ""
    #: The last one that is known to be on the remote, and those that may have come through since.
    confirmed: str | None = None
    unsettled: tuple[str, ...] = ()
    #: When the last push began that was confirmed, by CLOCK_BOOTTIME, and in which boot and place.
    pushed: float | None = None
    where: str = ""


def compose(
    workspace: Workspace, seen: str | None, *, interval_s: float | None, overtaken: int = 0,
    refused: str = "", round_s: float = 0.0,
) -> Beating:  # fmt: skip
    """Make the next heartbeat, to replace *seen*; noted durably on return.

    *round_s* is how long a round takes, 0.0 where that is not known;
    *refused* is why the server does not take what else this machine would push.
    """
    hub = workspace.hub
    if hub is None:
        raise ValueError("a ledger without a remote has no heartbeat")
    note, now = _read(workspace), iso(workspace.clock.now())
    number, since = note.number + 1, note.since or now
    beat = Beat(
        machine=workspace.machine.id, name=own_name(workspace), number=number,
        since=since, at=now, version=__version__, interval_s=interval_s,
        overtaken=overtaken, broken=turns.broken(workspace),
        round_s=round(round_s, 3) or None, **_refused(workspace, note, refused, now),
        **_facts(workspace),
    )  # fmt: skip
    files, text, when = {FILE: canonical(beat)}, f"beat {number}\n", workspace.clock.now()
    if hub.space == "branches" and seen is not None:
        # Servers may keep branches from moving to what does not descend from what they were.
        commit = workspace.history.compose(seen, files, message=text, when=when)
    else:
        commit = workspace.history.lone(files, message=text, when=when)
    unsettled = (*note.unsettled, commit)[-_OPEN:]
    _write(workspace, replace(note, number=number, since=since, unsettled=unsettled))
    return Beating(hub.names.beat(workspace.machine.id), commit, seen)


def _refused(workspace: Workspace, note: _Note, words: str, now: str) -> Mapping[str, Any]:
    if not words:
        return {}
    before = read(workspace, note.confirmed or "")
    since = before.refused_since if before is not None and before.refused else ""
    return {"refused": clean_line(words), "refused_since": since or now}


def own_name(workspace: Workspace) -> str:
    """Return what people call this machine: as somebody has named it, else its host's name."""
    try:
        facts = json.loads((workspace.ledger.layout.local / "machine.json").read_text("utf-8"))
        named = str(facts.get("name") or "")
    except (OSError, ValueError, AttributeError):
        named = ""
    return clean_line(named or node())[:NAME_CHARS]


def _facts(workspace: Workspace) -> Mapping[str, Any]:
    try:
        found = crews(workspace)
        return {
            "drives": bool(found), "slots": max(found.values(), default=0),
            "running": held(workspace, "slot"), "offers": tuple(sorted(workspace.fleet().offers)),
        }  # fmt: skip
    except WfledgerError:  # a fleet.toml that cannot be read is no reason to be taken for dead
        return {}


def confirmed(workspace: Workspace, commit: str | None, began: float) -> None:
    """Note that a push has come through that *began* then, by `clock.elapsed()`.

    *commit* is the heartbeat that it carried.
    """
    note = _read(workspace)
    if commit is not None:
        note = replace(note, confirmed=commit, unsettled=())
    _write(workspace, replace(note, pushed=began, where=_where(workspace)))


def take_for_ours(workspace: Workspace, seen: str | None) -> None:
    """Note that *seen* is a heartbeat of this machine.

    For a remote that was put back to it, or where this machine has shared a ledger before.
    """
    _path(workspace).parent.mkdir(exist_ok=True)
    _write(workspace, replace(_read(workspace), confirmed=seen, unsettled=()))


def twin(workspace: Workspace, seen: str | None) -> str | None:
    """Return why nothing may go on where *seen*, our heartbeat on the remote, is not ours."""
    note = _read(workspace)
    if seen is None or seen == note.confirmed or seen in note.unsettled:
        return None
    beat = read(workspace, seen)
    # Of two clones with one id the one that is behind pushes nothing: what is older than what this
    # one had confirmed comes of a server that was put back, or of a copy of it that lagged.
    if beat is not None and beat.number < note.number - len(note.unsettled):
        return None
    return (
        f"another clone pushes as this machine ({workspace.machine.id}): one was copied from the "
        "other, or this one was restored from a backup"
    )


def renewed_s(workspace: Workspace) -> float | None:
    """Return how many seconds ago the last push began that was confirmed; suspended time counts.

    None where none was in this boot and this folder: a copy of a clone knows nothing.
    """
    note = _read(workspace)
    if note.pushed is None or note.where != _where(workspace):
        return None
    return max(workspace.clock.elapsed() - note.pushed, 0.0)


def due(workspace: Workspace, *, lease_s: float) -> bool:
    """Whether a heartbeat is to be pushed though there is nothing else to push.

    Also where the last one says something else of this machine than is so: a daemon that came or
    went.
    """
    age = renewed_s(workspace)
    return age is None or age >= lease_s / _PER_LEASE or _is_outdated(workspace)


def _is_outdated(workspace: Workspace) -> bool:
    said = read(workspace, latest(workspace))
    facts = {"name": own_name(workspace), "version": __version__, **_facts(workspace)}
    facts.pop("running", None)  # that changes too often to be told by itself
    return said is not None and any(getattr(said, name) != found for name, found in facts.items())


def latest(workspace: Workspace) -> str:
    """Return the last heartbeat of this machine that came through, or ""."""
    return _read(workspace).confirmed or ""


def read(workspace: Workspace, commit: str) -> Beat | None:
    """Return what a heartbeat says; None where it cannot be read, which beats all the same."""
    if not commit:
        return None
    try:
        raw = workspace.repo.read_blob(commit, FILE)
        return parse(Beat, raw, limit=_BYTES) if raw is not None else None
    except WfledgerError:
        return None


def forget(workspace: Workspace) -> None:
    """Begin anew, as a machine that has never beaten."""
    _path(workspace).unlink(missing_ok=True)


def _where(workspace: Workspace) -> str:
    """Return the boot and the folder that a note is good for."""
    facts = workspace.ledger.layout.local.stat()
    return f"{workspace.machine.boot} {facts.st_dev}:{facts.st_ino}"


def _path(workspace: Workspace) -> Path:
    return folder(workspace.ledger.layout.local) / FILE


def _read(workspace: Workspace) -> _Note:
    try:
        facts = json.loads(_path(workspace).read_bytes())
        return _Note(**{**facts, "unsettled": tuple(facts["unsettled"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return _Note()


def _write(workspace: Workspace, note: _Note) -> None:
    tmp = workspace.ledger.layout.tmp
    atomic.replace(_path(workspace), canonical_json(asdict(note)), tmp=tmp, durable=True)
