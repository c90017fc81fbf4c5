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

    def translate(self, findings: Findings) -> None:
        """Put what was found in the terms of the text; what is said twice is said once."""
        found = [*findings.parse, *findings.rules]
        found += [one for one in findings.warnings if self.refuses(one)]
        warned = [self._told(one) for one in findings.warnings if not self.refuses(one)]
        errors = _once([self._told(one) for one in found])
        findings.parse = [one for one in errors if one.kind in _UNREADABLE]
        findings.rules = [one for one in errors if one.kind not in _UNREADABLE]
        at_fault = {one.pointer for one in errors}
        findings.warnings = [one for one in _once(warned) if one.pointer not in at_fault]

    def _told(self, problem: Problem) -> Problem:
        said = self.said(problem)
        return replace(said, pointer=self.written(said.pointer))


#: Kinds that stand before all others.
_UNREADABLE: Final = frozenset({"parse_error", "invalid_json"})


def _once(problems: list[Problem]) -> list[Problem]:
    """Return *problems* without those that say of one value what was said of it already."""
    found: dict[tuple[str, str], Problem] = {}
    for one in problems:
        found.setdefault((one.pointer, one.kind if one.kind in _UNREADABLE else one.message), one)
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
