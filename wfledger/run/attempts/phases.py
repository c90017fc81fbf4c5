"""What an attempt does just now, as its runtime, its merger or its worker last said.

A note is a small file of this machine, for people who look (`core.states`); nothing is decided by
it, and trouble with writing one never stops work. It goes with the attempt's other local files.
"""

import json
from collections.abc import Container
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from wfledger.clock import iso, parse_iso
from wfledger.core.records import canonical_json
from wfledger.core.text import clean_line
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

_FOLDER: Final = "phases"
_TEXT: Final = 200


@dataclass(frozen=True)
class Phase:
    """One note: the state, since when (UTC, ISO 8601), and a line for people."""

    state: str
    since: str
    text: str = ""


def note(
    workspace: Workspace, task_id: str, attempt: int, state: str, *, text: str = ""
) -> None:
    """Write down what an attempt does now; the same state keeps the moment that it began."""
    layout = workspace.ledger.layout
    path = _path(workspace, task_id, attempt)
    known = phase_of(workspace, task_id, attempt)
    since = known.since if known and known.state == state else iso(workspace.clock.now())
    said = Phase(state, since, clean_line(text, _TEXT))
    if said == known:
        return
    with suppress(OSError):
        raw = canonical_json(asdict(said))
        try:
            atomic.replace(path, raw, tmp=layout.tmp)
        except FileNotFoundError:  # the first note on this machine
            path.parent.mkdir(exist_ok=True)
            atomic.replace(path, raw, tmp=layout.tmp)


def phase_of(workspace: Workspace, task_id: str, attempt: int) -> Phase | None:
    """Return what was last said of an attempt on this machine, or None."""
    try:
        said = Phase(**json.loads(_path(workspace, task_id, attempt).read_bytes()))
        parse_iso(said.since)
    except (OSError, ValueError, TypeError):
        return None
    return Phase(str(said.state), said.since, clean_line(str(said.text), _TEXT))


def forget(
    workspace: Workspace, task_id: str, attempt: int, *, unless: Container[str] = ()
) -> None:
    """Remove what was said of an attempt, *unless* that is one of these states."""
    said = phase_of(workspace, task_id, attempt)
    if said is not None and said.state in unless:
        return
    with suppress(OSError):  # what stays, housekeeping removes
        _path(workspace, task_id, attempt).unlink()


def _path(workspace: Workspace, task_id: str, attempt: int) -> Path:
    layout = workspace.ledger.layout
    return layout.local / _FOLDER / f"{layout.attempt_name(task_id, attempt)}.json"
