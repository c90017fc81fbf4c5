"""What a worker is given besides results: what was left for its role, and why work is done again.

The former are handoffs, the latter the reasons of a gate that has sent work back (spec 92, 4, 5).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from wfledger.core.documents import Task
from wfledger.core.records import canonical_json
from wfledger.run.workspace import Workspace

HANDOFFS: Final = "handoffs.json"
SENT_BACK: Final = "sent-back.json"
#: Bytes of one payload that are put into a prompt; beyond it the file is named.
_INLINE_BYTES: Final = 8192
#: Bytes of all of them together.
_INLINE_ALL: Final = 65_536


def write_handovers(workspace: Workspace, task: Task, folder: Path) -> None:
    """Write the files that *task* has a reason for (WFL-CTRL-050, WFL-CTRL-045)."""
    if task.spec.sent_back:
        (folder / SENT_BACK).write_bytes(canonical_json(list(task.spec.sent_back)))
    given = list(_received(workspace, task))
    if given:
        (folder / HANDOFFS).write_bytes(canonical_json(given))


def _received(workspace: Workspace, task: Task) -> Iterator[dict[str, Any]]:
    for place in task.received:
        result = workspace.ledger.result(place.task, place.attempt)
        if result is None or place.number >= len(result.handoffs):
            continue  # its result is gone, which doctor finds
        handoff = result.handoffs[place.number]
        yield {"from": place.task, "kind": handoff.kind, "payload": handoff.payload}


def about_handovers(folder: Path) -> Iterator[str]:
    """Yield what a prompt says of these files."""
    if (folder / SENT_BACK).exists():
        reasons = json.loads((folder / SENT_BACK).read_bytes())
        listed = "\n".join(f"- {reason}" for reason in reasons)
        yield f"## Why this is done again\n\nWhat was done before was sent back:\n\n{listed}"
    if not (folder / HANDOFFS).exists():
        return
    room = _INLINE_ALL
    for one in json.loads((folder / HANDOFFS).read_bytes()):
        text = canonical_json(one["payload"]).decode()
        fits = len(text.encode()) <= min(_INLINE_BYTES, room)
        room -= len(text.encode()) if fits else 0
        shown = f"```json\n{text}```" if fits else f"It is long; read it in {folder / HANDOFFS}"
        yield f"## Handed over by {one['from']}: {one['kind']}\n\n{shown}"
