"""Who was overtaken again and again goes first: it says so, and the others leave it a turn.

It is said in the machine's heartbeat, whose ref nobody else pushes to: `overtaken` of rounds, and
`broken` of landings, which had to be made anew since others landed first. For each such heartbeat
another machine leaves one turn and no more, so one that dies holds nobody up (WFL-HUB-117).
`hub/turns.json` is written by whoever holds the lock of the sync; losing it costs one turn.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from wfledger.core.hub import goes_first
from wfledger.core.records import canonical_json
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
    #: What is said, and the machine -> its last heartbeat for which a turn was left.
    left: Mapping[str, str] = field(default_factory=dict)


def overtaken(workspace: Workspace) -> int:
    """Return in how many rounds in a row others came first, in this meeting and before."""
    return _read(workspace).overtaken


def broken(workspace: Workspace) -> int:
    """Return how many times in a row others landed where this machine was about to land."""
    return _read(workspace).broken


def note(workspace: Workspace, *, overtaken: int | None = None, broken: int | None = None) -> None:
    """Remember either."""
    known = _read(workspace)
    found = replace(
        known, overtaken=known.overtaken if overtaken is None else overtaken,
        broken=known.broken if broken is None else broken,
    )  # fmt: skip
    if found != known:
        _write(workspace, found)


def leaves(workspace: Workspace, hub: Hub, sight: Sight) -> bool:
    """Whether to leave this round to another machine; remembers that it was left."""
    return _leaves(workspace, hub, sight, "overtaken", own=overtaken(workspace))


def leaves_landing(workspace: Workspace, hub: Hub, sight: Sight) -> bool:
    """Whether to leave it to another machine to land first; remembers that it was left."""
    return _leaves(workspace, hub, sight, "broken", own=broken(workspace))


def _leaves(workspace: Workspace, hub: Hub, sight: Sight, what: str, *, own: int) -> bool:
    """Leave a turn to who goes first of all; to the next one when that one had it."""
    known, here = _read(workspace), workspace.machine.id
    said = [
        (getattr(fact, what, 0), machine, sight.refs.get(hub.names.beat(machine), ""))
        for machine, fact in sight.facts.items()
    ]
    first = [
        (count, machine, beat) for count, machine, beat in said
        if goes_first((count, machine), (own, here)) and known.left.get(f"{what} {machine}") != beat
    ]  # fmt: skip
    if not first:
        return False
    _, machine, beat = max(first)
    _write(workspace, replace(known, left={**known.left, f"{what} {machine}": beat}))
    return True


def _path(workspace: Workspace) -> Path:
    return folder(workspace.ledger.layout.local) / _FILE


def _read(workspace: Workspace) -> _Turns:
    try:
        facts = json.loads(_path(workspace).read_bytes())
        return _Turns(int(facts["overtaken"]), int(facts["broken"]), dict(facts["left"]))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return _Turns()


def _write(workspace: Workspace, turns: _Turns) -> None:
    tmp = workspace.ledger.layout.tmp
    atomic.replace(_path(workspace), canonical_json(asdict(turns)), tmp=tmp)
