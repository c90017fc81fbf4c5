"""Looking into what an agent says: dotted paths, wanted values, picks."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from wfledger.run.config.adapters import Match, Pick

Event = Mapping[str, Any]

#: No agent has used as much; the infinite and what is no number fail the comparison, too.
_MANY: Final = 1e15
#: Of a match: anything that is there, and nothing that is.
_ANYTHING, _NOTHING = "*", ""
#: Before a regular expression that a text bears, or does not.
_LIKE, _UNLIKE = "~", "!"


def value_at(event: object, path: str) -> Any:
    """Return the value at a dotted path; None where there is none. Numbers count in lists."""
    found = event
    for part in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, Sequence) and not isinstance(found, str):
            found = _item(found, part)
        else:
            return None
    return found


def numbers_at(event: object, path: str) -> Iterator[float]:
    """Yield the numbers at a dotted path; `*` in it stands for every item of a list."""
    before, star, after = path.partition(".*.")
    if not star:
        value = value_at(event, path)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MANY:
            yield value
        return
    items = value_at(event, before)
    for item in items if isinstance(items, list) else ():
        yield from numbers_at(item, after)


def matches(event: Event, match: Match) -> bool:
    """Whether all fields of *event* are as *match* wants them."""
    return all(
        any(_is(value_at(event, path), one) for one in wanted) for path, wanted in match.fields
    )


def pick(event: Event, picks: Iterable[Pick]) -> Any:
    """Return the first value of *picks* that *event* has; None where it has none of them."""
    for one in picks:
        if matches(event, one.when) and (found := value_at(event, one.at)) not in (None, "", []):
            return found
    return None


def last(events: Sequence[Event], picks: Sequence[Pick]) -> Any:
    """Return what the last of *events* that has any says at *picks*."""
    found = (pick(event, picks) for event in reversed(events))
    return next((value for value in found if value is not None), None)


def as_text(value: object) -> str:
    """Return a value for people: a text as it is, anything else as JSON; None is empty."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _item(found: Sequence[Any], part: str) -> Any:
    try:
        return found[int(part)]
    except (ValueError, IndexError):
        return None


def _is(value: object, wanted: object) -> bool:
    if wanted == _ANYTHING:
        return value not in (None, "", [], {})
    if wanted == _NOTHING:
        return value in (None, "", [], {})
    if isinstance(wanted, str) and wanted[:1] in {_LIKE, _UNLIKE}:
        is_like = re.search(wanted[1:], as_text(value)) is not None
        return is_like == (wanted[0] == _LIKE)
    # 1 is no True here, and 0 no False.
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
