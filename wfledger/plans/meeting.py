"""Which write scopes of many meet, exactly, without comparing every pair.

All paths that a pattern covers begin with the characters before its first wildcard and end with
those after its last one. Two patterns can share a path only if of their beginnings one begins the
other, and of their ends one ends the other. Patterns are looked up by both; equal ones are compared
once; what is left goes to the exact decision of `core.scopes`. Sets of owners are bit sets.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from wfledger.core.scopes import Collision, Pattern, collide, overlap


class _Keys:
    """Finds the keys that begin a text, and those that the text begins."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._sorted = sorted(keys)
        self._known = frozenset(keys)
        self._lengths = sorted({len(key) for key in keys})

    def kin(self, text: str) -> Iterator[str]:
        """Yield each key of which *text* is a prefix, or that is a prefix of *text*."""
        for length in self._lengths:
            if length >= len(text):
                break
            if text[:length] in self._known:
                yield text[:length]
        position = bisect_left(self._sorted, text)
        while position < len(self._sorted) and self._sorted[position].startswith(text):
            yield self._sorted[position]
            position += 1


class _Bucket:
    """The patterns with one beginning, by their ends."""

    def __init__(self, by_end: dict[str, list[int]]) -> None:
        self._by_end = by_end
        self._ends = _Keys(list(by_end))

    def kin(self, end: str) -> Iterator[int]:
        """Yield the numbers of the patterns whose ends fit *end*."""
        for key in self._ends.kin(end):
            yield from self._by_end[key]


class Meeting:
    """The scopes of owners 0, 1, 2 …, and who of them meets whom."""

    def __init__(self, scopes: Sequence[Sequence[Pattern]]) -> None:
        self._scopes = scopes
        self._numbers: dict[Pattern, int] = {}
        for scope in scopes:
            for pattern in scope:
                self._numbers.setdefault(pattern, len(self._numbers))
        self._patterns = list(self._numbers)
        self._owners = [0] * len(self._patterns)
        for owner, scope in enumerate(scopes):
            for pattern in scope:
                self._owners[self._numbers[pattern]] |= 1 << owner
        self._edges = [(_beginning(pattern), _end(pattern)) for pattern in self._patterns]
        self._buckets = self._index()
        self._beginnings = _Keys(list(self._buckets))
        self._met: dict[int, int] = {}

    def _index(self) -> dict[str, _Bucket]:
        grouped: dict[str, dict[str, list[int]]] = {}
        for number, (beginning, end) in enumerate(self._edges):
            grouped.setdefault(beginning, {}).setdefault(end, []).append(number)
        return {beginning: _Bucket(by_end) for beginning, by_end in grouped.items()}

    def _owners_met(self, number: int) -> int:
        """Return the owners of all patterns that share a path with pattern *number*."""
        known = self._met.get(number)
        if known is not None:
            return known
        met = self._owners[number]
        beginning, end = self._edges[number]
        for key in self._beginnings.kin(beginning):
            for other in self._buckets[key].kin(end):
                owners = self._owners[other]
                if met | owners != met and self._meet(number, other):
                    met |= owners
        self._met[number] = met
        return met

    def _meet(self, one: int, other: int) -> bool:
        # Always asked the same way round, so that the second side finds the answer in the cache.
        first, second = min(one, other), max(one, other)
        return overlap(self._patterns[first], self._patterns[second]) is not None

    def met_by(self, owner: int) -> int:
        """Return the bit set of owners whose scope meets that of *owner*, itself included."""
        found = 0
        for pattern in self._scopes[owner]:
            found |= self._owners_met(self._numbers[pattern])
        return found

    def witness(self, left: int, right: int) -> Collision | None:
        """Return one collision of two owners."""
        return collide(self._scopes[left], self._scopes[right])


def _beginning(pattern: Pattern) -> str:
    """Return what `/<path>/` begins with for every path that *pattern* covers."""
    text = f"/{pattern.text}/"
    return text[: _first_wildcard(text)]


def _end(pattern: Pattern) -> str:
    """Return what `/<path>/` ends with for every path that *pattern* covers, reversed."""
    if pattern.is_literal:
        return ""  # it covers everything below as well
    text = f"/{pattern.text}/"[::-1]
    return text[: _first_wildcard(text)]


def _first_wildcard(text: str) -> int:
    return min((place for mark in "*?" if (place := text.find(mark)) >= 0), default=len(text))
