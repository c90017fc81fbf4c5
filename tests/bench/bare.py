"""The file operations of a claim, done bare: no JSON, no policy, no lock of the ledger."""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench.measuring import take_all
from tests.bench.queues import names

_LINE = b"x" * 220 + b"\n"
_END = struct.Struct("<Q")


def fill(folder: Path, count: int) -> None:
    """Create *count* files on offer."""
    for name in ("pending", "in-progress", "claims", "journal"):
        (folder / name).mkdir()
    for name in names(count):
        (folder / "pending" / f"{name}.json").write_bytes(_LINE)
    (folder / "journal/synced").write_bytes(_END.pack(0))


def drain(folder: Path, seat: int, seats: int, *, durable: bool) -> tuple[float, float, list[str]]:
    """Claim until nothing is left: rename alone, or with record, journal and group fdatasync.

    Each of the *seats* begins at another place of the listing.
    """
    return take_all(partial(_claims, folder, seat / seats, durable=durable))


def _claims(folder: Path, share: float, *, durable: bool) -> Iterator[str]:
    offered, taken = str(folder / "pending"), str(folder / "in-progress")
    with os.scandir(offered) as entries:
        listed = sorted(entry.name for entry in entries)
    first = int(len(listed) * share)
    journal = _Journal(folder / "journal") if durable else None
    for name in listed[first:] + listed[:first]:
        try:
            os.rename(f"{offered}/{name}", f"{taken}/{name}")  # noqa: PTH104 - bare on purpose
        except FileNotFoundError:
            continue
        if journal is not None:
            _record(folder / "claims" / name)
            journal.append()
        yield name.removesuffix(".json")


def _record(path: Path) -> None:
    record = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(record, _LINE)
    finally:
        os.close(record)


class _Journal:
    """Lines appended by many; one waiter syncs for all who wait."""

    def __init__(self, folder: Path) -> None:
        self._log = os.open(folder / "log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._synced = os.open(folder / "synced", os.O_RDWR)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)

    def append(self) -> None:
        if os.write(self._log, _LINE) != len(_LINE):
            raise OSError(errno.EIO, "short write")
        mine = os.fstat(self._log).st_size  # at least the end of the own line
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            if _END.unpack(os.pread(self._synced, _END.size, 0))[0] >= mine:
                return
            end = os.fstat(self._log).st_size
            os.fdatasync(self._log)
            os.pwrite(self._synced, _END.pack(end), 0)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
