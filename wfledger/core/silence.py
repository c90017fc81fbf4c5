"""For how long nothing has been heard of the other machines (spec 97, section 5).

Pure. Only what one could see counts: the time between two fetches that both got through and lie
close together. After an outage of the remote everybody has been silent for no time at all, however
long it was. No two clocks are compared.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

#: Clocks of two machines run apart by less.
_DRIFT: Final = 1.1
#: A fetch at least so often within a lease is close to the one before, however slow the network.
_LOOKS_PER_LEASE: Final = 6
#: Where fetches lie further apart, up to so many windows, one window of it counts. That is how far
#: they lie apart where a call to the server takes a sixth of the lease, the longest one may take.
_SLOW: Final = 3


@dataclass(frozen=True)
class Heard:
    """What was last heard of one machine, and for how many seconds of sight it has been that.

    Less than none while the fetch that brought it may have been under way when it was said.
    """

    value: str
    for_s: float


@dataclass(frozen=True)
class Hearing:
    """What fetch after fetch has come to, by one clock."""

    #: When the last fetch that got through began; None: none did.
    at: float | None = None
    heard: Mapping[str, Heard] = field(default_factory=dict)

    def silence(self) -> dict[str, float]:
        """Return for each machine how long it has been silent."""
        return {machine: max(heard.for_s, 0.0) for machine, heard in self.heard.items()}


def window_s(interval_s: float, lease_s: float) -> float:
    """Return how much of the time between two fetches counts at most (WFL-HUB-051)."""
    return max(2 * interval_s, lease_s / _LOOKS_PER_LEASE)


def limit_s(interval_s: float, lease_s: float) -> float:
    """Return after how much silence a machine is taken for gone (WFL-HUB-053)."""
    return lease_s * _DRIFT + interval_s


def look(
    before: Hearing, *, now: float, window: float, beats: Mapping[str, str],
    wrote: Collection[str] = (), took_s: float = 0.0,
) -> Hearing:  # fmt: skip
    """Return what is known after a fetch that got through.

    *now* is when it began and *took_s* how long it took; *beats* is what it found of each machine,
    "" of one that is expected and has no heartbeat; *wrote* who has put commits into the history
    since the last one. What is new may have come while it was under way, so silence begins at its
    end; that of who is missed where he was first missed.
    """
    gap = now - before.at if before.at is not None else -1.0
    counts = min(gap, window) if 0 <= gap <= _SLOW * window else None
    heard = {}
    for machine, value in beats.items():
        known = before.heard.get(machine)
        is_same = known is not None and known.value == value and machine not in wrote
        silent = known.for_s + counts if known and is_same and counts is not None else -took_s
        heard[machine] = Heard(value, silent)
    return Hearing(now, heard)
