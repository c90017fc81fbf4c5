"""What an attempt does just now, as its runtime, its merger or its worker last said.

A note is a small file of this machine, for people who look; nothing is decided by it, and trouble
with writing one never stops work. It goes with the attempt's other local files.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

from wfledger.clock import iso
from wfledger.core.records import canonical_json
from wfledger.core.text import clean_line
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

#: What a runtime or a merger says of an attempt.
OURS: Final = ("starting", "running", "silent", "keeping", "verifying", "merging", "gating")
#: What a worker may say of itself while it runs.
REPORTED: Final = ("running", "model_wait", "running_tool")
_FOLDER: Final = "phases"
_TEXT: Final = 200


@dataclass(frozen=True)
class Phase:
    """One note: the state, since when (UTC, ISO 8601), and a line for people."""

    state: str
    since: str
    text: str = ""


def note(workspace: Workspace, task_id: str, attempt: int, state: str, text: str = "") -> None:
    """Write down what an attempt does now; the same state keeps the moment that it began."""
    layout = workspace.ledger.layout
    name = layout.attempt_name(task_id, attempt)
    known = phase_of(workspace, task_id, attempt)
    since = known.since if known and known.state == state else iso(workspace.clock.now())
    said = Phase(state, since, clean_line(text, _TEXT))
    if said == known:
        return
    with suppress(OSError):
        folder = layout.local / _FOLDER
        folder.mkdir(exist_ok=True)
        atomic.replace(folder / f"{name}.json", canonical_json(asdict(said)), tmp=layout.tmp)


def phase_of(workspace: Workspace, task_id: str, attempt: int) -> Phase | None:
    """Return what was last said of an attempt on this machine, or None."""
    layout = workspace.ledger.layout
    path = layout.local / _FOLDER / f"{layout.attempt_name(task_id, attempt)}.json"
    try:
        return Phase(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
