"""Whatever happens to the remote and to who looks, only who is gone is found to be gone.

A model of three machines that meet a remote at their own pace, with the rules of the real ones:
the first only beats; the others look at it, and are suspended, stopped, cut off and started anew.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Final

import pytest

from wfledger.core.pacing import Pace, away_s, overtaken_s
from wfledger.core.silence import Hearing, limit_s, look, window_s

#: A heartbeat is due after this part of a lease; a call takes at most that part.
BEAT, CALL = 1 / 3, 1 / 6
FAULTS: Final = ("suspended", "stopped", "cut", "rebooted", "restarted")
#: Interval and lease, in seconds.
POLICIES = [(1.0, 60.0), (10.0, 60.0), (5.0, 30.0), (1.0, 12.0), (2.0, 12.0), (1.0, 6.0)]

Spans = list[tuple[float, float, str]]


@dataclass
class _Machine:
    """One machine; its clocks run fast or slow by up to three in a hundred."""

    rate: float
    pace: Pace
    faults: Spans = field(default_factory=list)
    slept: float = 0.0
    booted: float = 0.0
    renewed: float | None = None
    hearing: Hearing = field(default_factory=Hearing)
    #: When its heartbeats came to the remote.
    beats: list[float] = field(default_factory=list)

    def elapsed(self, now: float) -> float:
        return (now - self.booted) * self.rate

    def awake(self, now: float) -> float:
        return (now - self.booted - self.slept) * self.rate

    def fault(self, now: float, *kinds: str) -> tuple[float, float, str] | None:
        found = (one for one in self.faults if one[0] <= now < one[1] and one[2] in kinds)
        return next(found, None)


class _World:
    """The remote, its outages, and three machines."""

    def __init__(self, seed: int, interval: float, lease: float, *, calm: bool) -> None:
        self._chance = Random(seed)
        self._interval, self._lease = interval, lease
        chance, self._end = self._chance, 30 * lease
        pace = Pace(interval)
        self.machines = [_Machine(1 + chance.uniform(-0.03, 0.03), pace) for _ in range(3)]
        self._outages = [] if calm else self._spans(("outage",), apart=4)
        for one in () if calm else self.machines[1:]:
            one.faults = self._spans(FAULTS, apart=3)

    def _spans(self, kinds: tuple[str, ...], *, apart: float) -> Spans:
        found, now = [], self._chance.uniform(0, self._lease)
        while now < self._end:
            longest = self._chance.choice([0.1, 0.3, 0.5, 1, 2, 5])
            until = now + longest * self._lease * self._chance.random()
            found.append((now, until, self._chance.choice(kinds)))
            now = until + self._chance.uniform(0.05, apart) * self._lease
        return found

    def found_gone(self, *, dies: float | None = None) -> float | None:
        """Let time pass until the first machine, which *dies* then, is found to be gone."""
        chance = self._chance
        queue = [(chance.uniform(0, self._interval), number) for number in range(3)]
        while queue:
            now, number = heappop(queue)
            if now > self._end:
                return None
            if dies is not None and number == 0 and now >= dies:
                continue
            after = self._slept_through(self.machines[number], now) or self._met(number, now)
            if number and self._takes_over(self.machines[number]):
                return now
            heappush(queue, (after + chance.uniform(0, 0.3), number))
        return None

    def _takes_over(self, one: _Machine) -> bool:
        return one.hearing.silence().get("m0", 0.0) >= limit_s(self._interval, self._lease)

    def _slept_through(self, one: _Machine, now: float) -> float | None:
        """Return when a machine goes on that is not there just now."""
        found = one.fault(now, "suspended", "stopped", "rebooted")
        if found is None:
            return None
        if found[2] == "suspended":
            one.slept += found[1] - now
        if found[2] == "rebooted":
            one.hearing, one.renewed, one.pace = Hearing(), None, Pace(self._interval)
            one.booted, one.slept = now, 0.0
        return found[1]

    def _call(self, one: _Machine, now: float) -> tuple[bool, float]:
        """Return whether a call comes to the remote and back, and when it ends."""
        end = now + self._chance.uniform(0.01, CALL) * self._lease * self._chance.choice([0.1, 1])
        is_cut = one.fault(now, "cut") or one.fault(end, "cut")
        is_out = any(start < end and now < until for start, until, _ in self._outages)
        slept = [until for start, until, kind in one.faults if now < start < end and kind != "cut"]
        return not (is_cut or is_out), max([end, *slept])

    def _met(self, number: int, now: float) -> float:
        """Have a meeting; returns when the next one is due."""
        one, chance = self.machines[number], self._chance
        if one.fault(now, "restarted"):
            one.pace = Pace(self._interval)
        began, failed = one.elapsed(now), one.pace.failures + 1
        came, end = self._call(one, now)
        if not came:
            pause = away_s(failed, self._interval, lease_s=self._lease, chance=chance.random())
            one.pace = one.pace.troubled(began, pause, pushed=False)
            return self._due(one, end)
        self._look(one, now, end)
        is_due = one.renewed is None or one.elapsed(end) - one.renewed >= BEAT * self._lease
        answered = True
        if is_due:
            answered, end = self._beat(one, end)
        if answered:
            one.pace = one.pace.after(began, pushed=is_due)
        else:
            pause = overtaken_s(failed, self._interval, age_s=0.0, chance=chance.random())
            one.pace = one.pace.troubled(began, pause, pushed=True)
        return self._due(one, end)

    def _look(self, one: _Machine, now: float, end: float) -> None:
        first, seen = self.machines[0], self._chance.uniform(now, end)
        count, began = bisect_right(first.beats, seen), one.awake(now)
        one.hearing = look(
            one.hearing, now=began, took_s=one.awake(end) - began, beats={"m0": str(count)},
            window=window_s(self._interval, self._lease),
        )
        real = max(now - (first.beats[count - 1] if count else 0.0), 0.0) * one.rate
        assert one.hearing.silence()["m0"] <= real + 1e-6, "it was heard of since"

    def _beat(self, one: _Machine, now: float) -> tuple[bool, float]:
        """Push a heartbeat; one answer in ten is lost."""
        came, end = self._call(one, now)
        if came:
            one.beats = sorted([*one.beats, self._chance.uniform(now, end)])
            if self._chance.random() < 0.9:
                one.renewed = one.elapsed(now)
                return True, end
        return False, end

    def _due(self, one: _Machine, end: float) -> float:
        return max(one.pace.due(wanted=False) / one.rate + one.booted, end)


@pytest.mark.requirement("WFL-HUB-065")
@pytest.mark.parametrize(("interval", "lease"), POLICIES)
@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 80), marks=pytest.mark.long)])
def test_who_lives_is_never_found_gone(interval: float, lease: float, seeds: range) -> None:
    for seed in seeds:
        assert _World(seed, interval, lease, calm=False).found_gone() is None, seed


@pytest.mark.requirement("WFL-HUB-065")
@pytest.mark.parametrize(("interval", "lease"), POLICIES)
@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 80), marks=pytest.mark.long)])
def test_who_dies_is_found_gone_soon(interval: float, lease: float, seeds: range) -> None:
    soon = limit_s(interval, lease) + 3 * window_s(interval, lease)
    for seed in seeds:
        dies = (2 + seed / 11) * lease
        found = _World(seed, interval, lease, calm=True).found_gone(dies=dies)
        assert found is not None
        assert dies < found < dies + soon, seed
