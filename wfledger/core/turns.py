"""Who pushes first among machines that are in each other's way, and for how long others wait.

Pure. Each that was overtaken says so in its heartbeat; whoever reads the same heartbeats comes to
the same order, so they push one after the other and nobody has to be told (spec 97, section 9).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

#: Rounds of its own for which who is first is waited for, and the bounds of that in seconds.
_PATIENCE: Final = 3.0
_LEAST_S: Final = 1.0
_OF_LEASE: Final = 1 / 12
#: Bounds of one pause before looking again.
_PAUSE_S: Final = (0.05, 5.0)


@dataclass(frozen=True, order=True)
class Caller:
    """A machine in whose way others came; the greatest goes first."""

    #: Rounds in a row in which others came first.
    count: int
    machine: str
    #: The heartbeat that says so.
    beat: str = ""
    #: Seconds that a round takes there; 0 where it has not said.
    round_s: float = 0.0

    @property
    def name(self) -> str:
        """What this one call is remembered by; another one begins with each heartbeat."""
        return f"{self.machine} {self.beat}"


@dataclass(frozen=True)
class Waiting:
    """What a machine remembers of those that it waits for."""

    #: Machine -> its last call that was waited for as long as it may be, by `Caller.name`.
    had: Mapping[str, str] = field(default_factory=dict)
    #: The call whose turn it is, and since when by the clock that never jumps.
    first: str = ""
    since: float = 0.0


def before(callers: Iterable[Caller], own: Caller) -> list[Caller]:
    """Return those of *callers* that go before *own*, first the one whose turn it is."""
    key = (own.count, own.machine)
    found = (
        one for one in callers
        if one.count > 0 and one.machine != own.machine and (one.count, one.machine) > key
    )  # fmt: skip
    return sorted(found, reverse=True)


def ahead(
    callers: Iterable[Caller], own: Caller, known: Waiting, *, now: float, lease_s: float
) -> tuple[list[Caller], Waiting]:
    """Return those that push before *own* at the moment *now*, and what to remember of it.

    The first of them is waited for as long as `patience_s` says, then the next has its turn.
    """
    found = before(callers, own)
    had, first, since = dict(known.had), known.first, known.since
    while found:
        one = found[0]
        if had.get(one.machine) != one.name:
            if first != one.name or since > now:
                first, since = one.name, now
            if now - since < patience_s(one, lease_s):
                return found, Waiting(had, first, since)
            had[one.machine] = one.name
        found.pop(0)
    return [], Waiting(had)


def patience_s(caller: Caller, lease_s: float) -> float:
    """Return for how long it is waited that *caller*, whose turn it is, has had it.

    One that dies when it has called holds nobody up for longer (WFL-HUB-117).
    """
    return max(min(_PATIENCE * caller.round_s, _OF_LEASE * lease_s), _LEAST_S)


def pause_s(ahead: Sequence[Caller], *, chance: float) -> float:
    """Return after how many seconds to look again where *ahead* go before; *chance* is in 0..1.

    Half of their rounds, but no more than the first one's: whoever sleeps when its turn has come
    would be passed over.
    """
    rounds = [one.round_s for one in ahead]
    wanted = min(sum(rounds) / 2, rounds[0]) * (0.5 + chance / 2)
    return min(max(wanted, _PAUSE_S[0]), _PAUSE_S[1])
