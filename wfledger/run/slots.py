"""Slots of this machine: locks, so that every `run` beside another shares them (spec 50)."""

import os
from typing import Final

from wfledger.errors import BusyError
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

#: Slots of a machine of which nothing is said: not more than this, nor than it has processors.
DEFAULT: Final = 8


def count_of(workspace: Workspace, asked: int | None = None) -> int:
    """Return how many attempts may run at once: as asked, as configured, or as fits the machine."""
    configured = asked or workspace.policy().slots or workspace.fleet().workers
    return configured or min(DEFAULT, os.cpu_count() or 1)


class Slots:
    """A number of slots, of which each can be held once on this machine."""

    def __init__(self, workspace: Workspace, count: int, *, kind: str = "slot") -> None:
        self._folder = workspace.ledger.layout.local / "live"
        self._kind = kind
        self.count = count

    def take(self) -> LiveLock | None:
        """Return a free slot, held until released, or None when all are taken."""
        for number in range(self.count):
            try:
                return LiveLock(self._folder / f"{self._kind}-{number}")
            except BusyError:
                continue
        return None
