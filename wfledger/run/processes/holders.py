"""Who holds the lock of an attempt's tree: what has left the tree in every other way may have it.

A process that leaves its session, loses its parent, empties its environment and changes its limits
still has the descriptor that it was born with, unless it closes that as well.
"""

import os
import signal
from pathlib import Path
from typing import Final

from wfledger.clock import Clock
from wfledger.run.processes import proctree
from wfledger.run.processes.proctree import HAS_PROC, LOOKS, Process
from wfledger.store.locks import is_alive

_LOOKS: Final = 100
_PAUSE_S: Final = 0.02


def end_holders(path: Path, *, clock: Clock) -> bool:
    """SIGKILL whoever else holds the lock at *path*, until it is free; return whether it is.

    Another user's processes, and what does not end for some seconds, keep it.
    """
    for _ in range(_LOOKS):
        if not is_alive(path):
            return True
        found = _holders(path, clock) if HAS_PROC else []
        for process in found:
            proctree.send(process, signal.SIGKILL)
        clock.wait(_PAUSE_S)
    return False


def _holders(path: Path, clock: Clock) -> list[Process]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return []
    wanted, spared = (status.st_dev, status.st_ino), proctree.lineage()
    return [
        process
        for process in LOOKS.fresh(clock).processes.values()
        if process.pid not in spared and not _is_newborn(process) and _holds(process.pid, wanted)
    ]


def _is_newborn(process: Process) -> bool:
    """Whether it is a child of ours that has not begun its program yet, such as git.

    Until then it is a copy of us, with every descriptor. To be asked before its descriptors are
    looked at: what begins in between has closed them.
    """
    if process.parent != os.getpid():
        return False
    try:
        its, ours = (Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (process.pid, "self"))
    except OSError:
        return False
    return its == ours


def _holds(pid: int, wanted: tuple[int, int]) -> bool:
    try:
        names = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - thousands of processes are asked
    except OSError:
        return False
    return any(_is_lock(pid, name, wanted) for name in names)


def _is_lock(pid: int, name: str, wanted: tuple[int, int]) -> bool:
    """Whether a descriptor is that file and has its lock; who only looks holds it shared."""
    try:
        status = os.stat(f"/proc/{pid}/fd/{name}")  # noqa: PTH116
        if (status.st_dev, status.st_ino) != wanted:
            return False
        told = Path(f"/proc/{pid}/fdinfo/{name}").read_text("ascii")
    except OSError:
        return False
    return any(line.startswith("lock:") and " WRITE " in line for line in told.splitlines())
