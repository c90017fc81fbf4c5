"""Time, identity and chance, as arguments.

Nothing below the command line asks the system for the time, an id or a random number: it is given
a `Clock`. Tests give a fake one.
"""

import os
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

#: Names the environment variable by which a torture makes the wall clock wrong, in seconds.
SKEW: Final = "WFLEDGER_TORTURE_SKEW_S"
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"


class Clock(Protocol):
    """Where time and chance come from."""

    def now(self) -> datetime:
        """Return the wall time in UTC; for people and backoff, never for liveness."""

    def elapsed(self) -> float:
        """Return seconds on a clock that never jumps and counts sleep; for durations only."""

    def awake(self) -> float:
        """Return seconds on a clock that never jumps and stands still while the machine sleeps."""

    def token(self) -> str:
        """Return an unguessable secret."""

    def short_id(self, length: int = 8) -> str:
        """Return *length* random characters of base32 in lower case."""

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass."""


class SystemClock:
    """The clock of this machine."""

    def __init__(self, skew_s: float = 0.0) -> None:
        self._skew = timedelta(seconds=skew_s)

    def now(self) -> datetime:
        """Return the wall time in UTC, without microseconds lost."""
        return datetime.now(UTC) + self._skew

    def elapsed(self) -> float:
        """Return CLOCK_BOOTTIME where there is one, so that suspended time counts."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    def awake(self) -> float:
        """Return CLOCK_MONOTONIC, which suspended time does not count for."""
        return time.monotonic()

    def token(self) -> str:
        """Return 32 random bytes in hexadecimal."""
        return secrets.token_hex(32)

    def short_id(self, length: int = 8) -> str:
        """Return *length* characters of base32 from the system's randomness."""
        return "".join(_ALPHABET[byte & 31] for byte in os.urandom(length))

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


def iso(moment: datetime) -> str:
    """Format *moment* as the ledger writes times: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """Read a time that `iso` wrote."""
    return datetime.fromisoformat(text)
