"""For how long the other machines have been silent, as fetch after fetch of this boot has seen it.

The observations of all processes of this machine are one: `hub/heard.json`, written by whoever
holds the lock of the sync, after each fetch that got through.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from wfledger.clock import iso
from wfledger.core.records import canonical_json
from wfledger.core.silence import Heard, Sight, look, window_s
from wfledger.core.statuses import Status
from wfledger.run.hub.state import folder
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

_FILE: Final = "heard.json"


def observe(
    workspace: Workspace, beats: Mapping[str, str], wrote: Collection[str], *,
    began: float, interval_s: float, lease_s: float,
) -> dict[str, float]:  # fmt: skip
    """Take a fetch into account that got through; returns how long each machine has been silent.

    *began* is when it began, by `clock.awake()`; *beats* is what it found of each machine and
    *wrote* who has put commits into the history since the fetch before. The present machine is
    never silent. Raises `OSError` where it cannot be kept.
    """
    here = workspace.machine.id
    others = {machine: oid for machine, oid in beats.items() if machine != here}
    data = _load(workspace)
    seen = look(
        _sight(data, workspace.machine.boot), now=began, window=window_s(interval_s, lease_s),
        beats=others, wrote=wrote, expected=_expected(workspace) - {here},
    )  # fmt: skip
    dated = _dated(data.get("dated", {}), seen, iso(workspace.clock.now()))
    kept = {machine: [heard.value, heard.for_s] for machine, heard in seen.heard.items()}
    facts = {"boot": workspace.machine.boot, "at": seen.at, "heard": kept, "dated": dated}
    layout = workspace.ledger.layout
    atomic.replace(_path(workspace), canonical_json(facts), tmp=layout.tmp)
    return seen.silence()


def heard(workspace: Workspace) -> dict[str, Heard]:
    """Return what was last heard of each other machine; reads one file."""
    return dict(_sight(_load(workspace), workspace.machine.boot).heard)


def changed(workspace: Workspace) -> dict[str, str]:
    """Return when this machine first saw the last heartbeat of each other one, by its own clock.

    For people and for clearing away; it outlives the boot, and nothing else is decided by it.
    """
    return {machine: at for machine, (_, at) in _load(workspace).get("dated", {}).items()}


def _expected(workspace: Workspace) -> set[str]:
    """Return the machines that hold a task, whether they have ever beaten or not."""
    hot = (status for status in Status if status.holds_scope)
    held = (task for status in hot for task in workspace.ledger.tasks(status))
    return {task.grant.machine for task in held if task.grant is not None}


def _dated(before: Mapping[str, Any], seen: Sight, now: str) -> dict[str, list[str]]:
    found = {}
    for machine, one in seen.heard.items():
        value, at = before.get(machine, ("", now))
        found[machine] = [one.value, at if value == one.value else now]
    return found


def _sight(data: Mapping[str, Any], boot: str) -> Sight:
    if data.get("boot") != boot:
        return Sight()  # the clock that it was counted by is gone
    try:
        known = {name: Heard(str(value), float(for_s))
                 for name, (value, for_s) in data["heard"].items()}  # fmt: skip
        return Sight(float(data["at"]), known)
    except (KeyError, TypeError, ValueError, AttributeError):
        return Sight()


def _load(workspace: Workspace) -> dict[str, Any]:
    try:
        data = json.loads(_path(workspace).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _path(workspace: Workspace) -> Path:
    return folder(workspace.ledger.layout.local) / _FILE
