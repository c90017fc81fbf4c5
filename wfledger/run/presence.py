"""Who drives what on this machine: each engine says so by a lock that ends with its process.

For people who look: a run that nobody drives starts nothing, and `status` says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def driving(workspace: Workspace, run_id: str | None) -> Iterator[None]:
    """Say while the block lasts that this process drives a run, or with None every run."""
    folder = workspace.ledger.layout.local / "live"
    _clear(workspace, folder)
    name = f"{_PREFIX}{run_id or EVERY}-{workspace.clock.short_id()}"
    try:
        lock = LiveLock(folder / name)
    except (BusyError, OSError):  # nothing but what people see depends on it
        yield
        return
    try:
        yield
    finally:
        lock.path.unlink(missing_ok=True)
        lock.release()


def driven(workspace: Workspace) -> frozenset[str]:
    """Return the runs that somebody on this machine drives; `EVERY` where a daemon does."""
    folder = workspace.ledger.layout.local / "live"
    return frozenset(_run_of(path) for path in folder.glob(f"{_PREFIX}*") if is_alive(path))


def is_driven(run_id: str, drivers: frozenset[str]) -> bool:
    """Whether one of *drivers* looks after a run."""
    return EVERY in drivers or run_id in drivers


def _run_of(path: Path) -> str:
    return path.name.removeprefix(_PREFIX).rpartition("-")[0]


def _clear(workspace: Workspace, folder: Path) -> None:
    oldest = workspace.clock.now().timestamp() - _SETTLE_S
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest and not is_alive(path):
                path.unlink()
