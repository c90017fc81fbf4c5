"""Write scopes: which paths a pattern covers, and whether two patterns share one (spec 40)."""

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, product
from typing import Final, NoReturn

from wfledger.core import bounds
from wfledger.core.segments import (
    fold_fully,
    fold_simply,
    glob_matches,
    is_git_name,
    is_ledger_name,
    is_wild,
    meet,
)
from wfledger.errors import InvalidPatternError

#: What only a literal pattern grants, where the policy does not say otherwise: what git reads, and
#: what runs by itself on the machine of who has it, such as workflows and the hooks of agents.
PROTECTED: Final = (
    "**/.git*", ".github/workflows/**", ".gitlab-ci.yml", ".wfledger/**",
    "**/.claude/**", "**/.codex/**", "**/.kimi-code/**", "**/.mcp.json", "**/.opencode/**",
    "**/.qwen/**", "**/opencode.json*",
)  # fmt: skip
_DEEP: Final = "**"
_WHOLE_REPOSITORY: Final = frozenset({"", "."})
_MARKS: Final = {
    "!": "there is no negation; list the areas to write instead",
    ":": "magic of git's pathspecs is not read",
    "-": "it reads as an option",
}
#: Patterns that a warning spells out for braces.
_SPELLED_OUT: Final = 8
#: Characters of a pattern that a refusal repeats.
_SHOWN: Final = 80
_BRACES: Final = re.compile(r"\{([^{}/]*,[^{}/]*)\}")


@dataclass(frozen=True)
class Pattern:
    """One parsed pattern; equal patterns cover the same paths."""

    #: Normalised; parsing it gives this pattern again.
    text: str
    #: As it was written.
    given: str = field(compare=False)
    segments: tuple[str, ...] = field(compare=False)
    #: Whether it has no wildcard, so that it covers a path and everything below (WFL-SCOPE-007).
    is_literal: bool = field(compare=False)
    #: The segments with the meaning of the end spelled out: `**` is zero or more everywhere.
    steps: tuple[str, ...] = field(compare=False, repr=False)

    def __str__(self) -> str:
        """Return the normalised text."""
        return self.text


@dataclass(frozen=True)
class Collision:
    """Two patterns that share a path, and one such path."""

    left: Pattern
    right: Pattern
    witness: str


@lru_cache(maxsize=1 << 14)
def parse(text: str) -> Pattern:
    """Return the pattern that *text* is; raises `InvalidPatternError` with the reason.

    An error's `facts` hold the pattern as given under `pattern`.
    """
    pattern = parse_protected(text)
    for segment in pattern.segments:
        if is_git_name(segment):
            # WFL-SCOPE-011
            _refuse(text, f"{segment!r} is git's own folder, which no scope reaches")
    if is_ledger_name(pattern.segments[0]):
        # WFL-SCOPE-012
        _refuse(text, "the ledger's own folder is in no scope")
    return pattern


def parse_protected(text: str) -> Pattern:
    """Return *text* as a pattern of the protected set, where reserved names are allowed."""
    _check_characters(text)
    _check_bounds(text, text, text.count("/") + 1)
    folded = re.sub(r"/+", "/", unicodedata.normalize("NFC", text))
    # WFL-SCOPE-003
    while folded.startswith("./"):
        folded = folded[2:]
    if folded in _WHOLE_REPOSITORY:
        folded = _DEEP
    if folded[0] in _MARKS:
        # WFL-SCOPE-010
        _refuse(
            text,
            f"it begins with {folded[0]!r}: {_MARKS[folded[0]]}",
            hint=f"for a file of that name write ?{folded[1:]}",
        )
    if folded.endswith("/"):
        # WFL-SCOPE-008
        folded += _DEEP
    segments = tuple(_deep_once(folded.split("/")))
    for segment in segments:
        _check_segment(text, segment)
    normal = "/".join(segments)
    _check_bounds(text, normal, len(segments))
    literal = not is_wild(normal)
    return Pattern(normal, text, segments, literal, _steps(segments, literal=literal))


def parse_all(texts: Iterable[str]) -> tuple[Pattern, ...]:
    """Return the patterns of one task, in order; at most 64 (WFL-SCOPE-013)."""
    listed = list(texts)
    if len(listed) > bounds.PATTERNS:
        raise InvalidPatternError(
            f"{len(listed)} patterns; a task has at most {bounds.PATTERNS}",
            hint="name the folders above them, or split the task",
            count=len(listed),
        )
    return tuple(parse(text) for text in listed)


def warnings(pattern: Pattern) -> tuple[str, ...]:
    """Return what the writer of *pattern* may have meant otherwise (WFL-SCOPE-009)."""
    found = []
    if any(mark in pattern.text for mark in "{}"):
        meant = list(islice(_spelled_out(pattern.text), _SPELLED_OUT + 1))
        advice = ""
        if 1 < len(meant) <= _SPELLED_OUT:
            advice = f"; for alternatives write {len(meant)} patterns: {', '.join(meant)}"
        found.append(f"{pattern.text}: braces are ordinary characters{advice}")
    if any(mark in pattern.text for mark in "[]"):
        found.append(f"{pattern.text}: brackets are ordinary characters, not a set of them")
    if any(segment != segment.strip() for segment in pattern.segments):
        found.append(f"{pattern.text!r}: a name that begins or ends with white space")
    return tuple(found)


def matches(pattern: Pattern, path: str) -> bool:
    """Return whether *pattern* covers *path*; never, if *path* is no path (WFL-SCOPE-016)."""
    return is_path(path) and _matches_steps(pattern.steps, path)


def matches_folded(pattern: Pattern, path: str) -> bool:
    """Return whether *pattern* covers *path* or what case folding makes of it, path or not."""
    if _matches_steps(pattern.steps, path):
        return True
    return _matches_steps(_folded_steps(pattern), fold_fully(path))


def is_path(path: str) -> bool:
    """Return whether *path* may be in a scope at all (WFL-SCOPE-016)."""
    segments = path.split("/")
    if is_ledger_name(segments[0]):
        return False
    return not any(part in {"", ".", ".."} or is_git_name(part) for part in segments)


def covered(patterns: Sequence[Pattern], path: str) -> Pattern | None:
    """Return the first of *patterns* that covers *path*, or None."""
    return next((pattern for pattern in patterns if matches(pattern, path)), None)


@lru_cache(maxsize=1 << 16)
def overlap(a: Pattern, b: Pattern, *, fold: bool = False) -> str | None:
    """Return a path that both cover, or None if there is none; exact (WFL-SCOPE-020, 021).

    With *fold*, also a folded path that both cover when case is folded (WFL-SCOPE-022).
    """
    foldings: tuple[Callable[[str], str], ...] = (str, fold_simply, fold_fully)
    for folding in foldings if fold else foldings[:1]:
        left = tuple(folding(step) for step in a.steps)
        right = tuple(folding(step) for step in b.steps)
        found = _search(left, right)
        if found is not None:
            return found
    return None


def lies_within(inner: Pattern, outer: Pattern) -> bool:
    """Return whether *outer* covers every path of *inner*, as far as its form shows (WFL-AUTH-002).

    Never true wrongly. It may be false wrongly where only several segments together show it.
    """
    places = _skipped(outer.steps, {0})
    for step in inner.steps:
        deep = {at for at in places if at < len(outer.steps) and outer.steps[at] == _DEEP}
        single = set() if step == _DEEP else {
            at + 1
            for at in places - deep
            if at < len(outer.steps) and _glob_within(step, outer.steps[at])
        }
        places = _skipped(outer.steps, deep | single)
    return len(outer.steps) in places


def _glob_within(inner: str, outer: str) -> bool:
    """Whether each name that *inner* matches is matched by *outer*; read as a text, it may be."""
    # A `?` of the outer one would take a `*` of the inner one for a single character.
    if "*" in inner and "?" in outer:
        return inner == outer
    return glob_matches(outer, inner)


def collide(
    left: Sequence[Pattern], right: Sequence[Pattern], *, fold: bool = False
) -> Collision | None:
    """Return the first pair of the two scopes that shares a path, or None if they are disjoint."""
    for a, b in product(left, right):
        witness = overlap(a, b, fold=fold)
        if witness is not None:
            return Collision(a, b, witness)
    return None


def _refuse(text: str, reason: str, *, hint: str | None = None) -> NoReturn:
    """Raise the refusal of *text* (WFL-SCOPE-015)."""
    named = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    raise InvalidPatternError(f"the pattern {named!r}: {reason}", hint=hint, pattern=text)


def _check_characters(text: str) -> None:
    if not text:
        _refuse(text, "it is empty", hint="`**` is the whole repository; no pattern, read only")
    if any("\ud800" <= char <= "\udfff" for char in text):
        _refuse(text, "it is not Unicode text")  # WFL-SCOPE-001
    if any(unicodedata.category(char) == "Cc" for char in text):
        _refuse(text, "it has a control character")
    if "\\" in text:
        hint = "write " + re.sub(r"[\\/]+", "/", text)
        _refuse(text, "it has a backslash; the separator is / and nothing is escaped", hint=hint)
    if text.startswith("/"):
        hint = f"write {text.lstrip('/') or _DEEP}, from the root of the repository"
        _refuse(text, "it is absolute", hint=hint)


def _check_segment(text: str, segment: str) -> None:
    if segment in {".", ".."}:
        # WFL-SCOPE-004
        hint = "write the path from the root of the repository without it"
        _refuse(text, f"it has a segment {segment!r}", hint=hint)
    if _DEEP in segment and segment != _DEEP:
        # WFL-SCOPE-006
        hint = "`*` stays within a segment; `a/**/b` has any segments between"
        _refuse(text, f"`**` is a whole segment, not a part of {segment!r}", hint=hint)


def _check_bounds(text: str, form: str, segments: int) -> None:
    """Refuse what is too long as given or as normalised (WFL-SCOPE-013)."""
    size = len(form.encode())
    if size > bounds.PATTERN_BYTES:
        _refuse(text, f"{size} bytes; at most {bounds.PATTERN_BYTES} are allowed")
    if segments > bounds.PATTERN_SEGMENTS:
        _refuse(text, f"{segments} segments; at most {bounds.PATTERN_SEGMENTS} are allowed")


def _deep_once(segments: Iterable[str]) -> Iterator[str]:
    """Yield *segments*, several `**` in a row as one."""
    before = ""
    for segment in segments:
        if segment != _DEEP or before != _DEEP:
            yield segment
        before = segment


@lru_cache(maxsize=1 << 10)
def _folded_steps(pattern: Pattern) -> tuple[str, ...]:
    return tuple(fold_fully(step) for step in pattern.steps)


def _steps(segments: tuple[str, ...], *, literal: bool) -> tuple[str, ...]:
    if literal:
        return (*segments, _DEEP)
    if segments[-1] == _DEEP:
        return (*segments[:-1], "*", _DEEP)
    return segments


def _spelled_out(text: str) -> Iterator[str]:
    """Yield the patterns that *text* would stand for if braces were alternatives."""
    found = _BRACES.search(text)
    if found is None:
        yield text
        return
    for choice in found[1].split(","):
        yield from _spelled_out(text[: found.start()] + choice + text[found.end() :])


def _matches_steps(steps: tuple[str, ...], path: str) -> bool:
    places = _skipped(steps, {0})
    for segment in path.split("/"):
        reached = {at for at in places if at < len(steps) and steps[at] == _DEEP}
        reached |= {
            at + 1
            for at in places
            if at < len(steps) and steps[at] != _DEEP and glob_matches(steps[at], segment)
        }
        places = _skipped(steps, reached)
    return len(steps) in places


def _skipped(steps: tuple[str, ...], places: set[int]) -> set[int]:
    """Return *places* and those that are reached from them because `**` may be nothing."""
    beyond = {at + 1 for at in places if at < len(steps) and steps[at] == _DEEP}
    return places | beyond


def _search(left: tuple[str, ...], right: tuple[str, ...]) -> str | None:
    """Search the pairs of positions, fewest segments first, each pair once (WFL-SCOPE-023)."""
    goal = (len(left), len(right))
    queue: deque[tuple[int, int, tuple[str, ...]]] = deque([(0, 0, ())])
    seen: set[tuple[int, int]] = set()
    while queue:
        i, j, names = queue.popleft()
        if (i, j) == goal:
            return "/".join(names)
        if (i, j) in seen:
            continue
        seen.add((i, j))
        deep_left = i < len(left) and left[i] == _DEEP
        deep_right = j < len(right) and right[j] == _DEEP
        # Skipping `**` costs no segment and so goes first.
        if deep_left:
            queue.appendleft((i + 1, j, names))
        if deep_right:
            queue.appendleft((i, j + 1, names))
        if i == len(left) or j == len(right):
            continue
        name = meet("*" if deep_left else left[i], "*" if deep_right else right[j])
        if name is not None:
            queue.append((i if deep_left else i + 1, j if deep_right else j + 1, (*names, name)))
    return None
