"""Slots of this machine: locks, so that every `run` beside another shares them (spec 50)."""

import os
import re
from pathlib import Path
from typing import Final

from wfledger.errors import BusyError
from wfledger.run.beating import Heart, signed_by
from wfledger.run.liveness import look_for_stopped
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock, is_alive

#: Slots of a machine of which nothing is said: not more than this, nor than it has processors.
DEFAULT: Final = 8


def count_of(workspace: Workspace, asked: int | None = None) -> int:
    """Return how many attempts may run at once: as asked, as configured, or as fits the machine."""
    configured = asked or workspace.policy().slots or workspace.fleet().workers
    return configured or min(DEFAULT, os.cpu_count() or 1)


def all_taken(workspace: Workspace) -> bool:
    """Whether each slot that this machine is configured to have is held; changes nothing."""
    folder = workspace.ledger.layout.local / "live"
    return all(is_alive(folder / f"slot-{n}") for n in range(count_of(workspace)))


class Slots:
    """A number of slots, of which each can be held once on this machine.

    What a runtime holds that stands still does not count (WFL-CLAIM-039): for each there is another
    one. A zombie that goes on has more than its share for the moment in which it finds out.
    """

    def __init__(
        self, workspace: Workspace, count: int, *, heart: Heart, kind: str = "slot"
    ) -> None:
        self._workspace = workspace
        self._folder = workspace.ledger.layout.local / "live"
        self._kind = kind
        self._heart = heart
        self.count = count
        self._ours: dict[int, LiveLock] = {}

    def has_room(self) -> bool:
        """Whether not all of them are ours already."""
        self._ours = {number: lock for number, lock in self._ours.items() if lock.is_held}
        return len(self._ours) < self.count

    def take(self) -> LiveLock | None:
        """Return a free slot, held until released, or None when all are taken."""
        if not self.has_room():
            return None
        stopped: frozenset[str] | None = None
        number, end = 0, self.count
        while number < end:
            path = self._folder / f"{self._kind}-{number}"
            if number not in self._ours:
                lock = self._try(path)
                if lock is not None:
                    self._ours[number] = lock
                    return lock
                if stopped is None:
                    stopped = look_for_stopped(self._workspace, remember=False)
                end += signed_by(path) in stopped
            number += 1
        return None

    def _try(self, path: Path) -> LiveLock | None:
        try:
            lock = LiveLock(path, within_s=0)
        except BusyError:
            return None
        self._heart.sign(lock)
        return lock


def held(workspace: Workspace, kind: str) -> int:
    """Return how many slots of a kind are held on this machine, by whomever; changes nothing."""
    folder = workspace.ledger.layout.local / "live"
    numbered = re.compile(re.escape(kind) + r"-\d+")
    return sum(1 for path in folder.iterdir() if numbered.fullmatch(path.name) and is_alive(path))
