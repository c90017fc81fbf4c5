"""File descriptors for many attempts at once; a program starts with room for about a thousand."""

import resource
from typing import Final

#: What a supervisor has open by itself, at most.
_OWN: Final = 64
#: What an attempt takes of its supervisor: three locks, log, pipe, pidfd, and git for a while.
_EACH: Final = 8


def allow_for(attempts: int) -> int:
    """Raise this process's soft limit as far as *attempts* at once need and the system allows.

    Returns how many of them that is enough for, at least one: more would only fail one another.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OWN + _EACH * attempts
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, min(attempts, (wanted - _OWN) // _EACH))
