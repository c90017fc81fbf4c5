"""The one daemon of a ledger on this machine: a lock held for life, and what it says of itself.

The lock alone decides whether there is one (WFL-DAEMON-010). What stands in the lock's file is for
people: it is written over in place, so that it can be on a full disk too.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from wfledger.errors import BusyError, EnvironmentFailedError
from wfledger.run.processes import proctree
from wfledger.run.service.survival import Setback
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock, is_alive

_NAME: Final = "daemon"
#: Size of what stands in the file; longer texts are cut.
_BYTES: Final = 8192
_SETBACKS: Final = 8
_LOOK_S: Final = 0.05


@dataclass(frozen=True)
class Facts:
    """What a daemon says of itself."""

    pid: int
    #: When its process began, in clock ticks of its boot; 0 where the system does not say.
    started: int
    #: Since when it is there (UTC, ISO 8601).
    since: str
    version: str
    #: `up`, or `stopping`.
    state: str
    #: Attempts at once.
    slots: int
    running: int
    landing: int
    #: `events` or `polling`, and why it is polling.
    watching: str
    why: str
    #: Parts of its work that are held up.
    setbacks: tuple[Setback, ...]
    log: str

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `daemon status --json` prints."""
        return asdict(self)


class Instance:
    """The lock of a daemon; raises `BusyError` when another one has it."""

    def __init__(self, workspace: Workspace) -> None:
        self._lock = LiveLock(_path(workspace))
        self._said = b""
        self._forget()  # what the one before said
        self._write(b"".ljust(_BYTES))  # so that there is room when the disk is full

    def publish(self, facts: Facts) -> None:
        """Say how it stands; trouble with that is nobody's."""
        shown = {**facts.as_json(), "setbacks": facts.as_json()["setbacks"][:_SETBACKS]}
        raw = json.dumps(shown).encode().ljust(_BYTES)[:_BYTES]
        if raw == self._said:
            return
        if self._write(raw):
            self._said = raw

    def _write(self, raw: bytes) -> bool:
        try:
            return os.pwrite(self._lock.descriptor, raw, 0) == len(raw)
        except OSError:  # read-only, or full since before we began
            return False

    def is_superseded(self) -> bool:
        """Whether another file is in the place of ours, which a second daemon could lock.

        Raises `EnvironmentFailedError` where none is.
        """
        ours = os.fstat(self._lock.descriptor)
        try:
            there = self._lock.path.stat()
        except OSError as error:
            message = f"the ledger's state on this machine is gone: {error}"
            raise EnvironmentFailedError(message) from error
        return (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino)

    def release(self) -> None:
        """Let another daemon begin."""
        self._forget()
        self._lock.release()

    def _forget(self) -> None:
        with suppress(OSError):  # read-only; then readers are told what once was
            os.ftruncate(self._lock.descriptor, 0)


def is_up(workspace: Workspace) -> bool:
    """Whether a daemon works for this ledger on this machine."""
    return is_alive(_path(workspace))


def facts_of(workspace: Workspace) -> Facts | None:
    """Return what the daemon says of itself; None where none is, or it has said nothing yet."""
    if not is_up(workspace):
        return None
    try:
        found = json.loads(_path(workspace).read_bytes())
        found["setbacks"] = tuple(Setback(**setback) for setback in found["setbacks"])
        return Facts(**found)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def terminate(facts: Facts) -> bool:
    """Ask exactly the daemon of *facts* to end; False where it cannot be reached from here."""
    process = proctree.read_process(facts.pid) if proctree.HAS_PROC else None
    if process is not None:
        return process.started == facts.started and proctree.send(process, signal.SIGTERM)
    if sys.platform == "linux":
        return False  # it runs in another container, or we see nothing but another's processes
    try:
        os.kill(facts.pid, signal.SIGTERM)
    except OSError:
        return False
    return True


def own_process() -> tuple[int, int]:
    """Return the pid of this process and when it began, as `Facts` has them."""
    process = proctree.read_process(os.getpid()) if proctree.HAS_PROC else None
    return os.getpid(), process.started if process is not None else 0


def stop(workspace: Workspace, *, within_s: float) -> Facts | None:
    """End the daemon and wait until it is gone; returns what it last said, None if none was.

    Raises `EnvironmentFailedError` when it cannot be asked, `BusyError` when it stays.
    """
    clock = workspace.clock
    deadline = clock.elapsed() + within_s
    last: Facts | None = None
    while is_up(workspace):
        facts = facts_of(workspace)
        if facts is not None and (last is None or facts.pid != last.pid):
            last = facts
            if not terminate(facts) and is_up(workspace):
                raise EnvironmentFailedError(
                    f"the daemon is process {facts.pid} of another container or user; stop it there"
                )
        if clock.elapsed() >= deadline:
            pid = last.pid if last else "unknown"
            raise BusyError(
                f"the daemon (pid {pid}) has not ended within {within_s:g} s",
                hint=f"kill -9 {pid}   # safe: the next one takes up what it leaves",
            )
        clock.wait(_LOOK_S)
    return last


def _path(workspace: Workspace) -> Path:
    return workspace.ledger.layout.local / "live" / _NAME
