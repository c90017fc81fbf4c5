"""Reads objects by a table of fields: types, widths, enumerations, null, unknown names.

What is wrong in type is a parse error and stands before all else; what is only out of range is kept
with the object (`late`) and reported where the object stands in the order (spec 90.2). A reader
returns `BAD` after reporting, and the field then keeps a default that starts no further complaint.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.plans import durations
from wfledger.plans.problems import Problem, join, quote

#: What a reader returns for a value of the wrong type.
BAD: Final = object()


@dataclass
class Site:
    """A place in the document, and where to report what is wrong there."""

    pointer: str
    #: What stands here, for messages, such as "`mode` of task `a`".
    label: str
    parse: list[Problem]
    late: list[Problem] = field(default_factory=list)

    def under(self, part: str | int, label: str) -> "Site":
        """Return the site of a part of this value."""
        return Site(join(self.pointer, part), label, self.parse, self.late)

    def wrong(self, message: str) -> object:
        """Report a parse error: the label, then *message*."""
        self.parse.append(Problem("parse_error", f"{self.label} {message}", self.pointer))
        return BAD

    def refuse(self, message: str, *, kind: str = "invalid_bound") -> object:
        """Keep an error of value for the place where the object stands in the order."""
        self.late.append(Problem(kind, f"{self.label} {message}", self.pointer))
        return BAD


Reader = Callable[[Any, Site], Any]


@dataclass(frozen=True)
class Field:
    """One field of an object."""

    read: Reader
    #: Name of the attribute that takes the value; the field's own by default.
    into: str | None = None
    required: bool = False
    #: Null stands for absent.
    optional: bool = False


Shape = Mapping[str, Field]


@dataclass(frozen=True)
class Given:
    """What an object holds: the values that could be read, and which names it has."""

    values: dict[str, Any]
    names: frozenset[str]
    unknown: tuple[str, ...]


def read_object(value: object, shape: Shape, site: Site) -> Given | None:
    """Read an object; None if it is none, after reporting."""
    if not isinstance(value, dict):
        site.wrong(f"must be an object, not {kind_of(value)}")
        return None
    values: dict[str, Any] = {}
    unknown = []
    for name, item in value.items():
        known = shape.get(name)
        if known is None:
            unknown.append(str(name))
        elif item is not None or not known.optional:
            inner = site.under(name, f"`{name}` of {site.label}")
            result = known.read(item, inner)
            if result is not BAD:
                values[known.into or name] = result
    for name, known in shape.items():
        if known.required and name not in value:
            site.under(name, f"`{name}` of {site.label}").wrong("is missing")
    names = frozenset(n for n in shape if value.get(n) is not None)
    return Given(values, names, tuple(unknown))


def did_you_mean(name: str, shape: Iterable[str], others: Mapping[str, str]) -> str:
    """Return a hint for an unknown field, or nothing."""
    if name in others:
        return f"; here it is called `{others[name]}`"
    close = difflib.get_close_matches(name, list(shape), n=1, cutoff=0.7)
    return f"; did you mean `{close[0]}`?" if close else ""


def kind_of(value: object) -> str:
    """Return what *value* is, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    for types, name in ((str, "a text"), (int, "a number"), (float, "a number"), (list, "a list")):
        if isinstance(value, types):
            return name
    return "an object" if isinstance(value, dict) else "something else"


def text(value: object, site: Site) -> Any:
    """Read a text; NUL and lone surrogates can be handed to no process and no file."""
    if not isinstance(value, str):
        return site.wrong(f"must be a text, not {kind_of(value)}")
    if "\0" in value:
        return site.wrong("holds a NUL character")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        return site.wrong("holds half of a surrogate pair")
    return value


def flag(value: object, site: Site) -> Any:
    """Read a boolean."""
    return (
        value
        if isinstance(value, bool)
        else site.wrong(f"must be true or false, not {kind_of(value)}")
    )


def whole(bits: int) -> Reader:
    """Return a reader of unsigned integers of *bits* bits."""

    def read(value: object, site: Site) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return site.wrong(f"must be a whole number, not {kind_of(value)}")
        if not 0 <= value < 2**bits:
            return site.wrong(f"must be from 0 to {2**bits - 1}, not {value}")
        return value

    return read


def ranged(low: int, high: int) -> Reader:
    """Return a reader of integers; outside *low* … *high* they are out of bounds."""

    def read(value: object, site: Site) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return site.wrong(f"must be a whole number, not {kind_of(value)}")
        if not low <= value <= high:
            return site.refuse(f"must be from {low} to {high}, not {value}")
        return value

    return read


def choice(*allowed: str) -> Reader:
    """Return a reader of one of *allowed*, exactly as written."""

    def read(value: object, site: Site) -> Any:
        if isinstance(value, str) and value in allowed:
            return value
        shown = quote(value) if isinstance(value, str) else kind_of(value)
        return site.wrong(f"must be one of {', '.join(allowed)}, not {shown}")

    return read


def many(item: Reader, noun: str) -> Reader:
    """Return a reader of lists of *item*; what cannot be read is left out, after reporting."""

    def read(value: object, site: Site) -> Any:
        if not isinstance(value, list):
            return site.wrong(f"must be a list, not {kind_of(value)}")
        results = []
        for index, part in enumerate(value):
            result = item(part, site.under(index, f"{noun} {index + 1} in {site.label}"))
            if result is not BAD:
                results.append(result)
        return tuple(results)

    return read


def duration(value: object, site: Site) -> Any:
    """Read a duration as seconds."""
    seconds = durations.parse(value)
    if seconds is None:
        return site.wrong("must be a duration: seconds, or a text such as 90s, 20m, 1h30m")
    if not durations.in_range(seconds):
        return site.refuse("must be more than 0 and at most 366 days")
    return seconds


def nested(shape: Shape) -> Reader:
    """Return a reader of objects whose unknown names are kept with the owner's."""

    def read(value: object, site: Site) -> Any:
        given = read_object(value, shape, site)
        if given is None:
            return BAD
        note_unknown(given, shape, site)
        return given.values

    return read


def note_unknown(given: Given, shape: Shape, site: Site) -> None:
    """Keep the unknown names of an object for the place where its owner stands in the order."""
    for name in given.unknown:
        hint = did_you_mean(name, shape, {})
        message = f"{site.label} has the unknown field {quote(name)}{hint}"
        site.late.append(Problem("unknown_field", message, join(site.pointer, name)))
