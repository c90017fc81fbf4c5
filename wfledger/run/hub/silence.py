"""For how long the other machines have been silent, as fetch after fetch of this boot has seen it.

The observations of all processes of this machine are one: `hub/heard.json`, written by whoever
holds the lock of the sync, after each fetch that got through.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from wfledger.clock import iso, parse_iso
from wfledger.core.policy import Policy
from wfledger.core.records import canonical_json
from wfledger.core.silence import Heard, Hearing, look, window_s
from wfledger.run.hub import beating
from wfledger.run.hub.state import folder
from wfledger.run.looks.holding import holding
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
    found = {**dict.fromkeys(_expected(workspace), ""), **beats}
    others = {machine: oid for machine, oid in found.items() if machine != here}
    data = _load(workspace)
    before, window = _hearing(data, workspace.machine.boot), window_s(interval_s, lease_s)
    took_s = max(workspace.clock.awake() - began, 0.0)
    seen = look(before, now=began, window=window, beats=others, wrote=wrote, took_s=took_s)
    is_close = before.at is not None and 0 <= began - before.at <= window
    dates = _dated(workspace, data.get("dated", {}), seen, is_close=is_close)
    kept = {machine: [heard.value, heard.for_s] for machine, heard in seen.heard.items()}
    facts = {"boot": workspace.machine.boot, "at": seen.at, "heard": kept, "dated": dates}
    layout = workspace.ledger.layout
    atomic.replace(_path(workspace), canonical_json(facts), tmp=layout.tmp)
    return seen.silence()


def heard(workspace: Workspace) -> dict[str, Heard]:
    """Return what was last heard of each other machine; reads one file."""
    return dict(_hearing(_load(workspace), workspace.machine.boot).heard)


@dataclass(frozen=True)
class Dated:
    """When a machine was heard of last, by the wall clock of this one; it outlives the boot.

    For people and for clearing away; nothing that must be sound is decided by it.
    """

    value: str
    #: When this machine first saw *value* (UTC, ISO 8601).
    at: str
    #: What to add to a moment of its clock to have it by ours; None: nobody knows.
    apart_s: float | None = None


def dated(workspace: Workspace) -> dict[str, Dated]:
    """Return when each other machine was heard of last."""
    return _dates(_load(workspace).get("dated", {}))


def outdated(workspace: Workspace, policy: Policy) -> dict[str, str]:
    """Return the heartbeats of machines that have long been gone and hold nothing any more.

    They may go from the remote: a machine that comes back makes another one.
    """
    oldest = workspace.clock.now() - timedelta(seconds=policy.retention.refs_s)
    silent, known = heard(workspace), dated(workspace)
    found = {
        machine: one.value for machine, one in silent.items()
        if one.value and one.for_s >= policy.lease_s and parse_iso(known[machine].at) < oldest
    }  # fmt: skip
    if not found:
        return {}
    needed = _expected(workspace) | {run.home for run in workspace.ledger.runs()}
    return {machine: value for machine, value in found.items() if machine not in needed}


def _dates(data: Any) -> dict[str, Dated]:
    try:
        return {machine: Dated(*entry) for machine, entry in data.items()}
    except (AttributeError, TypeError):
        return {}


def _expected(workspace: Workspace) -> set[str]:
    """Return the machines that hold a task or are home to a run, whether they beat or not."""
    held = holding(workspace.ledger)
    open_runs = (run for run in workspace.ledger.runs() if run.state in {"open", "paused"})
    homes = {run.home for run in open_runs if run.home is not None}
    return homes | {task.grant.machine for task in held if task.grant is not None}


def _dated(
    workspace: Workspace, data: Any, seen: Hearing, *, is_close: bool
) -> dict[str, list[str | float | None]]:
    """Return what is known of each clock; one that is seen to beat tells what it shows.

    *is_close*: a heartbeat that is new was not there at the last fetch, a moment ago.
    """
    known, now, found = _dates(data), workspace.clock.now(), {}
    for machine, one in seen.heard.items():
        old = known.get(machine, Dated("", iso(now)))
        if old.value != one.value:
            apart = _apart(workspace, one.value, now) if is_close and old.value else None
            old = Dated(one.value, iso(now), old.apart_s if apart is None else apart)
        found[machine] = [old.value, old.at, old.apart_s]
    return found


def _apart(workspace: Workspace, commit: str, now: datetime) -> float | None:
    beat = beating.read(workspace, commit)
    try:
        return (now - parse_iso(beat.at)).total_seconds() if beat is not None else None
    except (ValueError, TypeError):
        return None


def _hearing(data: Mapping[str, Any], boot: str) -> Hearing:
    if data.get("boot") != boot:
        return Hearing()  # the clock that it was counted by is gone
    try:
        known = {name: Heard(str(value), float(for_s))
                 for name, (value, for_s) in data["heard"].items()}  # fmt: skip
        return Hearing(float(data["at"]), known)
    except (KeyError, TypeError, ValueError, AttributeError):
        return Hearing()


def _load(workspace: Workspace) -> dict[str, Any]:
    try:
        data = json.loads(_path(workspace).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _path(workspace: Workspace) -> Path:
    return folder(workspace.ledger.layout.local) / _FILE
