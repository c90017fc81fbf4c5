"""Who was overtaken again and again goes first: it says so, and the others leave it a turn.

It is said in the machine's heartbeat (`overtaken`), whose ref nobody else pushes to. For each such
heartbeat another machine leaves one turn and no more, so one that dies holds nobody up
(WFL-HUB-117). `hub/turns.json` is written by whoever holds the lock of the sync; losing it costs
one turn.
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
    #: Machine -> its last heartbeat for which a turn was left.
    left: Mapping[str, str] = field(default_factory=dict)


def overtaken(workspace: Workspace) -> int:
    """Return in how many rounds in a row others came first, in this meeting and before."""
    return _read(workspace).overtaken


def note(workspace: Workspace, count: int) -> None:
    """Remember in how many it was."""
    known = _read(workspace)
    if known.overtaken != count:
        _write(workspace, replace(known, overtaken=count))


def leaves(workspace: Workspace, hub: Hub, sight: Sight) -> bool:
    """Whether to leave this turn to another machine; remembers that it was left."""
    here, known = workspace.machine.id, _read(workspace)
    first: dict[str, str] = {}
    for machine, fact in sight.facts.items():
        said = getattr(fact, "overtaken", 0)
        beat = sight.refs.get(hub.names.beat(machine), "")
        is_new = known.left.get(machine) != beat
        if is_new and goes_first((said, machine), (known.overtaken, here)):
            first[machine] = beat
    if first:
        _write(workspace, replace(known, left={**known.left, **first}))
    return bool(first)


def _path(workspace: Workspace) -> Path:
    return folder(workspace.ledger.layout.local) / _FILE


def _read(workspace: Workspace) -> _Turns:
    try:
        facts = json.loads(_path(workspace).read_bytes())
        return _Turns(int(facts["overtaken"]), dict(facts["left"]))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return _Turns()


def _write(workspace: Workspace, turns: _Turns) -> None:
    tmp = workspace.ledger.layout.tmp
    atomic.replace(_path(workspace), canonical_json(asdict(turns)), tmp=tmp)
