"""What a front end hands on: a document of spec 90 or 95, and how to speak of it as written."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from wfledger.plans import places
from wfledger.plans.places import Place
from wfledger.plans.problems import Findings, Problem

#: Lines and columns of pointers into the text as written.
Places = Callable[[Iterable[str]], Mapping[str, Place]]


def _same(pointer: str) -> str:
    return pointer


def _as_it_is(problem: Problem) -> Problem:
    return problem


def _never(_problem: Problem) -> bool:
    return False


@dataclass(frozen=True)
class Front:
    """A plan as its front end has read it."""

    document: object
    places: Places
    #: Turns a pointer into the document into one into the text as written.
    written: Callable[[str], str] = _same
    #: Gives a problem the kind that it has in this language.
    said: Callable[[Problem], Problem] = _as_it_is
    #: Whether what is a warning elsewhere is an error here.
    refuses: Callable[[Problem], bool] = _never
    #: Kinds that strict refuses elsewhere and takes here, with a warning.
    taken: frozenset[str] = frozenset()
    #: Whether there is a document at all; if not, the front end has said why.
    is_readable: bool = True

    def tell(self, found: Findings, findings: Findings) -> None:
        """Add to *findings*, what the front end says itself, what was *found* in its document.

        In the terms of the text as written, and each thing once.
        """
        refused = [one for one in found.warnings if self.refuses(one)]
        errors = [self._told(one) for one in (*found.errors, *refused)]
        warned = [self._told(one) for one in found.warnings if one not in refused]
        errors = _once([*findings.errors, *errors])
        findings.parse = [one for one in errors if one.kind in _UNREADABLE]
        findings.rules = [one for one in errors if one.kind not in _UNREADABLE]
        at_fault = {(one.pointer, one.kind) for one in errors}
        warnings = _once([*findings.warnings, *warned])
        findings.warnings = [one for one in warnings if (one.pointer, one.kind) not in at_fault]

    def _told(self, problem: Problem) -> Problem:
        said = self.said(problem)
        return replace(said, pointer=self.written(said.pointer))


#: Kinds that stand before all others.
_UNREADABLE: Final = frozenset({"parse_error", "invalid_json"})
#: Kinds of which one value has at most one.
_SINGLE: Final = _UNREADABLE | {"empty_field", "duplicate_task", "invalid_node"}


def _once(problems: list[Problem]) -> list[Problem]:
    """Return *problems* without those that say of one value what was said of it already."""
    found: dict[tuple[str, str], Problem] = {}
    for one in problems:
        found.setdefault((one.pointer, one.kind if one.kind in _SINGLE else one.message), one)
    return list(found.values())


def plain(document: object, text: str, source: str) -> Front:
    """Return a document that is written as it is read."""
    return Front(document, lambda wanted: places.locate(text, source, wanted))


@dataclass(frozen=True)
class Evaluated:
    """What came of a Starlark text: a document, or what is wrong."""

    document: Any = None
    problem: Problem | None = None
    #: It was read with the one-time repair.
    repaired: bool = False


#: Evaluates a Starlark text, given with its name.
Evaluate = Callable[[str, str], Evaluated]
