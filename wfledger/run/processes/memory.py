"""Memory that threads have given up goes back to the system, where the C library keeps it.

Hundreds of attempts begin and end in threads of their own; glibc keeps what each has freed for the
next, which adds up to a third of a supervisor's memory.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Final

#: glibc's M_ARENA_MAX, and how many pools of memory hundreds of threads share: a pool for each
#: pair of hands would keep what others could use.
_ARENA_MAX: Final = -8
_ARENAS: Final = 2


@cache
def _trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`, or None with another C library."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return found


@cache
def share() -> None:
    """Let the threads of this process share their memory; once, before they are begun."""
    try:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
    except (OSError, AttributeError):
        return  # another C library, which keeps no such pools


def give_back() -> None:
    """Hand free memory back; some milliseconds, and a courtesy only."""
    trim = _trim()
    if trim is not None:
        trim(0)
