"""The beat of a runtime: a counter that it raises for as long as it is scheduled at all.

A lock that is held says that its holder exists, not that it runs: a stopped process keeps every
lock. So a runtime, one for each engine or landing and not for each attempt, raises a number in
`beats/runtime-<id>` and writes that name into the locks that speak for it; who finds such a lock
held watches the number on a clock of its own (WFL-CLAIM-036).
"""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from wfledger.errors import BusyError, WfledgerError
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock, is_alive

PREFIX: Final = "runtime-"
#: Longest time between two beats; a sixth of a short lease is less.
_EVERY_S: Final = 1.0
_SHARE: Final = 6
_NAME_BYTES: Final = 64
#: Seconds for which a counter that nobody holds is left alone: its maker may be about to take it.
_SETTLE_S: Final = 3600.0


class Heart:
    """Beats in a thread from `start` to `close`; used as a context it does both.

    The number is written in place over as many bytes, so a full disk does not stop it.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.name = PREFIX + workspace.clock.short_id(12)
        self._lock: LiveLock | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to beat; doing it again does nothing."""
        if self._lock is None:
            folder = self._workspace.ledger.layout.beats
            _clear(self._workspace, folder)
            self._lock = LiveLock(folder / self.name)
            self._write(0)
            self._over.clear()
            self._thread = threading.Thread(target=self._beat, name=self.name, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop beating; only when no lock names this runtime any more."""
        if self._lock is None or self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._lock.path.unlink(missing_ok=True)
        self._lock.release()
        self._lock = None

    def sign(self, lock: LiveLock) -> None:
        """Write into *lock* that this runtime holds it, and in which process."""
        raw = f"{self.name}\n{os.getpid()}\n".encode()
        os.ftruncate(lock.descriptor, len(raw))
        os.pwrite(lock.descriptor, raw, 0)

    def _beat(self) -> None:
        number = 0
        while not self._over.wait(self._pause()):
            number += 1
            with suppress(OSError):  # the next beat may get through
                self._write(number)

    def _pause(self) -> float:
        """Return seconds to the next beat, by the lease as it is now."""
        try:
            return min(_EVERY_S, self._workspace.policy().lease_s / _SHARE)
        except (WfledgerError, OSError):
            return _EVERY_S

    def _write(self, number: int) -> None:
        if self._lock is not None:
            os.pwrite(self._lock.descriptor, b"%020d" % number, 0)


def signed_by(path: Path) -> str | None:
    """Return the runtime that holds the lock at *path* as it says there, or None."""
    name = _lines_of(path)[0]
    plain = name.removeprefix(PREFIX)
    return name if plain != name and plain.isalnum() else None


def process_of(path: Path) -> int | None:
    """Return the pid of the runtime that has signed the lock at *path*, or None."""
    pid = _lines_of(path)[1]
    return int(pid) if pid.isdecimal() else None


def _lines_of(path: Path) -> tuple[str, str]:
    try:
        raw = path.read_bytes()[:_NAME_BYTES]
    except OSError:
        return "", ""
    name, _, rest = raw.decode("ascii", "replace").partition("\n")
    return name.strip(), rest.partition("\n")[0]


def beats(workspace: Workspace) -> dict[str, str]:
    """Return the number of every runtime that has one; of one that is gone, what is left."""
    found = {}
    for path in workspace.ledger.layout.beats.glob(f"{PREFIX}*"):
        with suppress(OSError):
            found[path.name] = path.read_bytes()[:_NAME_BYTES].decode("ascii", "replace")
    return found


def _clear(workspace: Workspace, folder: Path) -> None:
    """Remove the counters of runtimes that died long ago."""
    oldest = workspace.clock.now().timestamp() - _SETTLE_S
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(OSError, BusyError):
            if path.stat().st_mtime < oldest and not is_alive(path):
                path.unlink()
