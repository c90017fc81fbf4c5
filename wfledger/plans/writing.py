"""What each task of a plan may write, and which tasks meet (WFL-PLAN-015, WFL-PLAN-017)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from wfledger.core import bounds, scopes
from wfledger.core.scopes import Pattern
from wfledger.errors import InvalidPatternError
from wfledger.plans import original
from wfledger.plans.meeting import Meeting
from wfledger.plans.ordering import members
from wfledger.plans.problems import REPORTED, Findings, Problem, join, quote

#: The scope of a task that may write anywhere, and so runs alone.
EVERYWHERE: Final = ("**",)


@dataclass(frozen=True)
class Writer:
    """A task that is asked for its scope."""

    id: str
    #: Place of its list of patterns.
    pointer: str
    given: tuple[str, ...]
    writes: bool


@dataclass(frozen=True)
class Scope:
    """The scope of one task as it will be enforced."""

    write: tuple[str, ...] = ()
    #: The patterns inside the grammar, and the texts outside of it.
    patterns: tuple[Pattern, ...] = ()
    outside: tuple[str, ...] = ()


def read_scope(writer: Writer, findings: Findings, *, missing: str | None) -> Scope:
    """Return the scope of *writer*.

    *missing* is the kind for a writer without one, or None where that is only worth a warning;
    `missing_parallel_write_scope` is an error in both modes.
    """
    if writer.writes and not writer.given:
        _report_missing(writer, findings, missing)
        return Scope(EVERYWHERE)
    patterns, outside = [], []
    for index, text in enumerate(writer.given):
        try:
            patterns.append(scopes.parse(text))
        except InvalidPatternError as error:
            outside.append(text)
            message = f"task {quote(writer.id)}: {error.message}"
            hint = f" ({error.hint})" if error.hint else ""
            instead = "; it may write everywhere instead" if findings.lenient else ""
            findings.strictly(
                "invalid_scope", message + hint + instead, join(writer.pointer, index)
            )
    if len(writer.given) > bounds.PATTERNS:
        message = f"task {quote(writer.id)} has {len(writer.given)} patterns of at most 64"
        findings.strictly("invalid_scope", message, writer.pointer)
    whole = outside or len(writer.given) > bounds.PATTERNS
    write = EVERYWHERE if whole else writer.given
    return Scope(write if writer.writes else (), tuple(patterns), tuple(outside))


def _report_missing(writer: Writer, findings: Findings, kind: str | None) -> None:
    message = f"task {quote(writer.id)} writes and declares no scope"
    if kind == "missing_parallel_write_scope":
        findings.error(kind, f"{message}, while others write at the same time", writer.pointer)
    elif kind is None or findings.lenient:
        message = f"{message}; it may write everywhere"
        findings.warn("missing_write_scope", message, writer.pointer)
    else:
        findings.error(kind, message, writer.pointer)


def hint_scopes(writer: Writer, scope: Scope, findings: Findings) -> None:
    """Warn of patterns that may not mean what they look like, and of scopes without a use."""
    if writer.given and not writer.writes:
        message = f"task {quote(writer.id)} only reads: its scope grants nothing"
        findings.warn("unused_scope", message, writer.pointer)
        return
    for pattern in scope.patterns:
        for text in scopes.warnings(pattern):
            findings.warn("scope_hint", f"task {quote(writer.id)}: {text}", writer.pointer)


def treated(isolation: str, *, writes: bool, label: str, pointer: str) -> Problem | None:
    """Return a warning where a task is not isolated as its plan says (WFL-PLAN-022)."""
    where = join(pointer, "isolation")
    if writes and isolation == "shared":
        message = f"{label} writes: `isolation: shared` is treated as worktree"
        return Problem("treated_as_worktree", message, where)
    if not writes and isolation == "worktree":
        message = f"{label} only reads: it shares a worktree with the readers of its base"
        return Problem("treated_as_shared", message, where)
    return None


def report_overlaps(
    writers: Sequence[Writer], found: Sequence[Scope], phase: str, findings: Findings
) -> None:
    """Report each pair of writers that meet, pairs in declared order, up to a bound."""
    for left, right in islice(meeting_pairs(found), REPORTED + 1):
        one, two = quote(writers[left].id), quote(writers[right].id)
        where = where_they_meet(found[left], found[right])
        message = f"tasks {one} and {two} of the parallel phase {phase} both write{where}"
        findings.error("overlapping_parallel_write_scope", message, writers[right].pointer)


def meeting_pairs(found: Sequence[Scope]) -> Iterator[tuple[int, int]]:
    """Yield each pair of scopes that meet, in order; outside the grammar the original says."""
    meeting = Meeting([scope.patterns for scope in found])
    odd = {index for index, scope in enumerate(found) if scope.outside}
    for left in range(len(found)):
        for right in _partners(left, meeting, found, odd):
            yield left, right


def where_they_meet(left: Scope, right: Scope) -> str:
    """Return, for a message, a path that two scopes share which do."""
    collision = scopes.collide(left.patterns, right.patterns)
    if collision is None:
        return ": the original takes their scopes for the same"
    return (
        f" {quote(collision.witness)}: {quote(collision.left.text)} meets "
        f"{quote(collision.right.text)}"
    )


def _partners(left: int, meeting: Meeting, found: Sequence[Scope], odd: set[int]) -> Sequence[int]:
    """Return the later writers that meet *left*, in order."""
    later = list(members(meeting.met_by(left) >> (left + 1) << (left + 1)))
    if left not in odd and (not odd or max(odd) < left):
        return later
    others = range(left + 1, len(found)) if left in odd else sorted(i for i in odd if i > left)
    added = {right for right in others if _original_says(found[left], found[right])}
    return sorted(added.union(later))


def _original_says(left: Scope, right: Scope) -> bool:
    """Compare the entries of which at least one is outside the grammar."""
    one = [pattern.given for pattern in left.patterns]
    two = [pattern.given for pattern in right.patterns]
    return any(original.overlap(a, b) for a in left.outside for b in (*two, *right.outside)) or any(
        original.overlap(a, b) for a in one for b in right.outside
    )
