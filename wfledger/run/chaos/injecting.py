"""The faults of a torture: what each does, and how it is taken back.

Which one comes when is drawn from the seed; whom it hits depends on what runs at that moment. Each
says whether it was done, for there may be nothing to hit.
"""

import errno
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.fleet import Fleet, Kind
from wfledger.run.chaos.scene import LEASE_S, Scene
from wfledger.run.chaos.strangers import plant
from wfledger.run.chaos.toll import Fault, Toll
from wfledger.run.processes import proctree
from wfledger.run.processes.proctree import Process

#: How often each fault is drawn.
WEIGHTS: Final[Mapping[str, int]] = {
    "kill supervisor": 3, "kill worker": 6, "kill git": 5, "kill claimer": 3,
    "stop supervisor": 2, "stop worker": 2, "stop claimer": 4, "stop lock holder": 5,
    "plant file": 6, "user's git": 8, "full disk": 1, "no descriptors": 2,
}  # fmt: skip
#: Seconds between two faults.
PAUSE_S: Final = (0.1, 1.1)
_USER: Final[Mapping[str, tuple[str, ...]]] = {
    "commit": ("commit", "--quiet", "--allow-empty", "--message=beside"),
    "fetch": ("fetch", "--quiet", ".", "refs/heads/main:refs/heads/fetched"),
    "gc": ("gc", "--quiet"),
    "pack-refs": ("pack-refs", "--all"),
    "worktree prune": ("worktree", "prune"),
    "clean": ("clean", "-fdxq"),
    "branch": ("branch", "--force", "beside"),
    "status": ("status", "--short"),
}  # fmt: skip
_LOCKS: Final = ("ledger", "history", "git", "sync", "target")
#: Looks for the holder of a lock, which is held for a moment only.
_LOOKS: Final = 400
_DESCRIPTORS: Final = 12
_CHUNK: Final = b"\0" * (1 << 20)


@dataclass
class Faults(Toll):
    """The faults of one ledger, which is this machine's alone."""

    scene: Scene
    fleet: Fleet
    chance: Chance

    def draw(self) -> tuple[str, Fault]:
        """Return the name of the next fault, and what does it."""
        name = self.chance.weighted(WEIGHTS)
        return name, partial(_ACTIONS[name], self)

    def _one(self, kind: Kind) -> Process | None:
        found = self.fleet.running().get(kind, [])
        return self.chance.one_of(sorted(found)) if found else None

    # -- killing and stopping --------------------------------------------------------------------

    def kill(self, kind: Kind) -> str | None:
        """SIGKILL a process of that kind."""
        victim = self._one(kind)
        if victim is None or not proctree.send(victim, signal.SIGKILL):
            return None
        return ""

    def kill_git(self) -> str | None:
        """SIGKILL a git child of ours; they live for milliseconds, so they are looked out for."""
        for _ in range(_LOOKS // 5):
            if self.kill("git") is not None:
                return ""
        return None

    def stop(self, kind: Kind) -> str | None:
        """SIGSTOP a process of that kind, for a moment or for longer than its lease."""
        victim = self._one(kind)
        return self._freeze(victim) if victim is not None else None

    def _freeze(self, victim: Process) -> str | None:
        if not proctree.send(victim, signal.SIGSTOP):
            return None
        seconds = self.chance.between(0.1, 2.5 * LEASE_S) if self.chance.often(0.4) else 0.5
        self.later(seconds, lambda: proctree.send(victim, signal.SIGCONT))
        return "beyond its lease" if seconds > LEASE_S else "for a moment"

    def stop_holder(self) -> str | None:
        """SIGSTOP whoever holds one of the ledger's locks."""
        own = {one.pid: one for found in self.fleet.running().values() for one in found}
        inodes = _lock_inodes(self.scene.repo / ".git/wfledger/locks")
        for _ in range(_LOOKS):
            pid = _holder(inodes)
            if pid in own:
                return self._freeze(own[pid])
        return None

    # -- resources -------------------------------------------------------------------------------

    def fill_disk(self) -> str | None:
        """Fill the scratch disk to the last byte for a while."""
        if not self.scene.own_disk:
            return None
        filler = self.scene.disk / "filler"
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(_CHUNK)
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while file.write(_CHUNK[:4096]):
                pass
        self.later(self.chance.between(0.3, 4.0), lambda: filler.unlink(missing_ok=True))
        return ""

    def few_descriptors(self) -> str | None:
        """Leave a process next to no file descriptors for a while."""
        if sys.platform != "linux":
            return None
        victim = self._one(self.chance.one_of(("supervisor", "claimer")))
        if victim is None:
            return None
        before = _limit(victim, None)
        if before is None or _limit(victim, (_open_files(victim) + 2, before[1])) is None:
            return None
        self.later(self.chance.between(0.2, 3.0), lambda: _limit(victim, before))
        return ""

    # -- people ----------------------------------------------------------------------------------

    def plant(self) -> str | None:
        """Put what is no task into a folder of the ledger."""
        try:
            return plant(self.scene, self.chance)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.ENOENT, errno.EEXIST}:
                return None
            raise

    def user_git(self) -> str | None:
        """Run one of the user's git commands beside everything."""
        name = self.chance.one_of(sorted(_USER))
        argv = ["git", *_USER[name]]
        self.fleet.enlist("user", f"git-{name.replace(' ', '-')}", argv, again=False)
        return name


_ACTIONS: Final[Mapping[str, Callable[[Faults], str | None]]] = {
    "kill supervisor": lambda one: one.kill("supervisor"),
    "kill worker": lambda one: one.kill("worker"),
    "kill git": Faults.kill_git,
    "kill claimer": lambda one: one.kill("claimer"),
    "stop supervisor": lambda one: one.stop("supervisor"),
    "stop worker": lambda one: one.stop("worker"),
    "stop claimer": lambda one: one.stop("claimer"),
    "stop lock holder": Faults.stop_holder,
    "plant file": Faults.plant,
    "user's git": Faults.user_git,
    "full disk": Faults.fill_disk,
    "no descriptors": Faults.few_descriptors,
}


def _lock_inodes(folder: Path) -> set[str]:
    found = set()
    for path in folder.glob("*.lock"):
        with suppress(FileNotFoundError):
            if path.name.startswith(_LOCKS):
                found.add(str(path.stat().st_ino))
    return found


def _holder(inodes: set[str]) -> int | None:
    """Return the process that /proc/locks names for one of *inodes*."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 812 fe:00:1705 0 EOF
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] in inodes:
            return int(fields[4])
    return None


def _limit(process: Process, wanted: tuple[int, int] | None) -> tuple[int, int] | None:
    """Read or set how many descriptors a process may have; None where it is gone."""
    now = proctree.read_process(process.pid)
    if now is None or now.started != process.started:
        return None
    try:
        if wanted is None:
            return resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        return resource.prlimit(process.pid, resource.RLIMIT_NOFILE, wanted)
    except (OSError, ValueError):
        return None


def _open_files(process: Process) -> int:
    try:
        return max(int(one.name) for one in Path(f"/proc/{process.pid}/fd").iterdir())
    except (OSError, ValueError):
        return _DESCRIPTORS
