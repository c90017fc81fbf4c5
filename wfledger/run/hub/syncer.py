"""Whoever syncs: one process of a machine meets the remote again and again, and the rest poke it.

The lock `live/sync` says who that is (WFL-HUB-140). It is held for life: when its holder dies,
another process that works here finds it free and goes on. All that meetings know is on disk.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from wfledger.errors import BusyError, WfledgerError
from wfledger.run.hub import poking
from wfledger.run.hub.attending import MEETING_S, Attending, Meeting, together
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.telling import Telling
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

#: How often pokes are looked for, and whether it is our turn.
_LOOK_S: Final = 0.1
_TURN_S: Final = 0.5
#: Longest wait for the last meeting of who leaves.
_LEAVE_S: Final = 10.0

Report = Callable[[str, str], None]


class Syncer:
    """Syncs in a thread of its own for as long as it is there, whenever nobody else does."""

    def __init__(
        self, workspace: Workspace, *, report: Report, woke: Callable[[], object],
        meeting: Meeting = together,
    ) -> None:  # fmt: skip
        self._workspace = workspace
        self._meeting = meeting
        self._telling = Telling(workspace, report)
        self._woke = woke
        self._lock: LiveLock | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def tend(self) -> None:
        """Begin, once the ledger has a remote; doing it again does nothing."""
        if not self._workspace.is_shared or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._live, name="sync", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, after one more meeting where there is something to go out and the remote is there.

        Returns within seconds: what did not go out is in the journal, for who syncs next.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._over.set()
        thread.join(_LEAVE_S)

    # -- in the thread ---------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            while not self._over.is_set():
                if self._has_turn():
                    self._attend_safely()
                self._over.wait(_TURN_S)
        finally:
            if self._lock is not None:
                self._lock.release()

    def _attend_safely(self) -> None:
        try:
            self._attend()
        except (WfledgerError, OSError) as error:  # what it rests on cannot be read just now
            self._telling.tell(Met("failed", str(error)))

    def _attend(self) -> None:
        """Meet the remote for as long as it is our turn, and once more before we go."""
        attending = Attending(self._workspace, self._meeting)
        while not self._over.is_set() and self._has_turn():
            if attending.is_due():
                self._tell(attending.meet(within_s=MEETING_S))
            self._over.wait(_LOOK_S)
        if self._lock is not None and attending.has_last_word():
            self._tell(attending.meet(within_s=_LEAVE_S))

    def _tell(self, met: Met) -> None:
        self._telling.tell(met)
        if met.is_news:
            self._woke()

    def _has_turn(self) -> bool:
        """Whether it is ours to sync: the lock is free, or was ours already."""
        path = poking.lock_path(self._workspace)
        if self._lock is not None and self._lock.is_at(path):
            return True
        if self._lock is not None:  # this machine's state was replaced
            self._lock.release()
            self._lock = None
        with suppress(BusyError, OSError):
            self._lock = LiveLock(path, within_s=0)
        return self._lock is not None
