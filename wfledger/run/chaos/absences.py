"""Machines that are away for longer than their lease while they work, and the hub for an hour.

These come one after another and not by chance alone: what is taken over, and what comes too late,
is seen only where somebody else can see the silence to its end.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

from wfledger.clock import Clock
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.clones import Clone, World
from wfledger.run.chaos.fleet import Fleet
from wfledger.run.chaos.links import BREAKS
from wfledger.run.hub.names import Names
from wfledger.run.processes import proctree

#: One after the other, so that a short torture has what is worked on and comes too late.
_KINDS: Final = ("asleep", "cut off", "switched off")
#: From the beginning of one to that of the next, and how long it lasts, in leases.
_EVERY: Final = (1.0, 2.0)
_LONG: Final = (1.5, 2.2)
#: So long at most, where others have not taken over what one had begun.
_LONGEST: Final = 5.0
#: The first one, in leases; and the next try where nobody is at work.
_FIRST: Final = 0.3
_AGAIN_S: Final = 1.0
#: An hour, where leases are of ten minutes.
_HOUR: Final = 6.0
#: The hub is away for an hour once, after this share of the time, where that is not most of it.
_OUTAGE_AT: Final = 0.4
_OUTAGE_MOST: Final = 0.3
#: Share of the machines where nobody works for people that, switched off, stay so.
_FOR_GOOD: Final = 0.5

#: The ledger's ref, on the hub as in a clone.
LEDGER: Final = Names("hidden").ledger
#: Has something end in so many seconds.
Later = Callable[[float, Callable[[], object]], None]


@dataclass
class _Away:
    """Somebody who is away: what brings him back, and when."""

    action: Callable[[], object]
    due: float
    #: Of a machine: until when it is waited for that others have taken what it had begun.
    clone: Clone | None = None
    until: float = 0.0


@dataclass
class Absences:
    """Who is away for long, and when the next one goes. *time_s*: of all faults."""

    world: World
    fleet: Fleet
    chance: Chance
    clock: Clock
    time_s: float
    _away: list[_Away] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = self._outage = float("inf")
        self._kinds = cycle(_KINDS)

    def begin(self) -> None:
        """Count from now on."""
        now, lease_s = self.clock.elapsed(), self.world.lease_s
        self._next = now + _FIRST * lease_s
        if _HOUR * lease_s <= _OUTAGE_MOST * self.time_s:
            self._outage = now + _OUTAGE_AT * self.time_s

    def due(self) -> Callable[[], str | None] | None:
        """Return what is to be away now, if anything is."""
        now = self.clock.elapsed()
        if now >= self._outage:
            self._outage = float("inf")
            return self._hour
        return self._go if now >= self._next else None

    def _go(self) -> str | None:
        """Let one go who is at work; says how, None where nobody is."""
        lease_s, chance = self.world.lease_s, self.chance
        found = self._at_work()
        if not found:
            self._next = self.clock.elapsed() + _AGAIN_S
            return None
        self._next = self.clock.elapsed() + chance.between(*_EVERY) * lease_s
        clone, seconds = chance.one_of(found), chance.between(*_LONG) * lease_s
        how = next(self._kinds)
        if how == "cut off":
            return self._cut_off(clone, seconds)
        if how == "asleep":
            return self._sleep(clone, seconds)
        if clone.is_alone and chance.often(_FOR_GOOD):
            return self._switch_off(clone, None)
        return self._switch_off(clone, seconds)

    def _at_work(self) -> list[Clone]:
        """Return the machines that have begun what they have not finished, as the hub knows."""
        notes = self.world.notes
        ended = {tuple(line.split()) for line in (notes / "finished").read_text().splitlines()}
        begun = {tuple(line.split()[:3]) for line in (notes / "ran").read_text().splitlines()}
        names = {one[2] for one in begun - ended if len(one) == 3}
        return [
            one for one in self.world.clones
            if one.name in names and one.is_there and not (one.link and one.link.is_broken)
            and self._holds(one)
        ]  # fmt: skip

    def take_back(self, *, at_once: bool = False) -> None:
        """Bring back those whose time is over, or all but those who are gone for good."""
        for one in list(self._away):
            if at_once or self._is_over(one):
                self._away.remove(one)
                one.action()

    def _is_over(self, one: _Away) -> bool:
        """Whether *one* comes back: where a computer is slow it takes longer to see silence."""
        now = self.clock.elapsed()
        if now < one.due:
            return False
        if one.clone is None or now >= one.until or not self._holds(one.clone):
            return True
        one.due = now + _AGAIN_S
        return False

    def _holds(self, clone: Clone) -> bool:
        """Whether the hub has work in progress of a machine."""
        return self.world.hub.has_text(LEDGER, "in-progress", f'"{clone.workspace().machine.id}"')

    def _later(self, clone: Clone) -> Later:
        until = self.clock.elapsed() + _LONGEST * self.world.lease_s

        def later(seconds: float, action: Callable[[], object]) -> None:
            self._away.append(_Away(action, self.clock.elapsed() + seconds, clone, until))

        return later

    def _sleep(self, clone: Clone, seconds: float) -> str | None:
        return "asleep" if sleep(self.fleet, clone, seconds, self._later(clone)) else None

    def _switch_off(self, clone: Clone, seconds: float | None) -> str | None:
        """SIGKILL everything on a machine, which starts again later, or not before the verdict."""
        clone.is_off = True
        self.fleet.signal_scene(clone, signal.SIGKILL)
        if seconds is None:
            return "switched off for good"

        def start() -> None:
            clone.is_off = False

        self._later(clone)(seconds, start)
        return "switched off"

    def _cut_off(self, clone: Clone, seconds: float) -> str | None:
        """Let nothing through between a machine and the hub."""
        said = cut_off(clone, self.chance, seconds, self._later(clone))
        return said if said is None else f"cut off{said and f', {said}'}"

    def _hour(self) -> str:
        """Let the hub be away for an hour, as leases count."""
        self.world.hub.down()
        due = self.clock.elapsed() + _HOUR * self.world.lease_s
        self._away.append(_Away(self.world.hub.up, due))
        return f"the hub, for {_HOUR:.0f} leases"


def sleep(fleet: Fleet, clone: Clone, seconds: float, later: Later) -> bool:
    """SIGSTOP everything on a machine; False where nothing runs there."""
    stopped = fleet.signal_scene(clone, signal.SIGSTOP)
    if not stopped:
        return False
    clone.is_asleep = True

    def wake() -> None:
        clone.is_asleep = False
        for one in stopped:
            proctree.send(one, signal.SIGCONT)

    later(seconds, wake)
    return True


def cut_off(clone: Clone, chance: Chance, seconds: float, later: Later) -> str | None:
    """Let nothing through between a machine and the hub; says how, None where there is no way.

    In a network of its own packets vanish, and what was sent is sent again afterwards; else the
    proxy keeps what it gets, and cuts it off in the end.
    """
    link, proxy = clone.link, clone.proxy
    if link is not None:
        if link.is_broken:
            return None
        how = chance.one_of(BREAKS)
        link.cut(how)
        later(seconds, link.heal)
        return how
    if proxy is None or proxy.mode != "pass":
        return None
    proxy.mode = "hole"

    def back() -> None:
        proxy.mode = "pass"
        proxy.sever()

    later(seconds, back)
    return ""
