"""Who was overtaken goes first: it says so, and the others wait for it.

It is said in the machine's heartbeat, whose ref nobody else pushes to: `overtaken` of rounds, and
`broken` of landings, which had to be made anew since others landed first. One that dies when it has
said so holds nobody up for long (WFL-HUB-117). `hub/turns.json` is written by whoever holds the
lock of the sync; losing it costs one turn.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from wfledger.core import turns as core
from wfledger.core.records import canonical_json
from wfledger.core.turns import Caller, Waiting, before
from wfledger.run.hub.proposals import Sight
from wfledger.run.hub.state import Hub, folder
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

_FILE: Final = "turns.json"


@dataclass(frozen=True)
class _Turns:
    #: Rounds in a row in which others came first.
    overtaken: int = 0
    #: Times in a row that others landed on what a chain of landings here was built on.
    broken: int = 0
    #: Machine -> its last call for which landings were left out of a round, by `Caller.name`.
    left: Mapping[str, str] = field(default_factory=dict)
    #: Who is waited for in rounds, by `Clock.elapsed`.
    waiting: Waiting = field(default_factory=Waiting)
    #: Seconds that a round took in the last meeting, at its quickest.
    round_s: float = 0.0


def overtaken(workspace: Workspace) -> int:
    """Return in how many rounds in a row others came first, in this meeting and before."""
    return _read(workspace).overtaken


def broken(workspace: Workspace) -> int:
    """Return how many times in a row others landed where this machine was about to land."""
    return _read(workspace).broken


def round_s(workspace: Workspace) -> float:
    """Return how many seconds a round took here lately; 0.0: it is not known."""
    return _read(workspace).round_s


def note(
    workspace: Workspace, *, overtaken: int | None = None, broken: int | None = None,
    took_s: float | None = None,
) -> None:  # fmt: skip
    """Remember any of them; *took_s* is what a round of this meeting took."""
    known = _read(workspace)
    found = replace(
        known, overtaken=known.overtaken if overtaken is None else overtaken,
        broken=known.broken if broken is None else broken,
        round_s=known.round_s if took_s is None else round(took_s, 3),
    )  # fmt: skip
    if found != known:
        _write(workspace, found)


def ahead(workspace: Workspace, hub: Hub, sight: Sight, *, lease_s: float) -> list[Caller]:
    """Return the machines that push before this one; none: it is our turn."""
    known = _read(workspace)
    found, waiting = core.ahead(
        _callers(hub, sight, "overtaken"), Caller(known.overtaken, workspace.machine.id),
        known.waiting, now=workspace.clock.elapsed(), lease_s=lease_s,
    )  # fmt: skip
    if waiting != known.waiting:
        _write(workspace, replace(known, waiting=waiting))
    return found


def leaves_landing(workspace: Workspace, hub: Hub, sight: Sight) -> bool:
    """Whether to leave it to another machine to land first; remembers that it was left."""
    known = _read(workspace)
    own = Caller(known.broken, workspace.machine.id)
    first = [
        one for one in before(_callers(hub, sight, "broken"), own)
        if known.left.get(one.machine) != one.name
    ]  # fmt: skip
    if not first:
        return False
    left = {**known.left, first[0].machine: first[0].name}
    _write(workspace, replace(known, left=left))
    return True


def _callers(hub: Hub, sight: Sight, what: str) -> list[Caller]:
    return [
        Caller(getattr(fact, what, 0), machine, sight.refs.get(hub.names.beat(machine), ""),
               getattr(fact, "round_s", None) or 0.0)
        for machine, fact in sight.facts.items()
    ]  # fmt: skip


def _path(workspace: Workspace) -> Path:
    return folder(workspace.ledger.layout.local) / _FILE


def _read(workspace: Workspace) -> _Turns:
    try:
        facts = json.loads(_path(workspace).read_bytes())
        return _Turns(**{**facts, "waiting": Waiting(**facts["waiting"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return _Turns()


def _write(workspace: Workspace, turns: _Turns) -> None:
    tmp = workspace.ledger.layout.tmp
    atomic.replace(_path(workspace), canonical_json(asdict(turns)), tmp=tmp)
