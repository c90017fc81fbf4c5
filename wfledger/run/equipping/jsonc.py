"""JSON as people keep it, with comments and commas at the end: read with the place of each value.

Editing puts text between what is there and takes it out again, so everything else stays as it was
typed. An entry goes in as the last one; into an empty container it goes without a line break before
it, so that taking it out again tells a container that was there from one that was made for it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_SPACE: Final = re.compile(r"[ \t\r\n]+")
_COMMENT: Final = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_SCALAR: Final = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null'
)
_BOM: Final = "\ufeff"
_DEPTH: Final = 100
_STEP: Final = "  "


class UnreadableError(ValueError):
    """A text is not JSON, even with comments; the message says where."""


@dataclass(frozen=True)
class Item:
    """A member of an object or an element of an array: from its key, if it has one, to its end."""

    key: str | None
    start: int
    end: int
    node: "Node"
    #: End of the comma after it; None where there is none.
    comma: int | None


@dataclass(frozen=True)
class Node:
    """A value and where it stands."""

    start: int
    end: int
    value: Any
    #: Of an object or array: what is in it.
    items: tuple[Item, ...] = ()

    def member(self, key: str) -> Item | None:
        """Return the member *key* of an object, or None."""
        return next((item for item in self.items if item.key == key), None)


def parse(text: str) -> Node:
    """Return the value that *text* is; raises `UnreadableError`."""
    reader = _Reader(text)
    node = reader.value(reader.skip(len(_BOM) if text.startswith(_BOM) else 0), 0)
    if reader.skip(node.end) != len(text):
        reader.fail(node.end, "something follows the value")
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text

    def fail(self, at: int, why: str) -> None:
        line = self._text.count("\n", 0, at) + 1
        raise UnreadableError(f"line {line}: {why}")

    def skip(self, at: int) -> int:
        """Return where what is neither space nor comment begins."""
        while match := _SPACE.match(self._text, at) or _COMMENT.match(self._text, at):
            at = match.end()
        return at

    def value(self, at: int, depth: int) -> Node:
        if depth > _DEPTH:
            self.fail(at, "it is nested too deeply")
        opened = self._text[at : at + 1]
        if opened in {"{", "["}:
            return self._container(at, depth, is_object=opened == "{")
        return self._scalar(at)

    def _scalar(self, at: int) -> Node:
        match = _SCALAR.match(self._text, at)
        if match is None:
            raise UnreadableError(f"line {self._text.count(chr(10), 0, at) + 1}: no value is here")
        try:
            return Node(at, match.end(), json.loads(match[0]))
        except ValueError as error:
            raise UnreadableError(str(error)) from error

    def _container(self, start: int, depth: int, *, is_object: bool) -> Node:
        closing, items, at = ("}" if is_object else "]"), list[Item](), self.skip(start + 1)
        while self._text[at : at + 1] != closing:
            if items and items[-1].comma is None:
                self.fail(at, f"a comma or {closing} is missing")
            item = self._item(at, depth, is_object=is_object)
            items.append(item)
            at = self.skip(item.comma or item.end)
        keys = [item.key for item in items]
        if is_object and len(set(keys)) < len(keys):
            self.fail(start, "an object has one key twice")
        values = [item.node.value for item in items]
        value: Any = dict(zip(keys, values, strict=True)) if is_object else values
        return Node(start, at + 1, value, tuple(items))

    def _item(self, start: int, depth: int, *, is_object: bool) -> Item:
        key, at = None, start
        if is_object:
            name = self._scalar(at)
            at = self.skip(name.end)
            if not isinstance(name.value, str) or self._text[at : at + 1] != ":":
                self.fail(at, "a key and a colon are missing")
            key, at = name.value, self.skip(at + 1)
        node = self.value(at, depth + 1)
        after = self.skip(node.end)
        comma = after + 1 if self._text[after : after + 1] == "," else None
        return Item(key, start, node.end, node, comma)


def find(root: Node, path: Sequence[str]) -> Node | None:
    """Return the value at *path*, keys of objects one in the other; None if it is not there."""
    node: Node | None = root
    for key in path:
        item = node.member(key) if node is not None else None
        node = item.node if item is not None else None
    return node


def insert(text: str, container: Node, key: str | None, value: Any) -> str:
    """Return *text* with a member, or an element where *key* is None, put last into *container*."""
    newline = "\r\n" if "\r\n" in text else "\n"
    outer = _indent_of(text, container.start)
    opened, items = container.start + 1, container.items
    if not items:
        return text[:opened] + _written(key, value, outer + _STEP, newline) + text[opened:]
    last = items[-1]
    lines = "\n" in text[opened : items[0].start]
    indent = _indent_of(text, items[0].start) if lines else outer
    gap = newline + indent if lines else " "
    member = gap + _written(key, value, indent, newline, step=indent.removeprefix(outer))
    at = last.comma or last.end
    place = _after_comment(text, at) if lines else at
    if last.comma is None:
        return text[:at] + "," + text[at:place] + member + text[place:]
    return text[:place] + member + "," + text[place:]


def remove(text: str, container: Node, item: Item) -> str:
    """Return *text* without *item* of *container*, and without what `insert` put around it."""
    at = container.items.index(item)
    before = container.items[at - 1] if at else None
    floor = before.comma or before.end if before is not None else container.start + 1
    start = _space_before(text, floor, item.start)
    if item.comma is not None:
        between = text[item.end : item.comma - 1]
        return text[:start] + between.strip(" \t\r\n") + text[item.comma :]
    if before is None or before.comma is None:
        return text[:start] + text[item.end :]
    return text[: before.comma - 1] + text[before.comma : start] + text[item.end :]


def is_made_for_one(container: Node) -> bool:
    """Whether the only item of *container* was put in together with the container itself."""
    only = container.items[0]
    return len(container.items) == 1 and only.start > container.start + 1


def written(value: Any) -> str:
    """Return the text of a file that holds *value* alone."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _written(key: str | None, value: Any, indent: str, newline: str, *, step: str = "") -> str:
    """Return a member whose further lines stand below *indent*, each level by *step* more."""
    name = "" if key is None else json.dumps(key) + ": "
    text = json.dumps(value, indent=step or _STEP, ensure_ascii=False)
    return name + text.replace("\n", newline + indent)


def _indent_of(text: str, at: int) -> str:
    """Return the space that the line of *at* begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _after_comment(text: str, at: int) -> int:
    """Return the end of a comment that stands behind *at* on its line, else *at*."""
    space = re.compile(r"[ \t]*").match(text, at)
    comment = _COMMENT.match(text, space.end() if space else at)
    if comment is None or "\n" in comment[0]:
        return at
    return comment.end()


def _space_before(text: str, floor: int, at: int) -> int:
    """Return where the space that stands directly before *at* begins, not before *floor*."""
    start = floor
    while start < at:
        match = _SPACE.match(text, start) or _COMMENT.match(text, start)
        if match is None:
            return at
        if match.end() == at and not match[0].startswith("/"):
            return start
        start = match.end()
    return at
