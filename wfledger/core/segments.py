"""One segment of a path or pattern: matching, meeting, and names that are refused (spec 40)."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

#: The ledger's own folder; no scope reaches into it (WFL-SCOPE-012).
LEDGER: Final = ".wfledger"

_WILD: Final = re.compile(r"[*?]")
#: What HFS+ leaves out of names.
_IGNORED: Final = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_GIT: Final = re.compile(r"(?:\.git|git~1)[. ]*(?::.*)?\Z", re.IGNORECASE | re.ASCII | re.DOTALL)
_FILLER: Final = "x"
#: Witnesses up to this length are made as short as they can be; that is quadratic.
_TRIMMED: Final = 64


def is_wild(segment: str) -> bool:
    """Return whether *segment* has a wildcard."""
    return bool(_WILD.search(segment))


def visible(text: str) -> str:
    """Return *text* without the characters that HFS+ ignores in names."""
    return _IGNORED.sub("", text)


def is_git_name(segment: str) -> bool:
    """Return whether some file system takes *segment* for `.git` (WFL-SCOPE-011)."""
    return bool(_GIT.match(visible(segment)))


def is_ledger_name(segment: str) -> bool:
    """Return whether some file system takes *segment* for the ledger's folder (WFL-SCOPE-012)."""
    return fold_fully(visible(segment)).rstrip(". ") == LEDGER


def _is_reserved(segment: str) -> bool:
    return is_git_name(segment) or is_ledger_name(segment)


def fold_fully(text: str) -> str:
    """Return what texts that differ only in case or composition have in common."""
    composed = unicodedata.normalize("NFC", text)
    return unicodedata.normalize("NFC", composed.casefold())


def fold_simply(text: str) -> str:
    """Return *text* with case folded where that keeps the number of characters."""
    return "".join(_one(char) for char in text)


def _one(char: str) -> str:
    for folded in (char.casefold(), char.lower()):
        if len(folded) == 1:
            return folded
    return char


def glob_matches(glob: str, text: str) -> bool:
    """Return whether *glob* matches *text*, in at most their product of steps (WFL-SCOPE-005)."""
    at = place = 0
    star, resume = -1, 0
    while place < len(text):
        # A star first: the text itself may contain `*`.
        if at < len(glob) and glob[at] == "*":
            star, resume = at, place
            at += 1
        elif at < len(glob) and glob[at] in ("?", text[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return not glob[at:].strip("*")


@lru_cache(maxsize=1 << 16)
def meet(left: str, right: str) -> str | None:
    """Return a name that both globs match, or None if there is none (WFL-SCOPE-020).

    Exact. The rejected alternative, a search over pairs of positions, visits 250,000 states for
    two segments of the greatest length; this visits each pair of positions at most once, and where
    both sides have a star only the ends.
    """
    if "*" in left and "*" in right:
        found = _both_open(left, right)
    elif "*" in left:
        found = _one_open(right, left)
    elif "*" in right:
        found = _one_open(left, right)
    else:
        found = _usable(_overlay(left, right) if len(left) == len(right) else None)
    return found if found is None else _trimmed(found, left, right)


def _usable(found: str | None) -> str | None:
    """Return *found* with its free places filled, unless it cannot be a name (WFL-SCOPE-016)."""
    filled = found and found.replace("?", _FILLER)
    return filled if filled and filled not in {".", ".."} else None


def _overlay(left: str, right: str) -> str | None:
    """Return what two star-free globs of one length have in common; free places stay `?`."""
    if len(left) != len(right):
        return None
    common: list[str] = []
    for mine, other in zip(left, right, strict=True):
        if mine != other and "?" not in (mine, other):
            return None
        common.append(other if mine == "?" else mine)
    return "".join(common)


def _both_open(left: str, right: str) -> str | None:
    """Meet two globs that both have a star.

    If the ends agree, everything does: a star swallows whatever the other side wants between.
    """
    left_head, *left_middle, left_tail = left.split("*")
    right_head, *right_middle, right_tail = right.split("*")
    common = min(len(left_head), len(right_head))
    head = _overlay(left_head[:common], right_head[:common])
    shared = min(len(left_tail), len(right_tail))
    tail = _overlay(left_tail[len(left_tail) - shared :], right_tail[len(right_tail) - shared :])
    if head is None or tail is None:
        return None
    head += left_head[common:] + right_head[common:]
    # One of the two rests is empty, hence the order does not matter.
    tail = left_tail[: len(left_tail) - shared] + right_tail[: len(right_tail) - shared] + tail
    middle = "".join((*left_middle, *right_middle))
    found = _usable(head + middle + tail)
    if found is None or _is_reserved(found):
        found = (head + _FILLER + middle + tail).replace("?", _FILLER)
    return found


def _one_open(closed: str, opened: str) -> str | None:
    """Meet a star-free glob with one that has a star.

    Where `?` is free, the leftmost placement may end in a name that is none (`?.` and `*.*` in
    `..`); the rightmost then does not, unless there is no other.
    """
    leftmost = _placed(closed, opened)
    rightmost = _placed(closed[::-1], opened[::-1])
    found = [_usable(leftmost), _usable(rightmost and rightmost[::-1])]
    names = [name for name in found if name is not None]
    return min(names, key=_is_reserved, default=None)


def _placed(closed: str, opened: str) -> str | None:
    """Return *closed* with each part of *opened* laid over it, as far left as it goes."""
    head, *parts, tail = opened.split("*")
    stop = len(closed) - len(tail)
    if stop < len(head):
        return None
    first = _overlay(closed[: len(head)], head)
    last = _overlay(closed[stop:], tail)
    if first is None or last is None:
        return None
    done, place = [first], len(head)
    for part in filter(None, parts):
        at, laid = place, None
        while laid is None and at + len(part) <= stop:
            laid = _overlay(closed[at : at + len(part)], part)
            at += 1
        if laid is None:
            return None
        start = at - 1
        done += (closed[place:start], laid)
        place = start + len(part)
    return "".join((*done, closed[place:stop], last))


def _trimmed(found: str, left: str, right: str) -> str:
    """Return *found* without the characters that neither glob needs."""
    at = 0 if len(found) <= _TRIMMED else len(found)
    while at < len(found):
        shorter = found[:at] + found[at + 1 :]
        fits = _usable(shorter) and glob_matches(left, shorter) and glob_matches(right, shorter)
        if fits and not _is_reserved(shorter):
            found = shorter
        else:
            at += 1
    return found
