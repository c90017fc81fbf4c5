"""Who drives what on this machine: each engine says so by a lock that ends with its process.

For people who look: a run that nobody drives starts nothing, and `status` says so. And for who asks
a remote for work: how many attempts the engines here run at once (WFL-HUB-111).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.errors import BusyError
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock, is_alive

_PREFIX: Final = "drives-"
#: Stands for every run.
EVERY: Final = "*"
#: Seconds for which a lock that nobody holds is left alone: its maker may be about to take it.
_SETTLE_S: Final = 60.0


@dataclass
class Crew:
    """What an engine says of itself while it lives."""

    _lock: LiveLock | None
    #: Attempts that it runs at once; 0 while it begins none.
    slots: int = -1

    def say(self, slots: int) -> None:
        """Say how many attempts are run at once from now on."""
        if slots != self.slots and self._lock is not None:
            # One short write at the start: a reader sees the old number or the new one.
            os.pwrite(self._lock.descriptor, b"%7d\n" % slots, 0)
        self.slots = slots


@contextmanager
def driving(workspace: Workspace, run_id: str | None, *, slots: int) -> Iterator[Crew]:
    """Say while the block lasts that this process drives a run, or with None every run."""
    folder = workspace.ledger.layout.local / "live"
    _clear(workspace, folder)
    name = f"{_PREFIX}{run_id or EVERY}-{workspace.clock.short_id()}"
    try:
        lock = LiveLock(folder / name)
    except (BusyError, OSError):  # nothing but what people see depends on it
        yield Crew(None)
        return
    try:
        crew = Crew(lock)
        crew.say(slots)
        yield crew
    finally:
        lock.path.unlink(missing_ok=True)
        lock.release()


def driven(workspace: Workspace) -> frozenset[str]:
    """Return the runs that somebody on this machine drives; `EVERY` where a daemon does."""
    return frozenset(_run_of(path) for path in _alive(workspace))


def crews(workspace: Workspace) -> dict[str, int]:
    """Return how many attempts are run at once here, by the run that is driven, or `EVERY`.

    Engines share the slots of their machine: of several for one run the largest counts.
    """
    found: dict[str, int] = {}
    for path in _alive(workspace):
        with suppress(OSError, ValueError):  # it ends, or begins, at this moment
            slots = int(path.read_bytes())
            found[_run_of(path)] = max(found.get(_run_of(path), 0), slots)
    return found


def is_driven(run_id: str, drivers: frozenset[str]) -> bool:
    """Whether one of *drivers* looks after a run."""
    return EVERY in drivers or run_id in drivers


def _alive(workspace: Workspace) -> Iterator[Path]:
    folder = workspace.ledger.layout.local / "live"
    return (path for path in folder.glob(f"{_PREFIX}*") if is_alive(path))


def _run_of(path: Path) -> str:
    return path.name.removeprefix(_PREFIX).rpartition("-")[0]


def _clear(workspace: Workspace, folder: Path) -> None:
    oldest = workspace.clock.now().timestamp() - _SETTLE_S
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest and not is_alive(path):
                path.unlink()
