"""Lock files that git processes left when they died; git itself never removes one."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from wfledger.clock import SystemClock

#: Git holds a lock on a ref or index for milliseconds.
STALE_S: Final = 30.0
#: Refs that only wfledger moves.
OURS: Final = ("refs/wfledger/", "refs/heads/wfledger", "refs/heads/wf/", "refs/heads/wf-try/")
#: What a git leaves that was killed while it wrote packed refs; either keeps the next from it.
PACKED: Final = ("packed-refs.lock", "packed-refs.new")
#: What such a git leaves that was fetching a part of a history; it keeps out every fetch there.
SHALLOW: Final = "shallow.lock"
#: Files of the ledger's own worktree entry that git locks.
_OF_ENTRY: Final = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock")
_CLOCK: Final = SystemClock()
_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: What clocks of processes and of files may differ by.
_SLACK_S: Final = 2.0


def is_stale(lock: Path) -> bool:
    """Whether *lock* is old and no process that we can see has it open."""
    try:
        facts = lock.lstat()
    except OSError:
        return False
    age = _CLOCK.now().timestamp() - facts.st_mtime
    return age > STALE_S and not _is_open(facts)


def is_abandoned(lock: Path) -> bool:
    """Whether *lock*, which any git may have made, is stale and its maker gone.

    Git closes the lock of packed refs long before it gives it back, so that nobody has it open says
    nothing there. Its maker is as old as the lock at least: no such git is left.
    """
    if not is_stale(lock):
        return False
    try:
        age = _CLOCK.now().timestamp() - lock.lstat().st_mtime
    except OSError:
        return False
    oldest = _oldest_git()
    return oldest is not None and oldest < age - _SLACK_S


def _oldest_git() -> float | None:
    """Return for how many seconds the oldest git has run, 0 where none does; None: unknown."""
    oldest = 0.0
    try:
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return None
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            head, _, rest = path.read_text(errors="replace").rpartition(")")
            fields = rest.split()
            if "(git" in head and fields[0] not in {"Z", "X"}:
                oldest = max(oldest, uptime - int(fields[19]) / _TICKS)
    return oldest


def stale_locks(common_dir: Path, entry: Path | None) -> list[Path]:
    """Return the stale locks on refs of ours and on the ledger's worktree *entry*."""
    found = [entry / name for name in _OF_ENTRY] if entry is not None else []
    for prefix in OURS:
        place = common_dir / prefix.rstrip("/")
        if prefix.endswith("/"):
            found += sorted(place.rglob("*.lock")) if place.is_dir() else []
        else:
            found.append(place.with_name(f"{place.name}.lock"))
    return [lock for lock in found if lock.is_file() and is_stale(lock)]


def foreign_locks(common_dir: Path) -> list[Path]:
    """Return stale locks that keep wfledger from its refs, and that others may have left."""
    locks = [common_dir / name for name in (*PACKED, "config.lock", SHALLOW)]
    return [lock for lock in locks if is_stale(lock)]


def _is_open(facts: os.stat_result) -> bool:
    """Whether a process that we can see has the file open; yes where that cannot be told."""
    if not Path("/proc/self/fd").is_dir():
        return True
    wanted = (facts.st_dev, facts.st_ino)
    places = (path / "fd" for path in Path("/proc").iterdir() if path.name.isdigit())
    return any(wanted in _open_files(place) for place in places)


def _open_files(place: Path) -> set[tuple[int, int]]:
    """Return device and inode of what a process has open; of one that has gone, nothing."""
    found = set()
    with suppress(OSError):  # it may go while it is looked at
        for handle in os.scandir(place):
            with suppress(OSError):
                other = handle.stat()
                found.add((other.st_dev, other.st_ino))
    return found
