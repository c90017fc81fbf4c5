"""The faults of a torture of many machines: of processes, of the network, of the hub, of people.

Which one comes when, and to which machine, is drawn from the seed. Each says whether it was done.
"""

import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from wfledger.errors import WfledgerError
from wfledger.run.chaos.absences import LEDGER, Absences, cut_off, sleep
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.clones import Clone, World
from wfledger.run.chaos.fleet import Fleet
from wfledger.run.chaos.proxy import Mode
from wfledger.run.chaos.toll import Fault, Toll
from wfledger.run.processes import proctree

#: How often each fault is drawn.
WEIGHTS: Final[Mapping[str, int]] = {
    "kill daemon": 5, "kill worker": 3, "kill git": 6, "stop machine": 4,
    "cut": 5, "lose replies": 7, "partition": 4, "slow": 3, "refuse": 2,
    "reject pushes": 2, "protect branches": 2, "forbid": 1, "outage": 1, "rewind": 1,
}  # fmt: skip
#: Seconds between two faults.
PAUSE_S: Final = (0.2, 1.6)
#: What an absence beyond a lease is called (`chaos.absences`).
AWAY: Final = "away beyond a lease"
_BYTES: Final = 30_000
_LOOKS: Final = 80
#: The farthest back that a hub goes.
_BACK: Final = 4


@dataclass(frozen=True)
class Loss:
    """A commit that the hub has lost, and a machine that has it."""

    tip: str
    holder: Clone


@dataclass
class Weather(Toll):
    """The faults of many machines, their network and their hub."""

    world: World
    fleet: Fleet
    chance: Chance
    #: For how long there are faults.
    time_s: float
    #: What the hub has lost and has not been given back.
    lost: "Loss | None" = None
    #: Whether nobody is about to give the hub back what it lost before: who does that with a
    #: machine that knows less than others makes them part for ever.
    is_whole: bool = True

    def __post_init__(self) -> None:
        self.absences = Absences(
            self.world, self.fleet, self.chance, self.clock, self.time_s
        )

    def draw(self) -> tuple[str, Fault]:
        """Return the name of the next fault, and what does it."""
        due = self.absences.due()
        if due is not None:
            return AWAY, due
        name = self.chance.weighted(WEIGHTS)
        return name, partial(_ACTIONS[name], self)

    def take_back(self, *, at_once: bool = False) -> None:
        """End the faults whose time is over, or all of them."""
        super().take_back(at_once=at_once)
        self.absences.take_back(at_once=at_once)

    def begin(self) -> None:
        """Be told that the fleet is at work."""
        self.absences.begin()

    def abate(self) -> None:
        """End all faults but for the long absences, which last for as long as they were to."""
        super().take_back(at_once=True)

    def _clone(self) -> Clone:
        return self.chance.one_of(self.world.clones)

    # -- processes -------------------------------------------------------------------------------

    def kill_daemon(self) -> str | None:
        """SIGKILL a machine's daemon."""
        clone = self._clone()
        for member in self.fleet.members if clone.is_there else ():
            if member.scene is clone and member.kind == "supervisor" and member.process is not None:
                member.process.kill()
                return ""
        return None

    def kill_one_of(self, kind: str) -> str | None:
        """SIGKILL a worker, or a git child: a push, a fetch, or one of the user's."""
        looks = _LOOKS if kind == "git" else 1
        for _ in range(looks):
            found = [one for known, some in self.fleet.running().items() if known == kind
                     for one in some]  # fmt: skip
            if found and proctree.send(self.chance.one_of(sorted(found)), signal.SIGKILL):
                return ""
        return None

    def stop_machine(self) -> str | None:
        """SIGSTOP everything on a machine for a moment."""
        clone = self._clone()
        if not clone.is_there or not sleep(self.fleet, clone, self._moment(), self.later):
            return None
        return ""

    def _moment(self) -> float:
        return self.chance.between(0.3, 4.0)

    # -- the network -----------------------------------------------------------------------------

    def spoil(self, mode: Mode) -> str | None:
        """Let the way of one machine to the hub go wrong for a while."""
        proxy = self._clone().proxy
        if proxy is None or proxy.mode != "pass":
            return None
        proxy.after = self.chance.below(_BYTES if mode in {"cut", "short"} else 1500)
        proxy.mode = mode

        def back() -> None:
            proxy.mode = "pass"

        self.later(self.chance.between(1.0, 5.0), back)
        return ""

    def partition(self) -> str | None:
        """Let nothing through between a machine and the hub for a moment."""
        return cut_off(self._clone(), self.chance, self._moment(), self.later)

    def cut(self) -> str | None:
        """Cut what a machine sends, or what it is sent, after some bytes."""
        return self.spoil(self.chance.one_of(("cut", "short")))

    def lose_replies(self) -> str | None:
        """Let the server do what it is asked, and nobody hear of it."""
        return self.spoil(self.chance.one_of(("mute", "mute", "deaf")))

    def slow(self) -> str | None:
        """Let each chunk take its time."""
        proxy = self._clone().proxy
        if proxy is None or proxy.delay_s:
            return None
        proxy.delay_s = self.chance.between(0.02, 0.4)

        def back() -> None:
            proxy.delay_s = 0.0

        self.later(self.chance.between(1.0, 6.0), back)
        return ""

    # -- the hub ---------------------------------------------------------------------------------

    def reject(self, *, everything: bool) -> str | None:
        """Let the hub's hook refuse all pushes, or those that move branches of runs."""
        hub = self.world.hub
        hub.reject(everything=everything, branch=None if everything else "refs/heads/wf/*")
        self.later(self.chance.between(1.0, 5.0), hub.reject)
        return ""

    def forbid(self) -> str | None:
        """Let nobody in any more for a while, as if nobody were allowed to."""
        hub = self.world.hub
        if hub.server is None:
            return None
        hub.forbid(everybody=True)
        self.later(self.chance.between(1.0, 5.0), lambda: hub.forbid(everybody=False))
        return ""

    def outage(self) -> str | None:
        """Let the hub be away for a moment."""
        if not self.world.hub.is_up:
            return None
        self.world.hub.down()
        self.later(self._moment(), self.world.hub.up)
        return ""

    def rewind(self) -> str | None:
        """Put a ledger on the hub, as out of a backup, that is older than what all machines know.

        What some of them knew that others went on without would be lost with the hub.
        """
        hub = self.world.hub
        if self.lost is not None or not self.is_whole:
            return None
        with suppress(WfledgerError):
            tip = hub.tip(LEDGER)
            known = [confirmed(clone) for clone in self.world.clones]
            there = [one for one in self.world.clones if one.is_there and known[one.number] == tip]
            if tip is None or not there or None in known:
                return None
            oldest = hub.common([one for one in known if one])
            back = hub.ancestor(oldest, 1 + self.chance.below(_BACK)) if oldest else None
            if back is None or not hub.swap(LEDGER, back, tip):
                return None
            self.lost = Loss(tip, there[0])
            return ""
        return None


def confirmed(clone: Clone) -> str | None:
    """Return the tip that a machine knows to be on the hub."""
    return clone.call("git", "rev-parse", "--verify", "--quiet", LEDGER).stdout.strip() or None


_ACTIONS: Final[Mapping[str, Callable[[Weather], str | None]]] = {
    "kill daemon": Weather.kill_daemon,
    "kill worker": lambda one: one.kill_one_of("worker"),
    "kill git": lambda one: one.kill_one_of("git"),
    "stop machine": Weather.stop_machine,
    "cut": Weather.cut,
    "lose replies": Weather.lose_replies,
    "partition": Weather.partition,
    "slow": Weather.slow,
    "refuse": lambda one: one.spoil("refuse"),
    "reject pushes": lambda one: one.reject(everything=True),
    "protect branches": lambda one: one.reject(everything=False),
    "forbid": Weather.forbid,
    "outage": Weather.outage,
    "rewind": Weather.rewind,
}
