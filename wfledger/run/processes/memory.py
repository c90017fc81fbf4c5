"""Memory that threads have given up goes back to the system, where the C library keeps it.

Hundreds of attempts begin and end in threads of their own; glibc keeps what each has freed for the
next, which adds up to a third of a supervisor's memory.
"""

import ctypes
from collections.abc import Callable
from functools import cache


@cache
def _trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`, or None with another C library."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return found


def give_back() -> None:
    """Hand free memory back; some milliseconds, and a courtesy only."""
    trim = _trim()
    if trim is not None:
        trim(0)
