"""Counting failed attempts by where they came from; pure.

What a person asked for (a stop, a question, a task given back) is no failure. Work out of its
scope is counted for itself: it says something about the plan, and nothing about the tests.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from wfledger.core import outcome
from wfledger.core.documents import Attempt

#: In the order of a task's life.
KINDS: Final = ("transport", "runtime", "task", "scope", "verification", "merge")
_SCOPE: Final = frozenset({"out_of_scope", "read_only_violation"})
_NO_FAILURE: Final = frozenset({"question", "stopped"})


def kind_of(failure_class: str) -> str | None:
    """Return what a failure class is counted under; None for what is no failure."""
    if failure_class in _NO_FAILURE:
        return None
    return "scope" if failure_class in _SCOPE else outcome.SOURCES.get(failure_class)


def failures_of(attempts: Iterable[Attempt]) -> dict[str, int]:
    """Return how many of *attempts* failed, by kind; kinds without any are left out."""
    return dict(Counter(kind for one in attempts if (kind := kind_of(one.outcome)) is not None))


def total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of several counts, every kind named."""
    found: Counter[str] = Counter()
    for one in counts:
        found.update(one)
    return {kind: found[kind] for kind in KINDS}
