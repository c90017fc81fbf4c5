"""Plan texts in TOML: the same plain values as from JSON and YAML (spec 94.1)."""

import math
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from wfledger.plans import reading
from wfledger.plans.places import locate
from wfledger.plans.problems import join

_WHERE: Final = re.compile(
    r"(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)\Z", re.DOTALL
)

#: A name of more parts than a plan has levels; tomllib takes a time that grows with their square.
_DEEP_KEY: Final = re.compile(
    r"""(?<![\w"'.-])(?:[\w"'-]+[ \t]*\.[ \t]*){%d}""" % reading.DEPTH  # noqa: UP031 - braces
)


def read_toml(text: str | bytes, *, source: str) -> object:
    """Return the value that *text* stands for; raises `PlanError` with line and column.

    Dates, times, NaN and infinities are refused: no other format of plans has them.
    """
    plain = reading.decode(text, source)
    deep = _DEEP_KEY.search(plain)
    if deep is not None:
        place = reading.place_of(plain, deep.start())
        reading.fail(source, *place, f"nested deeper than {reading.DEPTH} levels")
    try:
        value = tomllib.loads(plain)
    except tomllib.TOMLDecodeError as error:
        _refuse(str(error), plain, source)
    except RecursionError:
        reading.fail(source, 1, 1, f"nested deeper than {reading.DEPTH} levels")
    except ValueError as error:  # a number of thousands of digits
        reading.fail(source, 1, 1, str(error))
    reading.check_size(value, source)
    for pointer, what in _foreign(value, ""):
        reading.fail(source, *locate(plain, source, [pointer])[pointer], what)
    return value


def _refuse(said: str, text: str, source: str) -> NoReturn:
    found = _WHERE.match(said)
    message, line, column = found.groups() if found else (said, None, None)
    place = (int(line), int(column)) if line and column else reading.place_of(text, len(text))
    reading.fail(source, *place, message)


def _foreign(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield pointers of values that no other format has; the depth is bounded."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _foreign(inner, join(pointer, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _foreign(inner, join(pointer, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield pointer, f"{value} is not a finite number"
    elif not isinstance(value, str | int | float):
        yield pointer, "a date or a time is no value of a plan; put it in quotes"
