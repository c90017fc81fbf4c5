"""When a machine meets its remote next: once an interval, sooner after a change, later in trouble.

Pure. All moments are seconds on one clock that never jumps (`Clock.elapsed`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

#: Longest pause while the remote is away, unless an interval is longer: so soon it is seen again;
#: with a short lease a part of that, or who was quicker to see it would take over who was not.
LONGEST_S: Final = 15.0
_LONGEST_OF_LEASE: Final = 1 / 6
#: Longest pause, in intervals, of who was overtaken by others.
_OVERTAKEN: Final = 4.0
#: Shortest time between two meetings, whatever is wanted.
_SHORTEST_S: Final = 0.2
#: Who has been waiting for so many seconds pauses half as long.
_PATIENCE_S: Final = 10.0
#: Rounds that there is room for, for each machine's one.
_ROOM: Final = 1.5
#: Longest interval for the sake of turns, and that as a part of the lease.
_TURNS_S: Final = 10.0
_OF_LEASE: Final = 1 / 12
_NEVER: Final = float("-inf")


@dataclass(frozen=True)
class Pace:
    """What has been, as far as it decides what comes next."""

    interval_s: float
    #: When the last meeting began, and the last one that pushed.
    met: float = _NEVER
    pushed: float = _NEVER
    #: Meetings in a row that failed, and until when none is tried again.
    failures: int = 0
    until: float = _NEVER

    def due(self, *, wanted: bool) -> float:
        """Return when to meet next; *wanted*: something is to go out, or somebody is waiting.

        A push comes no sooner than an interval after the last one (WFL-HUB-040).
        """
        since = self.pushed if wanted else max(self.met, self.pushed)
        return max(since + self.interval_s, self.met + _SHORTEST_S, self.until)

    def after(self, began: float, *, pushed: bool) -> Self:
        """Return the pace after a meeting that went well."""
        last = began if pushed else self.pushed
        return replace(self, met=began, pushed=last, failures=0, until=_NEVER)

    def troubled(self, began: float, pause_s: float, *, pushed: bool) -> Self:
        """Return the pace after one that failed; *pause_s* counts from when it began."""
        last = began if pushed else self.pushed
        return replace(
            self, met=began, pushed=last, failures=self.failures + 1, until=began + pause_s
        )


def longest_s(lease_s: float) -> float:
    """Return the longest pause while the remote is away, unless an interval is longer."""
    return min(LONGEST_S, lease_s * _LONGEST_OF_LEASE)


def away_s(failures: int, interval_s: float, *, lease_s: float, chance: float) -> float:
    """Return the pause after *failures* in a row to reach the remote; *chance* is in 0..1.

    It doubles up to a bound and differs from machine to machine (WFL-HUB-141).
    """
    grown = interval_s * 2.0 ** min(failures - 1, 16)
    return min(grown, max(longest_s(lease_s), interval_s)) * (0.75 + chance / 2)


def turns_s(rounds: Sequence[float], *, interval_s: float, lease_s: float) -> float:
    """Return the interval at which machines hardly ever meet in each other's rounds.

    *rounds* says how many seconds one takes, for each machine. Of those who look while another is
    between its look and its push all but one do their work in vain. Who comes at a period that has
    room for a round of each finds the gap that it had before, so nobody has to be told whose turn
    it is (WFL-HUB-116). It is bounded, since rounds among rivals take longer than they will later.
    """
    if len(rounds) < 2:
        return interval_s
    return max(interval_s, min(_ROOM * sum(rounds), _OF_LEASE * lease_s, _TURNS_S))


def overtaken_s(failures: int, interval_s: float, *, age_s: float, chance: float) -> float:
    """Return the pause after others came first so many times in a row.

    *age_s*: for how long the oldest of our changes has been waiting. The longer, the shorter the
    pause: else the quickest among many would come first for ever.
    """
    grown = interval_s * min(2.0 ** min(failures - 1, 16), _OVERTAKEN)
    return grown / (1.0 + max(age_s, 0.0) / _PATIENCE_S) * (0.75 + chance / 2)
