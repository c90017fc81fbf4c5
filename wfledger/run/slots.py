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
        self._ours: dict[int, LiveLock] = {}

    def has_room(self) -> bool:
        """Whether not all of them are ours already."""
        return len(self._free()) > 0

    def take(self) -> LiveLock | None:
        """Return a free slot, held until released, or None when all are taken."""
        for number in self._free():
            try:
                lock = LiveLock(self._folder / f"{self._kind}-{number}", within_s=0)
            except BusyError:
                continue
            self._ours[number] = lock
            return lock
        return None

    def _free(self) -> list[int]:
        """Return the numbers that we do not hold ourselves."""
        self._ours = {number: lock for number, lock in self._ours.items() if lock.is_held}
        return [number for number in range(self.count) if number not in self._ours]
