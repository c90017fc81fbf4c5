"""Who waits at a prompt for a task, where no engine asks the remote for any.

Each says so by a lock in `hub/wants/` that ends with its process: what a claimer who was killed
wanted is nobody's want.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.core.records import canonical_json
from wfledger.run.hub.state import folder
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock, is_alive

_FOLDER: Final = "wants"
#: Seconds for which a lock that nobody holds is left alone.
_SETTLE_S: Final = 60.0


@dataclass(frozen=True)
class Want:
    """One who would claim a task at once."""

    worker: str
    #: The task that is wanted; None: any.
    task: str | None = None


@contextmanager
def wanting(workspace: Workspace, want: Want) -> Iterator[None]:
    """Say while the block lasts that somebody waits for a task."""
    place = folder(workspace.ledger.layout.local) / _FOLDER
    place.mkdir(exist_ok=True)
    lock = LiveLock(place / workspace.clock.short_id(12))
    try:
        raw = canonical_json({"worker": want.worker, "task": want.task})
        os.pwrite(lock.descriptor, raw, 0)
        yield
    finally:
        lock.path.unlink(missing_ok=True)
        lock.release()


def wants(workspace: Workspace) -> list[Want]:
    """Return what those who live want; clears away what others have left."""
    found, oldest = [], workspace.clock.now().timestamp() - _SETTLE_S
    place = folder(workspace.ledger.layout.local) / _FOLDER
    for path in sorted(place.glob("*")):
        if not is_alive(path):
            _clear(path, oldest)
            continue
        with suppress(OSError, ValueError, KeyError, TypeError):  # it begins, or ends, just now
            facts = json.loads(path.read_bytes())
            found.append(Want(str(facts["worker"]), facts["task"]))
    return found


def _clear(path: Path, oldest: float) -> None:
    """Remove what its maker has left; not what he may be about to lock."""
    with suppress(OSError):
        if path.stat().st_mtime < oldest:
            path.unlink()
