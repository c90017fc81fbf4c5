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
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.clones import Clone, World
from wfledger.run.chaos.fleet import Fleet
from wfledger.run.chaos.proxy import Mode
from wfledger.run.chaos.toll import Fault, Toll
from wfledger.run.hub.names import Names
from wfledger.run.processes import proctree
from wfledger.run.processes.proctree import Process

#: The ledger's ref, on the hub as in a clone.
LEDGER: Final = Names("hidden").ledger
#: How often each fault is drawn.
WEIGHTS: Final[Mapping[str, int]] = {
    "kill daemon": 5, "kill worker": 3, "kill git": 6, "stop machine": 4,
    "cut": 5, "lose replies": 7, "partition": 4, "slow": 3, "refuse": 2,
    "reject pushes": 3, "protect branches": 3, "forbid": 2, "outage": 1, "rewind": 2,
}  # fmt: skip
#: Seconds between two faults.
PAUSE_S: Final = (0.1, 0.9)
_BYTES: Final = 30_000
_LOOKS: Final = 80
#: An outage that stands for an hour: so many leases.
_OUTAGE_LEASES: Final = 3.0
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
    #: What the hub has lost and has not been given back.
    lost: "Loss | None" = None

    def draw(self) -> tuple[str, Fault]:
        """Return the name of the next fault, and what does it."""
        name = self.chance.weighted(WEIGHTS)
        return name, partial(_ACTIONS[name], self)

    def _clone(self) -> Clone:
        return self.chance.one_of(self.world.clones)

    # -- processes -------------------------------------------------------------------------------

    def kill_daemon(self) -> str | None:
        """SIGKILL a machine's daemon."""
        clone = self._clone()
        for member in self.fleet.members:
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
        """SIGSTOP everything on a machine: for a moment, or for longer than its lease."""
        victims = self.fleet.of_scene(self._clone())
        stopped = [one for one in victims if proctree.send(one, signal.SIGSTOP)]
        if not stopped:
            return None
        seconds, said = self._length()
        self.later(seconds, lambda: _go_on(stopped))
        return said

    def _length(self) -> tuple[float, str]:
        if self.chance.often(0.3):
            return self.chance.between(1.3, 2.0) * self.world.lease_s, "beyond its lease"
        return self.chance.between(0.3, 4.0), "for a moment"

    # -- the network -----------------------------------------------------------------------------

    def spoil(self, mode: Mode) -> str | None:
        """Let the way of one machine to the hub go wrong for a while."""
        proxy = self._clone().proxy
        if proxy is None or proxy.mode != "pass":
            return None
        proxy.after = self.chance.below(_BYTES if mode in {"cut", "short"} else 1500)
        seconds, said = self.chance.between(1.0, 5.0), ""
        if mode == "hole":
            seconds, said = self._length()
        proxy.mode = mode

        def back() -> None:
            proxy.mode = "pass"
            if mode == "hole":
                proxy.sever()

        self.later(seconds, back)
        return said

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
        """Let nobody's password be good any more for a while (http)."""
        hub = self.world.hub
        if hub.kind != "http":
            return None
        hub.forbid(everybody=True)
        self.later(self.chance.between(1.0, 5.0), lambda: hub.forbid(everybody=False))
        return ""

    def outage(self) -> str | None:
        """Let the hub be away for many leases."""
        self.world.hub.down()
        leases = self.chance.between(0.5, 1.0) * _OUTAGE_LEASES
        self.later(leases * self.world.lease_s, self.world.hub.up)
        return ""

    def rewind(self) -> str | None:
        """Put a ledger on the hub, as out of a backup, that is older than what all machines know.

        What some of them knew that others went on without would be lost with the hub.
        """
        hub = self.world.hub
        if self.lost is not None:
            return None
        with suppress(WfledgerError):
            tip = hub.tip(LEDGER)
            known = [confirmed(clone) for clone in self.world.clones]
            if tip is None or tip not in known or None in known:
                return None
            oldest = hub.common([one for one in known if one])
            back = hub.ancestor(oldest, 1 + self.chance.below(_BACK)) if oldest else None
            if back is None or not hub.swap(LEDGER, back, tip):
                return None
            self.lost = Loss(tip, self.world.clones[known.index(tip)])
            return ""
        return None


def confirmed(clone: Clone) -> str | None:
    """Return the tip that a machine knows to be on the hub."""
    return clone.call("git", "rev-parse", "--verify", "--quiet", LEDGER).stdout.strip() or None


def _go_on(stopped: list[Process]) -> None:
    for one in stopped:
        proctree.send(one, signal.SIGCONT)


_ACTIONS: Final[Mapping[str, Callable[[Weather], str | None]]] = {
    "kill daemon": Weather.kill_daemon,
    "kill worker": lambda one: one.kill_one_of("worker"),
    "kill git": lambda one: one.kill_one_of("git"),
    "stop machine": Weather.stop_machine,
    "cut": Weather.cut,
    "lose replies": Weather.lose_replies,
    "partition": lambda one: one.spoil("hole"),
    "slow": Weather.slow,
    "refuse": lambda one: one.spoil("refuse"),
    "reject pushes": lambda one: one.reject(everything=True),
    "protect branches": lambda one: one.reject(everything=False),
    "forbid": Weather.forbid,
    "outage": Weather.outage,
    "rewind": Weather.rewind,
}
