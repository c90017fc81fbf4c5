"""Seeded chance, for torture alone: the same seed gives the same plan and the same faults.

Nothing that a ledger rests on may use it; ids and tokens come from `wfledger.clock`.
"""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Draws from one seed, in the order in which they are asked for."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - nothing secret is drawn

    def below(self, bound: int) -> int:
        """Return a number from 0 to *bound* - 1."""
        return self._draw.randrange(bound)

    def between(self, low: float, high: float) -> float:
        """Return a number in the range."""
        return self._draw.uniform(low, high)

    def often(self, share: float) -> bool:
        """Return True in *share* of the calls."""
        return self._draw.random() < share

    def one_of(self, things: Sequence[T]) -> T:
        """Return one of *things*, of which there is at least one."""
        return self._draw.choice(things)

    def some_of(self, things: Sequence[T], count: int) -> list[T]:
        """Return *count* of *things*, or all where there are fewer."""
        return self._draw.sample(things, min(count, len(things)))

    def weighted(self, weights: Mapping[T, int]) -> T:
        """Return a key, each as often as its weight says."""
        return self._draw.choices(list(weights), list(weights.values()))[0]
