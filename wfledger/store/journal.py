"""The journal: what has been acknowledged and is not in the history yet (spec 10, "Journal").

The open file receives one line for each change, under the ledger lock, after the rename that
decides. An acknowledgement waits for `sync`, which one process does for all who wait, outside of
the ledger lock. The committer closes the open file as a segment, brings the segment into the
history and then drops it. A line is `<crc32> <json>`; a torn line can only be the last one of a segment.
"""

import json
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wfledger import faults
from wfledger.errors import LedgerDamagedError
from wfledger.store import atomic
from wfledger.store.locks import Locks

faults.register("journal.append.before", "journal.append.after", "journal.sync.before")

OPEN: Final = ".open"
CLOSED: Final = ".log"
_SYNCED: Final = struct.Struct("<QQ")


@dataclass(frozen=True)
class Mark:
    """How much of which journal file must be durable before a caller is told so."""

    number: int
    end: int


@dataclass(frozen=True)
class Segment:
    """A closed part of the journal, waiting to be committed."""

    path: Path

    @property
    def number(self) -> int:
        """Its place in the order of segments."""
        return int(self.path.stem)


@dataclass(frozen=True)
class Tail:
    """What could not be read at the end of a journal file."""

    path: Path
    offset: int
    raw: bytes


def encode(record: dict[str, Any]) -> bytes:
    """Return *record* as a line of the journal."""
    body = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the record in *line*, or None when the line is torn or was changed."""
    checksum, space, body = line.partition(b" ")
    try:
        if not space or int(checksum, 16) != zlib.crc32(body):
            return None
        record = json.loads(body)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


class Journal:
    """The journal in one folder; appended to under the ledger lock only."""

    def __init__(self, folder: Path, locks: Locks) -> None:
        self._folder = folder
        self._locks = locks
        self._guard = threading.Lock()
        self._number = 0
        self._descriptor = -1

    @property
    def active(self) -> Path:
        """The file that is appended to; it need not exist yet."""
        return self._path(max(self._numbers(), default=self._synced()[0] + 1))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}{OPEN}"

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self._folder.glob(f"*{OPEN}")]

    def _open(self) -> int:
        """Return a descriptor of the present open file; another process may have rotated it."""
        with self._guard:
            if self._descriptor >= 0 and self._path(self._number).exists():
                return self._descriptor
            numbers = self._numbers()
            closed = [segment.number for segment in self.segments()]
            # A number is never used twice, or what was synced of one file would speak for another.
            number = max(numbers) if numbers else max([self._synced()[0], *closed]) + 1
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._path(number), flags, 0o644)
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._number, self._descriptor = number, descriptor
            return descriptor

    def append(self, record: dict[str, Any]) -> Mark:
        """Append one record; on failure nothing of it stays behind."""
        line = encode(record)
        descriptor = self._open()
        start = os.fstat(descriptor).st_size
        faults.point("journal.append.before")
        try:
            atomic.write_all(descriptor, line)
        except OSError:
            os.ftruncate(descriptor, start)
            raise
        faults.point("journal.append.after")
        return Mark(self._number, start + len(line))

    def sync(self, mark: Mark) -> None:
        """Return when everything up to *mark* is durable (WFL-LEDGER-032).

        Of all who wait at once, one syncs for the others.
        """
        with self._locks.hold("sync"):
            number, end = self._synced()
            if (number, end) >= (mark.number, mark.end):
                return
            faults.point("journal.sync.before")
            with self._guard:
                if self._number != mark.number:  # closed meanwhile, and synced by who closed it
                    return
                descriptor = os.dup(self._descriptor)
            try:
                size = os.fstat(descriptor).st_size
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            if number != mark.number:
                atomic.sync_folder(self._folder)
            self._note_synced(mark.number, size)

    def _synced(self) -> tuple[int, int]:
        try:
            raw = (self._folder / "synced").read_bytes()
        except FileNotFoundError:
            return 0, 0
        return _SYNCED.unpack(raw) if len(raw) == _SYNCED.size else (0, 0)

    def _note_synced(self, number: int, end: int) -> None:
        state = os.open(self._folder / "synced", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.pwrite(state, _SYNCED.pack(number, end), 0)
        finally:
            os.close(state)

    def rotate(self) -> Segment | None:
        """Close the open file as a segment, durable on return; None when it is empty.

        The caller holds the ledger lock.
        """
        descriptor = self._open()
        if os.fstat(descriptor).st_size == 0:
            return None
        os.fdatasync(descriptor)
        number = self._number
        path = self._folder / f"{number:08}{CLOSED}"
        atomic.move(self._path(number), path)
        successor = self._path(number + 1)
        os.close(os.open(successor, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        atomic.sync_folder(self._folder)
        return Segment(path)

    def segments(self) -> list[Segment]:
        """Return the closed segments, oldest first."""
        paths = (path for path in self._folder.iterdir() if path.suffix == CLOSED)
        return sorted((Segment(path) for path in paths), key=lambda item: item.number)

    def drop(self, segment: Segment) -> None:
        """Remove a segment whose records are durable in the history."""
        segment.path.unlink(missing_ok=True)

    def is_empty(self) -> bool:
        """Whether nothing waits to be committed."""
        sizes = (path.stat().st_size for path in self._folder.glob(f"*{OPEN}"))
        return not any(sizes) and not self.segments()

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield every readable record that is not in the history yet, oldest first."""
        for path in [*(segment.path for segment in self.segments()), self.active]:
            yield from read(path)[0]

    def tails(self) -> list[Tail]:
        """Return what is unreadable at the ends of the journal's files."""
        paths = [*(segment.path for segment in self.segments()), self.active]
        return [tail for path in paths if (tail := read(path)[1]) is not None]


def read(path: Path) -> tuple[list[dict[str, Any]], Tail | None]:
    """Return the records of a journal file and its torn tail, if it has one (WFL-LEDGER-034).

    Raises `LedgerDamagedError` when a line that is not at the end cannot be read: that is no crash.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return [], None
    records: list[dict[str, Any]] = []
    offset = 0
    while offset < len(raw):
        end = raw.find(b"\n", offset)
        record = decode(raw[offset:end]) if end >= 0 else None
        if record is None:
            return records, _tail(path, raw, offset)
        records.append(record)
        offset = end + 1
    return records, None


def _tail(path: Path, raw: bytes, offset: int) -> Tail:
    rest = raw[offset:].split(b"\n")
    if any(decode(line) is not None for line in rest[1:]):
        raise LedgerDamagedError(
            f"the journal {path.name} is damaged before its end, at byte {offset}",
            hint="wfledger doctor",
            path=str(path),
            offset=offset,
        )
    return Tail(path, offset, raw[offset:])
