"""Where the values of a plan stand in its text: JSON pointers become lines and columns (94.1).

Worked out only when there is something to say, by a second walk over the text. What is not there,
or what the walk does not look into, stands where the nearest value around it does.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from wfledger.plans import reading
from wfledger.plans.problems import join

#: A pointer and the offset of its value; of a field, that of its name.
_Placed = Iterator[tuple[str, int]]
Place = tuple[int, int]

_JSON: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_TOML: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[\]{}=,.\n]'''
    r"""|[^\s\[\]{}=,.\#"']+""",
    re.DOTALL,
)


def locate(text: str, source: str, pointers: Iterable[str]) -> dict[str, Place]:
    """Return line and column of each pointer, both from 1, in *text*, which could be read."""
    wanted = {pointer: tuple(_around(pointer)) for pointer in pointers}
    asked = {one for line in wanted.values() for one in line}
    walk = _walk_of(text, source)
    offsets = {pointer: offset for pointer, offset in walk(text) if pointer in asked}
    return {
        pointer: reading.place_of(text, next((offsets[one] for one in line if one in offsets), 0))
        for pointer, line in wanted.items()
    }


def _around(pointer: str) -> Iterator[str]:
    """Yield *pointer* and the pointers of what it lies in, innermost first."""
    while pointer:
        yield pointer
        pointer = pointer.rpartition("/")[0]


def _walk_of(text: str, source: str) -> Callable[[str], _Placed]:
    if source.endswith(".toml"):
        return _toml
    return _json if reading.is_json(text, source) else _yaml


@dataclass
class _Holder:
    """A list or object that the walk is in."""

    pointer: str
    is_object: bool
    key: str | None = None
    index: Iterator[int] = field(default_factory=count)

    def next(self) -> str:
        """Return the pointer of the value that begins here."""
        name: str | int = next(self.index) if self.key is None else self.key
        self.key = None
        return join(self.pointer, name)

    @property
    def wants_key(self) -> bool:
        """Whether a name comes next."""
        return self.is_object and self.key is None


def _json(text: str) -> _Placed:
    stack: list[_Holder] = []
    for match in _JSON.finditer(text):
        part = match.group()
        if part in "}]":
            stack.pop()
        elif part in ",:":
            continue
        elif stack and stack[-1].wants_key:
            stack[-1].key = name = json.loads(part) if "\\" in part else part[1:-1]
            yield join(stack[-1].pointer, name), match.start()
        else:
            in_list = bool(stack) and not stack[-1].is_object
            pointer = stack[-1].next() if stack else ""
            if in_list:
                yield pointer, match.start()
            if part in "{[":
                stack.append(_Holder(pointer, part == "{"))


def _yaml(text: str) -> _Placed:
    """Walk the events of a text that was read without an error: every key is a scalar."""
    stack: list[_Holder] = []
    for event in reading.yaml_events(text):
        kind = type(event).__name__
        if kind in {"MappingEndEvent", "SequenceEndEvent"}:
            stack.pop()
        elif kind in {"ScalarEvent", "AliasEvent", "MappingStartEvent", "SequenceStartEvent"}:
            if stack and stack[-1].wants_key:
                stack[-1].key = event.value
                yield join(stack[-1].pointer, event.value), event.start_mark.index
                continue
            in_list = bool(stack) and not stack[-1].is_object
            pointer = stack[-1].next() if stack else ""
            if in_list:
                yield pointer, event.start_mark.index
            if kind.endswith("StartEvent"):
                stack.append(_Holder(pointer, kind.startswith("Mapping")))


def _toml(text: str) -> _Placed:
    """Walk tables and keys; what stands inside of a value is not looked into."""
    table, seen = "", dict[str, int]()
    for statement in _statements(text):
        tokens, start = [part for part, _ in statement], statement[0][1]
        if tokens[0] == "[":
            doubled = len(statement) > 1 and tokens[1] == "["
            table = _table(_names(tokens), seen, doubled=doubled)
            yield table, start
        elif "=" in tokens:
            yield join(table, *_names(tokens[: tokens.index("=")])), start


def _statements(text: str) -> Iterator[list[tuple[str, int]]]:
    """Yield the tokens of each line that begins a table or a key, with their offsets."""
    depth, found = 0, list[tuple[str, int]]()
    for match in _TOML.finditer(text):
        part = match.group()
        if part == "\n" and not depth:
            if found:
                yield found
            found = []
        elif not part.startswith("#") and part != "\n":
            depth += (part in "[{") - (part in "]}")
            found.append((part, match.start()))
    if found:
        yield found


def _names(tokens: Iterable[str]) -> list[str]:
    return [_name(part) for part in tokens if part not in set("[].")]


def _name(part: str) -> str:
    if part.startswith("'"):
        return part[1:-1]
    try:
        return str(json.loads(part)) if part.startswith('"') else part
    except json.JSONDecodeError:  # an escape that only TOML has: a nearer place is not found
        return part


def _table(names: Iterable[str], seen: dict[str, int], *, doubled: bool) -> str:
    """Return the pointer of a table; *seen* counts the entries of each list of tables."""
    *outer, last = names
    pointer = ""
    for name in outer:
        pointer = join(pointer, name)
        if pointer in seen:
            pointer = join(pointer, seen[pointer])
    pointer = join(pointer, last)
    if not doubled:
        return pointer
    seen[pointer] = seen.get(pointer, -1) + 1
    return join(pointer, seen[pointer])
