"""What an agent has written, as events and lines; robust against whatever else is among it.

Standard output and error are one log, and the middle of a long one is dropped: what cannot be read
as an event is a line of text, and half an event is nothing more.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wfledger.core.text import clean
from wfledger.run.agents.matching import Event
from wfledger.run.config.adapters import Adapter
from wfledger.run.processes.environment import redact

#: Of a file that an agent writes itself; a log is bounded already.
_FILE_BYTES: Final = 64 * 2**20
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True)
class Transcript:
    """What a launch of an agent has left to read."""

    events: tuple[Event, ...] = ()
    #: Text that is no event: what its standard error says, and what libraries print.
    lines: tuple[str, ...] = ()


def read_transcript(
    adapter: Adapter, log: Path, file: Path | None, secrets: Iterable[str], *, start: int = 0
) -> Transcript:
    """Return what an agent has written to *log*, from *start* on, and to its *file*.

    What is not there is empty.
    """
    text = _text(log, secrets, start)
    if adapter.stream == "text":
        return Transcript(lines=_lines(text))
    if adapter.stream == "file":
        written = _text(file, secrets) if file is not None else ""
        return Transcript(tuple(_values(written, _members)[0]), _lines(text))
    events, rest = _values(text, _members)
    return Transcript(tuple(events), _lines(rest))


def _text(path: Path, secrets: Iterable[str], start: int = 0) -> str:
    try:
        if path.stat().st_size > _FILE_BYTES:
            return ""
        return redact(path.read_bytes()[start:].decode("utf-8", "replace"), secrets)
    except OSError:
        return ""


def _values(
    text: str, members: Callable[[object], Iterator[Mapping[str, Any]]]
) -> tuple[list[Event], str]:
    """Return the events in values that begin on a line of their own, and the rest of the text."""
    events: list[Event] = []
    rest: list[str] = []
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end + 1
        line = text[at:end].strip()
        if line[:1] in {"{", "["}:
            start = text.index(line[0], at)
            try:
                value, after = _DECODER.raw_decode(text, start)
            except (ValueError, RecursionError):
                value, after = None, at
            found = list(members(value))
            if found:
                events += found
                at = after
                continue
        rest.append(text[at:end])
        at = end
    return events, "".join(rest)


def _members(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that a value is: itself, or those in a list of them."""
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.rstrip() for line in clean(text).splitlines() if line.strip())
