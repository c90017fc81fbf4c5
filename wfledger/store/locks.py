"""Which locks exist, their order, and what each protects (spec 10, "Locks").

A thread takes locks only downwards in this list; taking one upwards is a defect and raises.

    target    one landing at a time on a branch; held through merge and gate
    meeting   what is being pushed to the remote, until the answer is known (spec 97)
    history   one committer of the journal
    git       worktrees and wfledger's own refs
    ledger    every change of ledger files; held for milliseconds, never over a process or network
    sync      one fdatasync of the journal for all who wait
    trust     the record of what the shared git directory was when it was last known to be good
    provider  what this machine knows of the providers of models

Lock files live in the git common directory, outside of what `git clean` or a checkout touches, and
are never deleted. Liveness is a lock as well: see `LiveLock`.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from wfledger.clock import SystemClock
from wfledger.errors import BusyError, EnvironmentFailedError
from wfledger.store.holders import Holders

ORDER: Final = ("target", "meeting", "history", "git", "ledger", "sync", "trust", "provider")
#: filelock polls; this is the hand-off latency that a waiter pays (reliability: 0.05 costs 30 ms).
POLL_S: Final = 0.001
#: How long a live lock is tried before its holder counts as alive.
_LOOK_S: Final = 0.2
_FIRST_PAUSE_S: Final = 0.000_05
_CLOCK: Final = SystemClock()

_held = threading.local()


def _check_order(kind: str) -> list[str]:
    stack: list[str] = getattr(_held, "stack", [])
    _held.stack = stack
    if stack and ORDER.index(stack[-1]) >= ORDER.index(kind):
        raise RuntimeError(f"lock order: {kind} taken while {stack[-1]} is held")
    return stack


class Locks:
    """The named locks of one ledger on this machine; one object for each path and process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, FileLock]] = {}
        #: Where threads of this process wait for the locks that are held briefly.
        self._queues: dict[str, threading.Lock] = {}
        self._holders = Holders(folder)

    def _pair(self, name: str) -> tuple[threading.Lock, FileLock]:
        with self._guard:
            if name not in self._locks:
                path = self._folder / f"{name}.lock"
                lock = FileLock(path, poll_interval=POLL_S, fallback_to_soft=False)
                self._locks[name] = (threading.Lock(), lock)
            return self._locks[name]

    @contextmanager
    def hold(self, kind: str, name: str | None = None, *, timeout: float = 30.0) -> Iterator[None]:
        """Hold the lock *kind* (of *name*, for targets); raises `BusyError` after *timeout*.

        Threads of one process queue in memory first, since the file lock knows only processes.
        """
        stack = _check_order(kind)
        full = f"{kind}-{name}" if name else kind
        thread_lock, file_lock = self._pair(full)
        if not thread_lock.acquire(timeout=max(timeout, 0)):
            raise self._busy(kind, full, timeout)
        try:
            try:
                file_lock.acquire(timeout=timeout)
            except Timeout:
                raise self._busy(kind, full, timeout) from None
            except OSError as error:
                message = f"the {kind} lock cannot be taken: {error.strerror or error}"
                raise EnvironmentFailedError(message, path=str(self._folder)) from error
            self._holders.note(full)
            stack.append(kind)
            try:
                yield
            finally:
                stack.pop()
                file_lock.release()
        finally:
            thread_lock.release()

    @contextmanager
    def hold_briefly(self, kind: str, *, timeout: float = 30.0) -> Iterator[None]:
        """Hold the lock *kind* as `hold` does, for what is taken once for every change.

        It is taken by the system call itself: the bookkeeping of a `FileLock` costs more than a
        whole claim, and waiting at a fixed pace more than the sync that is waited for. Only the
        first of the threads that wait looks again: three hundred that did would starve the holder.
        """
        stack = _check_order(kind)
        queue = self._queues.setdefault(kind, threading.Lock())
        if not queue.acquire(timeout=max(timeout, 0)):
            raise self._busy(kind, kind, timeout)
        try:
            descriptor = self._descriptor(kind)
            try:
                if not _seize(descriptor, within_s=timeout):
                    raise self._busy(kind, kind, timeout)
                stack.append(kind)
                try:
                    yield
                finally:
                    stack.pop()
            finally:
                os.close(descriptor)
        finally:
            queue.release()

    def _descriptor(self, name: str) -> int:
        """Return a descriptor of our own, so that other objects on this path are kept out too."""
        path = self._folder / f"{name}.lock"
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            message = f"the {name} lock cannot be taken: {error.strerror or error}"
            raise EnvironmentFailedError(message, path=str(path)) from error

    def _busy(self, kind: str, name: str, timeout: float) -> BusyError:
        said, hint = self._holders.said(name)
        message = f"the {kind} lock was not free within {timeout:g} s{said}"
        return BusyError(message, hint=hint, lock=kind)


def _seize(descriptor: int, *, within_s: float) -> bool:
    """Take the lock, looking again after a pause that grows from a little to `POLL_S`."""
    pause, deadline = _FIRST_PAUSE_S, None
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = _CLOCK.elapsed()
            deadline = now + within_s if deadline is None else deadline
            if now >= deadline:
                return False
            _CLOCK.wait(pause)
            pause = min(pause * 2, POLL_S)
        else:
            return True


class LiveLock:
    """An flock that says "still alive" and that the kernel frees with its holder.

    The runtime of an attempt holds one for itself and gives its worker's processes another to
    inherit. Nobody needs to believe a pid (WFL-CLAIM-030).
    """

    def __init__(
        self, path: Path, *, inheritable: bool = False, within_s: float = _LOOK_S
    ) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self.descriptor = os.open(path, flags, 0o644)
        # Perhaps only `is_alive` looks, which holds it for a moment.
        if not _seize(self.descriptor, within_s=within_s):
            os.close(self.descriptor)
            raise BusyError(f"{path.name} is alive already", lock="live")
        os.set_inheritable(self.descriptor, inheritable)

    @property
    def is_held(self) -> bool:
        """Whether this object has not let go yet."""
        return self.descriptor >= 0

    def is_at(self, path: Path) -> bool:
        """Whether *path* still is the file of this lock, and not its successor's."""
        try:
            return os.path.samestat(path.stat(), os.fstat(self.descriptor))
        except OSError:
            return False

    def release(self) -> None:
        """Let go; processes that inherited the descriptor keep the lock alive."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def is_alive(path: Path) -> bool:
    """Whether anybody holds the live lock at *path*; a lock that never was is not alive."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
