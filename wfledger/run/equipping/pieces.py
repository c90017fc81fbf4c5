"""What `setup` puts into one file: an entry of JSON, a marked block, or the whole file.

Each kind puts itself into a text and takes itself out again, and changes nothing else. What stands
in its place and is not ours is a clash: it is named, never replaced.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wfledger.run.equipping import blocks, jsonc
from wfledger.run.equipping.blocks import Marks


class ClashError(Exception):
    """A file cannot take a piece as it is; the message says what is in the way."""


class Piece(Protocol):
    """One thing to put into a file; None stands for a file that is not there."""

    def put(self, text: str | None) -> str:
        """Return *text* with the piece in it; as it is where it is in already."""

    def take(self, text: str | None) -> str | None:
        """Return *text* without the piece; as it is where it is not in."""

    def is_in(self, text: str | None) -> bool:
        """Whether *text* holds the piece as we would put it."""


@dataclass(frozen=True)
class Entry:
    """A value in a JSON file: the member at a path, or, *listed*, an element of the array there."""

    path: tuple[str, ...]
    value: Any
    listed: bool = False
    #: By which an element that is ours, but changed, is known.
    sign: str = ""

    def put(self, text: str | None) -> str:
        """Return *text* with the entry; raises `ClashError` where something else has its place."""
        if text is None:
            return jsonc.written(self._nested(0))
        root = self._read(text)
        if self._is_at(root):
            return text
        self._refuse_other(root)
        depth, container = self._deepest(root)
        key = None if depth == len(self.path) else self.path[depth]
        value = self.value if key is None else self._nested(depth + 1)
        made = jsonc.insert(text, container, key, value)
        if not self._is_at(self._read(made)):
            raise ClashError("it could not be edited safely")
        return made

    def take(self, text: str | None) -> str | None:
        """Return *text* without the entry and the containers that were made for it."""
        if text is None or text == jsonc.written(self._nested(0)):
            return None
        if not self.is_in(text):
            return text
        root = self._read(text)
        if self.listed:
            array = jsonc.find(root, self.path) or root
            if not jsonc.is_made_for_one(array):
                mine = next(item for item in array.items if item.node.value == self.value)
                return jsonc.remove(text, array, mine)
        for depth in range(len(self.path) - 1, -1, -1):
            container = jsonc.find(root, self.path[:depth])
            member = container.member(self.path[depth]) if container is not None else None
            if container is None or member is None:
                break
            if depth == 0 or not jsonc.is_made_for_one(container):
                return jsonc.remove(text, container, member)
        return text

    def is_in(self, text: str | None) -> bool:
        """Whether the very value is there."""
        try:
            return text is not None and self._is_at(self._read(text))
        except ClashError:
            return False

    def _nested(self, depth: int) -> Any:
        value = [self.value] if self.listed else self.value
        for key in reversed(self.path[depth:]):
            value = {key: value}
        return value

    def _read(self, text: str) -> jsonc.Node:
        try:
            root = jsonc.parse(text)
        except jsonc.UnreadableError as error:
            raise ClashError(f"it is not JSON that can be read: {error}") from error
        if not isinstance(root.value, dict):
            raise ClashError("it holds no JSON object")
        return root

    def _is_at(self, root: jsonc.Node) -> bool:
        node = jsonc.find(root, self.path)
        if node is None:
            return False
        if not self.listed:
            return bool(node.value == self.value)
        return isinstance(node.value, list) and self.value in node.value

    def _refuse_other(self, root: jsonc.Node) -> None:
        """Raise `ClashError` where another value has the place, or one of ours was changed."""
        node, name = jsonc.find(root, self.path), ".".join(self.path)
        if node is None:
            return
        if not self.listed:
            raise ClashError(f"{name} is there already, and not as wfledger would write it")
        if not isinstance(node.value, list):
            raise ClashError(f"{name} is no list")
        if any(self.sign in jsonc.written(one) for one in node.value):
            raise ClashError(f"{name} has a hook of wfledger that was changed")

    def _deepest(self, root: jsonc.Node) -> tuple[int, jsonc.Node]:
        """Return how far the path is there, and the container that it ends in."""
        node = root
        for depth, key in enumerate(self.path):
            if not isinstance(node.value, dict):
                raise ClashError(f"{'.'.join(self.path[:depth])} is no object")
            item = node.member(key)
            if item is None:
                return depth, node
            node = item.node
        return len(self.path), node


@dataclass(frozen=True)
class Block:
    """A block between marks; *adds* is what it adds to a TOML document, None elsewhere."""

    marks: Marks
    body: str
    adds: Mapping[str, Any] | None = None

    def put(self, text: str | None) -> str:
        """Return *text* with the block at its end; a present block is replaced where it stands."""
        if text is not None and re.search(r"\r(?!\n)", text):
            raise ClashError("it has line breaks of an old kind")
        made = blocks.put(text, self.body, self.marks)
        if self.adds is not None and made != text:
            self._check(blocks.take(made, self.marks) or "", made, self.adds)
        return made

    def take(self, text: str | None) -> str | None:
        """Return *text* without the block; None where nothing else was ever in the file."""
        if text is None or blocks.find(text, self.marks) is None:
            return text
        left = blocks.take(text, self.marks)
        if self.adds is not None and left is not None:
            _toml(left)
        return left

    def is_in(self, text: str | None) -> bool:
        """Whether the block stands there as it would be written."""
        try:
            return text is not None and self.put(text) == text
        except ClashError:
            return False

    def _check(self, before: str, after: str, adds: Mapping[str, Any]) -> None:
        """Raise `ClashError` unless the file then means what it meant, and the block."""
        wanted = _joined(_toml(before), adds)
        try:
            found = tomllib.loads(after)
        except tomllib.TOMLDecodeError as error:
            raise ClashError(f"the block does not fit behind what is there: {error}") from error
        if found != wanted:
            raise ClashError("the block would change what is there")


@dataclass(frozen=True)
class Whole:
    """A file that is ours altogether."""

    text: str

    def put(self, text: str | None) -> str:
        """Return our text; raises `ClashError` where the file holds another one."""
        if text not in {None, self.text}:
            raise ClashError("the file is there already, and not as wfledger would write it")
        return self.text

    def take(self, text: str | None) -> str | None:
        """Return None for a file of ours; any other stays."""
        return None if text == self.text else text

    def is_in(self, text: str | None) -> bool:
        """Whether it is our text."""
        return text == self.text


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ClashError(f"it is not TOML that can be read: {error}") from error


def _joined(one: Any, other: Any) -> Any:
    """Return what two TOML documents hold together; raises `ClashError` where they disagree."""
    if isinstance(one, dict) and isinstance(other, Mapping):
        found = dict(one)
        for key, value in other.items():
            if key in found and key == "wfledger":
                raise ClashError("an entry wfledger is there already")
            found[key] = _joined(found[key], value) if key in found else value
        return found
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *other]
    raise ClashError("another value is in its place")
