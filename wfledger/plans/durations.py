"""Durations as people write them: seconds, or `90s`, `20m`, `1h30m`."""

import re
from typing import Final

from wfledger.core import bounds

_UNITS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|d|h|m|s)")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+\Z")


def parse(value: object) -> float | None:
    """Return *value* in seconds, or None if it is no duration; the range is not looked at."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e18 else 1e18
    if not isinstance(value, str) or not _WHOLE.match(value):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


def in_range(seconds: float) -> bool:
    """Return whether a limit may be *seconds* long."""
    return 0 < seconds <= bounds.MAX_SECONDS


def shortest(seconds: float) -> int | float:
    """Return *seconds* as it is written into a document."""
    return int(seconds) if seconds == int(seconds) else seconds
