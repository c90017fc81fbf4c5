"""A clock that tests move by hand."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

START: Final = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"


class FakeClock:
    """`wfledger.clock.Clock` whose time stands still until it is advanced.

    Tokens and ids are a deterministic sequence that depends on *seed* alone; clocks of two
    processes that must not agree are given two seeds. Safe to share between threads.
    """

    def __init__(self, start: datetime = START, *, seed: str = "clock") -> None:
        self.seed = seed
        #: Every duration that somebody waited for, in order.
        self.waits: list[float] = []
        self._now = start
        self._elapsed = 1000.0
        self._slept = 0.0
        self._lock = threading.Lock()
        self._serial = count(1)

    def now(self) -> datetime:
        """Return the wall time."""
        with self._lock:
            return self._now

    def elapsed(self) -> float:
        """Return the seconds that passed."""
        with self._lock:
            return self._elapsed

    def awake(self) -> float:
        """Return the seconds that passed while the machine was awake."""
        with self._lock:
            return self._elapsed - self._slept

    def token(self) -> str:
        """Return the next 64 hexadecimal characters of the sequence."""
        return self._next().hex()

    def short_id(self, length: int = 8) -> str:
        """Return the next *length* (at most 32) base32 characters of the sequence."""
        return "".join(_ALPHABET[byte & 31] for byte in self._next()[:length])

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass at once."""
        self.waits.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        if seconds < 0:
            raise ValueError("time does not run backwards; see jump()")
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._elapsed += seconds

    def sleep(self, seconds: float) -> None:
        """Let the machine be suspended for *seconds*."""
        self.advance(seconds)
        with self._lock:
            self._slept += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back while no time passes."""
        with self._lock:
            self._now += timedelta(seconds=seconds)

    def _next(self) -> bytes:
        return hashlib.sha256(f"{self.seed}/{next(self._serial)}".encode()).digest()
