"""The journal: what has been acknowledged and is not in the history yet (spec 10, "Journal").

The open file receives one line for each change, under the ledger lock, after the rename that
decides. An acknowledgement waits for `sync`, which one process does for all who wait, outside of
the ledger lock. The committer closes the open file as a segment, brings the segment into the
history and then drops it. A line is `<crc32> <json>`; a torn line can only be the last one of a
file, because nothing is appended behind one.

After a failed sync nobody knows what storage holds, and asking again would be answered with yes.
The file is then closed, marked `<number>.failed`, and whoever waits for it is told so.
"""

import base64
import json
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wfledger import faults
from wfledger.errors import BusyError, EnvironmentFailedError, LedgerDamagedError
from wfledger.store import atomic
from wfledger.store.locks import Locks

faults.register(
    "journal.append.before", "journal.append.after", "journal.sync.before", "journal.sync.after",
    "journal.rotate.renamed", "journal.rotate.noted",
)

OPEN: Final = ".open"
CLOSED: Final = ".log"
FAILED: Final = ".failed"
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


def file_record(relative: str, raw: bytes | None) -> dict[str, Any]:
    """Return the record of a file that is no task; None says that it is gone.

    What is not UTF-8 is recorded in base64, so that the history has the exact bytes.
    """
    record: dict[str, Any] = {"kind": "file", "path": relative, "content": None}
    if raw is None:
        return record
    try:
        record["content"] = raw.decode("utf-8")
    except UnicodeDecodeError:
        record |= {"content": base64.b64encode(raw).decode(), "encoding": "base64"}
    return record


def file_bytes(record: dict[str, Any]) -> bytes | None:
    """Return what a `file` record says that its path holds; None: nothing any more."""
    content = record["content"]
    if content is None:
        return None
    return base64.b64decode(content) if record.get("encoding") else str(content).encode()


class Journal:
    """The journal in one folder; appended to under the ledger lock only."""

    def __init__(self, folder: Path, locks: Locks) -> None:
        self._folder = folder
        self._locks = locks
        self._guard = threading.Lock()
        self._number = 0
        self._descriptor = -1
        self._inode = 0
        #: Where our own last line ended; a file that is longer was appended to by others.
        self._end = -1

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    @property
    def active(self) -> Path:
        """The file that is appended to; it need not exist yet."""
        return self._path(max(self._numbers(OPEN), default=self._synced()[0] + 1))

    def _path(self, number: int, suffix: str = OPEN) -> Path:
        return self._folder / f"{number:08}{suffix}"

    def _numbers(self, *suffixes: str) -> list[int]:
        paths = (path for path in self._folder.iterdir() if path.suffix in suffixes)
        return [int(path.stem) for path in paths if path.stem.isascii() and path.stem.isdigit()]

    # -- appending -------------------------------------------------------------------------------

    def _is_current(self) -> bool:
        if self._descriptor < 0:
            return False
        try:
            return self._path(self._number).stat().st_ino == self._inode
        except FileNotFoundError:
            return False  # closed meanwhile, perhaps by another process

    def _open(self) -> int:
        """Return a descriptor of the present open file."""
        with self._guard:
            if self._is_current():
                return self._descriptor
            numbers = self._numbers(OPEN)
            # WFL-LEDGER-033: what was synced of one file must not speak for another.
            used = [self._synced()[0], *self._numbers(CLOSED, FAILED)]
            number = max(numbers) if numbers else max(used) + 1
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._path(number), flags, 0o644)
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._number, self._descriptor, self._end = number, descriptor, -1
            self._inode = os.fstat(descriptor).st_ino
            return descriptor

    def _open_whole(self) -> tuple[int, int]:
        """Return a descriptor and the size of an open file that ends with a whole line."""
        descriptor = self._open()
        size = os.fstat(descriptor).st_size
        if size and size != self._end and not _ends_whole(descriptor, size, is_new=self._end < 0):
            self.rotate()  # WFL-LEDGER-034: a torn rest is kept, and nothing follows it
            descriptor, size = self._open(), 0
        return descriptor, size

    def append(self, record: dict[str, Any]) -> Mark:
        """Append one record; on failure nothing of it stays behind. Held: the ledger lock."""
        line = encode(record)
        descriptor, start = self._open_whole()
        faults.point("journal.append.before")
        try:
            atomic.write_all(descriptor, line)
        except OSError:
            os.ftruncate(descriptor, start)
            raise
        self._end = start + len(line)
        faults.point("journal.append.after")
        return Mark(self._number, self._end)

    # -- durability ------------------------------------------------------------------------------

    def sync(self, mark: Mark) -> None:
        """Return when everything up to *mark* is durable (WFL-LEDGER-032).

        Of all who wait at once, one syncs for the others. Raises `EnvironmentFailedError` when it
        is not: the change is made then and may or may not outlive a power loss.
        """
        try:
            with self._locks.hold_briefly("sync"):
                self._sync_held(mark)
        except BusyError as error:
            raise EnvironmentFailedError(
                "the change is made, but storage did not confirm it in time"
            ) from error

    def _sync_held(self, mark: Mark) -> None:
        if self._path(mark.number, FAILED).exists():
            raise _not_durable("an earlier write to the journal failed")
        number, end = self._synced()
        if (number, end) >= (mark.number, mark.end):
            return
        descriptor = self._descriptor_of(mark.number)
        if descriptor is None:
            return  # dropped, so it is durable in the history
        try:
            faults.point("journal.sync.before")
            size = os.fstat(descriptor).st_size
            os.fdatasync(descriptor)
            if number != mark.number or end == 0:
                atomic.sync_folder(self._folder)
        except OSError as error:
            self._give_up(mark.number)
            raise _not_durable(error.strerror or str(error)) from error
        finally:
            os.close(descriptor)
        self._note_synced(mark.number, size)
        faults.point("journal.sync.after")

    def _descriptor_of(self, number: int) -> int | None:
        with self._guard:
            if self._number == number and self._descriptor >= 0:
                return os.dup(self._descriptor)
        for suffix in (OPEN, CLOSED, CLOSED):  # it may be closed between two looks
            try:
                return os.open(self._path(number, suffix), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
        return None

    def _give_up(self, number: int) -> None:
        self._path(number, FAILED).touch()
        if self._path(number).exists():
            atomic.move(self._path(number), self._path(number, CLOSED))

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

    # -- segments --------------------------------------------------------------------------------

    def rotate(self) -> Segment | None:
        """Close the open file as a segment, durable on return; None when it is empty.

        The caller holds the ledger lock. A crash leaves the file open or closed, never gone.
        """
        descriptor = self._open()
        if os.fstat(descriptor).st_size == 0:
            return None
        number = self._number
        with self._locks.hold_briefly("sync"):
            try:
                os.fdatasync(descriptor)
            except OSError:
                self._give_up(number)  # durable only once it is in the history
            else:
                atomic.move(self._path(number), self._path(number, CLOSED))
            faults.point("journal.rotate.renamed")
            self._note_synced(number + 1, 0)
            faults.point("journal.rotate.noted")
        os.close(os.open(self._path(number + 1), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        atomic.sync_folder(self._folder)
        return Segment(self._path(number, CLOSED))

    def segments(self) -> list[Segment]:
        """Return the closed segments, oldest first."""
        return [Segment(self._path(number, CLOSED)) for number in sorted(self._numbers(CLOSED))]

    def drop(self, segment: Segment) -> None:
        """Remove a segment whose records are durable in the history."""
        segment.path.unlink(missing_ok=True)
        segment.path.with_suffix(FAILED).unlink(missing_ok=True)

    def rewrite(self, segment: Segment, records: Iterable[dict[str, Any]]) -> None:
        """Leave only *records* in a closed segment, durably; without any it goes.

        Held: the ledger lock. A crash leaves it as it was or as it is to be.
        """
        whole = b"".join(encode(record) for record in records)
        if not whole:
            self.drop(segment)
            return
        atomic.replace(segment.path, whole, tmp=self._folder.parent / "tmp", durable=True)

    def is_empty(self) -> bool:
        """Whether nothing waits to be committed."""
        try:
            sizes = [self._path(number).stat().st_size for number in self._numbers(OPEN)]
        except FileNotFoundError:
            return False  # closed this moment
        return not any(sizes) and not self.segments()

    def files(self) -> list[Path]:
        """Return every file that holds records, oldest first."""
        closed = [segment.path for segment in self.segments()]
        return [*closed, *(self._path(number) for number in sorted(self._numbers(OPEN)))]

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield every readable record that is not in the history yet, oldest first."""
        for path in self.files():
            yield from read(path)[0]

    def since(self, place: tuple[int, int]) -> tuple[list[dict[str, Any]], tuple[int, int]]:
        """Return the whole records after *place* (file number, offset), and the place after them.

        Needs no lock: what is being appended is left for the next look. What has been committed and
        dropped meanwhile is not there any more.
        """
        found: list[dict[str, Any]] = []
        for path in self.files():
            number = int(path.stem)
            if number < place[0]:
                continue
            start = place[1] if number == place[0] else 0
            try:
                with path.open("rb") as file:
                    file.seek(start)
                    raw = file.read()
            except FileNotFoundError:
                continue
            whole = raw[: raw.rfind(b"\n") + 1]
            found += [r for line in whole.split(b"\n") if (r := decode(line)) is not None]
            place = (number, start + len(whole))
        return found, place

    def tails(self) -> list[Tail]:
        """Return what is unreadable at the ends of the journal's files."""
        return [tail for path in self.files() if (tail := read(path)[1]) is not None]


def _not_durable(reason: str) -> EnvironmentFailedError:
    return EnvironmentFailedError(
        f"the change is made, but storage did not confirm it: {reason}",
        hint="look at the disk and at the system's log; wfledger doctor",
    )


def _ends_whole(descriptor: int, size: int, *, is_new: bool) -> bool:
    """Whether the last line is whole; its content is looked at only when the file is *is_new*."""
    if not is_new:
        return os.pread(descriptor, 1, size - 1) == b"\n"
    span = 1 << 16
    while True:
        start = max(size - span, 0)
        raw = os.pread(descriptor, size - start, start)
        if not raw.endswith(b"\n"):
            return False
        begin = raw.rfind(b"\n", 0, -1) + 1
        if begin or start == 0:
            return decode(raw[begin:-1]) is not None
        span *= 4


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


def _lines(raw: bytes) -> Iterator[bytes]:
    # Not splitlines(), which also ends a line at a carriage return.
    offset = 0
    while offset < len(raw):
        end = raw.find(b"\n", offset) + 1 or len(raw)
        yield raw[offset:end]
        offset = end


def salvage(path: Path) -> tuple[list[dict[str, Any]], list[Tail]]:
    """Return every readable record of a damaged journal file, and the lines that are not."""
    raw = path.read_bytes()
    records: list[dict[str, Any]] = []
    lost: list[Tail] = []
    offset = 0
    for line in _lines(raw):
        record = decode(line[:-1]) if line.endswith(b"\n") else None
        if record is None:
            lost.append(Tail(path, offset, line))
        else:
            records.append(record)
        offset += len(line)
    return records, lost
