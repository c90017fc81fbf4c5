"""Asking whoever syncs on this machine for a meeting: two files whose times say when.

`hub/poke` says that something may have to go out; it is heeded when the interval allows. `hub/now`
says that somebody waits for a meeting, and makes one begin at once. Losing either costs at most the
wait for the next regular meeting.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.clock import Clock
from wfledger.run.hub.state import folder
from wfledger.run.workspace import Workspace
from wfledger.store.locks import is_alive

_POKE: Final = "poke"
_NOW: Final = "now"
_LOCK: Final = "sync"


@dataclass(frozen=True)
class Pokes:
    """When somebody asked last, in nanoseconds; 0 for never."""

    poke: int
    now: int


def poke(workspace: Workspace) -> None:
    """Say that something may have to go out."""
    _touch(workspace, _POKE)


def ask(workspace: Workspace) -> int:
    """Ask for a meeting at once; returns the moment that its record will name, or a later one."""
    return _touch(workspace, _NOW)


def pokes(workspace: Workspace) -> Pokes:
    """Return when somebody asked last."""
    at = folder(workspace.ledger.layout.local)
    return Pokes(_changed(at / _POKE), _changed(at / _NOW))


def lock_path(workspace: Workspace) -> Path:
    """Return the lock that one process of the machine holds for as long as it syncs."""
    return workspace.ledger.layout.local / "live" / _LOCK


def is_synced_here(workspace: Workspace) -> bool:
    """Whether a living process of this machine syncs."""
    return is_alive(lock_path(workspace))


def _touch(workspace: Workspace, name: str) -> int:
    path = folder(workspace.ledger.layout.local) / name
    path.touch(0o644)
    # Finer than the system's own: two that come within one tick of its clock are two.
    moment = _nanoseconds(workspace.clock)
    os.utime(path, ns=(moment, moment))
    return path.stat().st_mtime_ns


def _nanoseconds(clock: Clock) -> int:
    return int(clock.now().timestamp() * 1_000_000) * 1000


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
