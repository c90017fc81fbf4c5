"""Machines that are in each other's way push one after the other, and none is left out."""

import heapq
import random
from dataclasses import dataclass, field

import pytest

from wfledger.core.pacing import turns_s
from wfledger.core.turns import Caller, Waiting, ahead, before, patience_s, pause_s

LEASE_S = 300.0


def _before(one: tuple[int, str], own: tuple[int, str]) -> bool:
    return bool(before([Caller(*one)], Caller(*own)))


@pytest.mark.requirement("WFL-HUB-117")
def test_goes_first_who_was_overtaken_more_often() -> None:
    assert _before((1, "a"), (0, "b"))
    assert _before((2, "a"), (1, "b"))
    assert _before((3, "b"), (3, "a"))
    assert not _before((3, "a"), (3, "b"))
    assert not _before((0, "b"), (0, "a"))
    assert not _before((9, "a"), (0, "a"))


@pytest.mark.requirement("WFL-HUB-117")
def test_is_waited_for_by_its_own_rounds_within_bounds() -> None:
    assert patience_s(Caller(1, "a", round_s=2.0), LEASE_S) == 6.0
    assert patience_s(Caller(1, "a", round_s=60.0), LEASE_S) == 25.0
    assert patience_s(Caller(1, "a"), LEASE_S) == 1.0
    assert patience_s(Caller(1, "a", round_s=60.0), 6.0) == 1.0


def test_looks_again_when_about_half_of_the_rounds_may_be_over() -> None:
    two = [Caller(1, "a", round_s=2.0), Caller(1, "b", round_s=1.0)]
    assert pause_s(two, chance=0.0) == 0.75
    assert pause_s(two, chance=1.0) == 1.5
    assert pause_s([Caller(1, "a")], chance=0.5) == 0.05
    assert pause_s([Caller(1, "a", round_s=60.0)], chance=0.5) == 5.0


@dataclass
class _Machine:
    """One of the model: what it does between a look and a push takes *takes_s*."""

    name: str
    takes_s: float
    count: int = 0
    beat: int = 0
    waiting: Waiting = field(default_factory=Waiting)
    pushes: int = 0

    @property
    def caller(self) -> Caller:
        return Caller(self.count, self.name, str(self.beat), self.takes_s)


class _Fleet:
    """Machines that push to one ref, each again when an interval is over; seconds are a number."""

    def __init__(self, takes_s: list[float], seed: int) -> None:
        self.machines = [_Machine(f"m{at}", takes) for at, takes in enumerate(takes_s)]
        self._said = {one.name: one.caller for one in self.machines}
        self._chance = random.Random(seed)
        self._tip, self._serial = 0, 0
        self._queue: list[tuple[float, int, str, _Machine, int]] = []
        self.vain = 0
        for one in self.machines:
            self._plan(0.0, "look", one)

    def call_and_die(self, count: int) -> None:
        self._said["dead"] = Caller(count, "dead", "x", 1.0)

    def run(self, seconds: float) -> None:
        while self._queue[0][0] < seconds:
            now, _, what, machine, seen = heapq.heappop(self._queue)
            self._look(now, machine) if what == "look" else self._push(now, machine, seen)

    def _plan(self, at: float, what: str, machine: _Machine, seen: int = 0) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (at, self._serial, what, machine, seen))

    def _look(self, now: float, machine: _Machine) -> None:
        found, machine.waiting = ahead(
            self._said.values(), machine.caller, machine.waiting, now=now, lease_s=LEASE_S
        )
        if found:
            pause = pause_s(found, chance=self._chance.random())
            self._plan(now + pause, "look", machine)
        else:
            takes = machine.takes_s * self._chance.uniform(1.0, 1.5)
            self._plan(now + takes, "push", machine, self._tip)

    def _push(self, now: float, machine: _Machine, seen: int) -> None:
        machine.beat += 1
        if seen != self._tip:
            machine.count += 1
            self.vain += 1
            self._plan(now, "look", machine)
        else:
            self._tip += 1
            machine.count, machine.pushes = 0, machine.pushes + 1
            rounds = [one.takes_s for one in self.machines]
            interval = turns_s(rounds, interval_s=1.0, lease_s=LEASE_S)
            self._plan(max(now - machine.takes_s + interval, now), "look", machine)
        self._said[machine.name] = machine.caller


@pytest.mark.requirement("WFL-HUB-116")
@pytest.mark.requirement("WFL-HUB-117")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "takes_s", [[1.0] * 8, [0.3] * 7 + [3.0], [0.1, 0.2, 0.4, 0.8, 1.6], [2.0] * 20]
)
def test_each_machine_has_its_part_of_the_pushes(takes_s: list[float], seed: int) -> None:
    fleet = _Fleet(takes_s, seed)
    fleet.run(30 * sum(takes_s))
    pushes = [one.pushes for one in fleet.machines]
    assert min(pushes) * len(pushes) >= 0.5 * sum(pushes), pushes
    assert sum(pushes) >= 10 * len(pushes), pushes
    assert fleet.vain <= 1.5 * sum(pushes), (fleet.vain, pushes)


@pytest.mark.requirement("WFL-HUB-117")
def test_one_that_calls_and_dies_costs_the_others_a_pause() -> None:
    fleet = _Fleet([1.0] * 4, 0)
    fleet.call_and_die(99)
    fleet.run(40.0)
    assert min(one.pushes for one in fleet.machines) >= 4
