"""Bounded output of a job: the pipe that carries it and the file that keeps it.

Why a pipe, and not the file itself as the job's standard output: a bound on a file that others
write to can only be checked now and then, and a fast writer fills a disk between two looks. Here
nothing reaches the disk but what the runtime writes. The usual trap of pipes, a grandchild that
holds the write end and so delays the end of the job, does not exist: the read end never blocks,
end of file decides nothing, and it is closed when the process tree is gone.
"""

import os
import select
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from wfledger.run.processes.environment import MIN_SECRET, REDACTED

_CHUNK: Final = 64 * 1024
#: Bytes read before the other descriptors are looked at again.
_BURST: Final = 16 * _CHUNK
_MARKER: Final = "\n[wfledger: {:>16} bytes of output were dropped here]\n"
_MARKER_BYTES: Final = len(_MARKER.format(0))


class _Blotting:
    """Blots secrets out of a stream of bytes, also those that arrive in pieces."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first: one secret may be a part of another.
        given = sorted({one for one in secrets if len(one) >= MIN_SECRET}, key=len, reverse=True)
        self._secrets = [one.encode("utf-8", "surrogateescape") for one in given]
        self._begun = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may be written now: what could be the beginning of a secret waits."""
        if not self._secrets:
            return data
        data = self._begun + data
        for secret in self._secrets:
            data = data.replace(secret, REDACTED.encode())
        held = max(self._held(data, secret) for secret in self._secrets)
        self._begun = data[len(data) - held :]
        return data[: len(data) - held]

    def rest(self) -> bytes:
        """Return what has waited for nothing."""
        rest, self._begun = self._begun, b""
        return rest

    def _held(self, data: bytes, secret: bytes) -> int:
        longest = min(len(secret) - 1, len(data))
        return next((n for n in range(longest, 0, -1) if data.endswith(secret[:n])), 0)


class BoundedLog:
    """A file that keeps the first and the last half of *limit* bytes, and none of *secrets*.

    It is readable at every moment. It never holds more than 1.5 times *limit* plus one line, and at
    most *limit* plus that line once it is finished. A full disk loses output, never the job.

    Where it goes on after *said*, what is in the file stays before that line, of long output the
    last half of *limit*; the rest of *limit* is left for what comes.
    """

    def __init__(
        self, path: Path, limit: int, secrets: Iterable[str] = (), *, said: str | None = None
    ) -> None:
        self._blotting = _Blotting(secrets)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags | (os.O_TRUNC if said is None else 0), 0o600)
        #: Offset where its own output begins; those below are counted from there.
        self.start = 0 if said is None else self._keep(limit // 2, said)
        self._half = max((limit - self.start) // 2, 1)
        self._size = 0
        #: Offset where the last half begins once the middle is dropped; 0 before.
        self._tail = 0
        #: Bytes that came in, and of these the ones that are not kept.
        self.total = 0
        self.dropped = 0

    def _keep(self, room: int, said: str) -> int:
        """Keep the last *room* bytes with a line after them; return where that ends."""
        line = f"\n[wfledger: {said}]\n".encode("utf-8", "replace")
        size = os.fstat(self._file).st_size
        over = size - max(room - len(line), 0)
        try:
            if over > 0:
                kept = _MARKER.format(over).encode() + os.pread(self._file, size - over, over)
                os.ftruncate(self._file, 0)
                size = os.pwrite(self._file, kept, 0)
            os.pwrite(self._file, line, size)
        except OSError:
            pass  # a full disk: what could be written stays
        return os.fstat(self._file).st_size

    def feed(self, data: bytes) -> None:
        """Take the next bytes of output."""
        self.total += len(data)
        self._take(self._blotting.feed(data))

    def _take(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._tail and len(view) >= self._half:
                # Nothing older than one half survives this piece, so it is not written first.
                skipped = len(view) - self._half
                self._forget(self._size - self._tail + skipped, end=self._tail)
                view = view[skipped:]
            start = self._tail or self._half
            room = start + 2 * self._half - self._size
            self._append(view[:room])
            view = view[room:]
            if self._size >= start + 2 * self._half:
                self._compact()

    def finish(self) -> None:
        """Bring the file to its final length and close it."""
        self._take(self._blotting.rest())
        start = self._tail or self._half
        if self._size > start + self._half:
            self._compact()
        os.close(self._file)

    def _append(self, data: memoryview) -> None:
        try:
            written = os.pwrite(self._file, data, self.start + self._size)
        except OSError:
            written = 0
        self._size += written
        if written < len(data):
            self._forget(len(data) - written, end=self._size)

    def _compact(self) -> None:
        """Move the last half to where the dropped part begins."""
        source = self._size - self._half
        target = self._tail or self._half + _MARKER_BYTES
        if source < target:  # so little is over that the line alone would overwrite what is kept
            self._move(source, target, backwards=True)
        else:
            self._move(source, target, backwards=False)
        lost = source - (self._tail or self._half)
        self._tail = target
        self._forget(lost, end=target + self._half)

    def _move(self, source: int, target: int, *, backwards: bool) -> None:
        source, target = self.start + source, self.start + target
        offsets = list(range(0, self._half, _CHUNK))
        for offset in reversed(offsets) if backwards else offsets:
            length = min(_CHUNK, self._half - offset)
            try:
                os.pwrite(
                    self._file, os.pread(self._file, length, source + offset), target + offset
                )
            except OSError:
                return

    def _forget(self, count: int, *, end: int) -> None:
        """Count dropped bytes, note them in the file, and end the file at *end*."""
        self.dropped += count
        self._size = end
        try:
            os.ftruncate(self._file, self.start + end)
            if self._tail:
                line = _MARKER.format(self.dropped).encode()
                os.pwrite(self._file, line, self.start + self._half)
        except OSError:
            return


class Pump:
    """Carries output from a pipe to a log, and sees at once when the job's first process ends."""

    def __init__(self, log: BoundedLog, *, pipe: int, ended: Callable[[], bool]) -> None:
        os.set_blocking(pipe, False)
        self._log = log
        self._pipe = pipe
        self._ended = ended
        self._pidfd = -1
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)
        #: Whether the first process has ended.
        self.exited = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for descriptor in (self._pipe, self._pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        self._log.finish()

    def watch(self, pid: int) -> None:
        """Take the end of *pid* (an unreaped child) for the end of the job's first process."""
        try:
            self._pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError):  # no such call here: `ended` is asked at each turn
            return
        self._poll.register(self._pidfd, select.POLLIN)

    def turn(self, seconds: float) -> bool:
        """Wait for output or the end, at most *seconds*; return whether there was output."""
        if self._pidfd < 0 and not self.exited:
            seconds = min(seconds, 0.01)
            self.exited = self._ended()
        output = False
        for descriptor, _ in self._poll.poll(seconds * 1000):
            if descriptor == self._pipe:
                output = self._read()
            else:
                self.exited = True
                self._poll.unregister(descriptor)
        return output

    def drain(self) -> None:
        """Take what is still in the pipe; of an escaped writer no more than one burst."""
        if self._pipe >= 0:
            self._read()

    def _read(self) -> bool:
        taken = 0
        while taken < _BURST:
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                break
            if not data:
                self._poll.unregister(self._pipe)
                os.close(self._pipe)
                self._pipe = -1
                break
            self._log.feed(data)
            taken += len(data)
        return taken > 0
