"""Backpressure: nothing more is started while the machine is short of processors, memory or disk.

What runs goes on. A shortage is over only when there is a quarter more room than at its beginning,
or what runs would start and stop at the edge. Nothing of the ledger is decided by it: tasks stay on
offer, and any other claimer may take them (WFL-CLAIM-070).
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.core.policy import Backpressure
from wfledger.run.workspace import Workspace

_FLAG: Final = "short-of"
#: What a small machine or disk is asked for at most.
_SHARE: Final = 20
#: How much more room there has to be before it is over.
_EASE: Final = 1.25


@dataclass(frozen=True)
class Room:
    """What is free of something, and how much there is; bytes."""

    free: int
    total: int


@dataclass(frozen=True)
class Readings:
    """How this machine is; None is not known here."""

    load_per_cpu: float | None = None
    memory: Room | None = None
    disk: Room | None = None


Probe = Callable[[Workspace], Readings]


def read_machine(workspace: Workspace) -> Readings:
    """Ask the system; what it does not tell is left out."""
    load = None
    with suppress(OSError, AttributeError):
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
    disks = [room for path in (workspace.state, workspace.common_dir) if (room := _disk(path))]
    disk = min(disks, key=lambda room: room.free, default=None)
    return Readings(load, _memory(), disk)


def _disk(path: Path) -> Room | None:
    with suppress(OSError):
        there = next(one for one in (path, *path.parents) if one.exists())
        found = os.statvfs(there)
        return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
    return None


def _memory() -> Room | None:
    with suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        facts = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
        kib = {name: int(facts[name][0]) for name in ("MemAvailable", "MemTotal")}
        return Room(kib["MemAvailable"] * 1024, kib["MemTotal"] * 1024)
    return None


def shortage(policy: Backpressure, found: Readings, *, ease: float = 1.0) -> str | None:
    """Return what there is too little of, in one sentence, or None; *ease* asks for more room."""
    most = policy.load_per_cpu
    if most is not None and found.load_per_cpu is not None and found.load_per_cpu > most / ease:
        return f"the load is {found.load_per_cpu:.1f} per processor; the limit is {most:g}"
    for wanted, room, what in (
        (policy.memory_bytes, found.memory, "memory"), (policy.disk_bytes, found.disk, "disk"),
    ):  # fmt: skip
        if wanted is None or room is None:
            continue
        least = min(wanted, room.total // _SHARE)
        if room.free < least * ease:
            return f"{_said(room.free)} of {what} are free; {_said(least)} must be"
    return None


def _said(size: float) -> str:
    """Return a number of bytes for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def pressure_of(workspace: Workspace, probe: Probe = read_machine) -> str | None:
    """Return why nothing more may be started on this machine just now, or None; changes nothing."""
    ease = _EASE if _flag(workspace).exists() else 1.0
    return shortage(workspace.policy().backpressure, probe(workspace), ease=ease)


class Gauge:
    """Says before each start whether there may be another; reports when that changes."""

    def __init__(
        self, workspace: Workspace, *, report: Callable[[str], None], probe: Probe = read_machine
    ) -> None:
        self._workspace = workspace
        self._report = report
        self._probe = probe
        self._reason: str | None = None

    def reason(self) -> str | None:
        """Return why nothing more may be started, or None."""
        reason = pressure_of(self._workspace, self._probe)
        if (reason is None) != (self._reason is None):
            self._report(f"starts nothing more: {reason}" if reason else "there is room again")
        self._reason = reason
        with suppress(OSError):  # only the easing depends on it
            if reason is None:
                _flag(self._workspace).unlink(missing_ok=True)
            else:
                _flag(self._workspace).touch()
        return reason


def _flag(workspace: Workspace) -> Path:
    """Return the file that says to all on this machine that the shortage is not over."""
    return workspace.ledger.layout.local / "index" / _FLAG
