"""A log of bounded size that can be written when the disk is full again, or no descriptor is left.

The file is open all the time. When it is large it is renamed away, and a few old ones are kept.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wfledger.clock import Clock, iso
from wfledger.core.text import clean

#: Bytes of one file, and how many old ones are kept.
SIZE: Final = 2**20
KEPT: Final = 3


class Logbook:
    """Lines with their time. Safe to share between threads; trouble with writing stops nobody."""

    def __init__(
        self, path: Path, *, clock: Clock, size: int = SIZE, kept: int = KEPT,
        echo: Callable[[str], object] | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self._clock = clock
        self._size = size
        self._kept = kept
        self._echo = echo
        self._lock = threading.Lock()
        self._lost = 0
        self._file = _open(path)

    def say(self, text: str) -> None:
        """Write *text*, which may have several lines."""
        line = f"{iso(self._clock.now())} {clean(text)}\n"
        with self._lock:
            if self._lost:
                line = f"{self._lost} entries could not be written\n{line}"
            try:
                self._rotate_if_large()
                os.write(self._file, line.encode())
                self._lost = 0
            except OSError:  # a full or read-only disk; said when it can be again
                self._lost += 1
        if self._echo is not None:
            self._echo(text)

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            os.close(self._file)

    def _rotate_if_large(self) -> None:
        if os.fstat(self._file).st_size < self._size:
            return
        for number in range(self._kept, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path.with_name(f"{self.path.name}.{number - 1}")
            source = newer if number > 1 else self.path
            if source.exists():
                source.replace(older)
        fresh = _open(self.path)
        os.close(self._file)
        self._file = fresh


def _open(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)
