"""What a change of the shared state means: upkeep, or something that could run or redirect.

Harmless is only what is known to be: keys that no git obeys as a command, a worktree that a person
adds or prunes, numbers in fleet.toml that are no budget. Everything else waits for a person (spec
80, section 4).
"""

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wfledger.core.text import clean, clean_line
from wfledger.vcs import keys
from wfledger.vcs.fingerprint import Fingerprint, is_configuration, parse_config

#: Before the name of a file of the ledger that people edit in place.
LEDGER: Final = "ledger:"
#: Before the path of a machine.toml, which lies outside of the repository.
MACHINE: Final = "machine:"
#: What a configuration or document is that nobody can read.
UNREADABLE: Final = "unreadable"
#: Characters of a value that are shown.
_SHOWN: Final = 300
_OID: Final = re.compile(r"\A([0-9a-f]{12})[0-9a-f]{28}\Z")
#: Keys of ledger.json that cannot make anything run.
_INERT: Final = frozenset({"/paused", "/seq"})


@dataclass(frozen=True)
class Change:
    """One change, as people see it; the texts are safe to print and bounded."""

    #: A file of the git directory, `ledger:<file>`, `machine:<path>`, or a ref.
    name: str
    #: Key of a configuration or of a document; empty for a file or ref as a whole.
    key: str
    #: None where it was not there, or is there no more.
    old: str | None
    new: str | None

    def line(self) -> str:
        """Return it as one line."""
        name = self.name.removeprefix(LEDGER).removeprefix(MACHINE)
        what = f"{name}: {self.key}" if self.key else name
        old, new = (value and _OID.sub(r"\1", value) for value in (self.old, self.new))
        if self.old is None:
            return clean_line(f"{what} is new: {new}")
        if self.new is None:
            return clean_line(f"{what} is gone, was: {old}")
        return clean_line(f"{what} was {old}, is {new}")

    def as_json(self) -> dict[str, str | None]:
        """Return the shape that `trust --json` prints."""
        return {"name": self.name, "key": self.key, "old": self.old, "new": self.new}


#: Returns the bytes behind an item that is known, None where they were not kept.
Recall = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Judge:
    """Judges the changes between what is known and what is found."""

    common_dir: Path
    known: dict[str, str]
    recall: Recall
    found: Fingerprint

    def changed(self) -> tuple[str, ...]:
        """Return the names whose content is another, in order."""
        names = sorted(self.known.keys() | self.found.items.keys())
        return tuple(n for n in names if self.known.get(n) != self.found.items.get(n))

    def alarming(self) -> Iterator[Change]:
        """Yield each change that is not known to be harmless."""
        for name in self.changed():
            yield from self.of(name)

    def of(self, name: str) -> Iterator[Change]:
        """Yield what is alarming about the change of *name*."""
        old, new = self._bytes(name, self.known), self._bytes(name, self.found.items)
        if is_configuration(name) and self._is_plain(name):
            yield from _of_configuration(name, old, new)
        elif name.startswith((LEDGER, MACHINE)) and self._is_plain(name):
            yield from changes_of(name, old, new)
        elif not self._is_upkeep(name, old, new):
            yield Change(name, "", self._shown(name, self.known), self._shown(name, self._now))

    @property
    def _now(self) -> dict[str, str]:
        return self.found.items

    def _bytes(self, name: str, items: dict[str, str]) -> bytes | None:
        item = items.get(name)
        if item is None:
            return b""
        found = self.found.contents.get(item)
        return found if found is not None else self.recall(item)

    def _is_plain(self, name: str) -> bool:
        """Whether both sides are regular files whose bytes are known, or absent."""
        for items in (self.known, self._now):
            item = items.get(name)
            if item is not None and (
                not item.startswith("file:") or self._bytes(name, items) is None
            ):
                return False
        return True

    def _is_upkeep(self, name: str, old: bytes | None, new: bytes | None) -> bool:
        if name == "info/exclude":
            return _lines(old) == _lines(new)
        if name == "shallow":
            return name in self.known  # a shallow clone that fetches
        if name.startswith("worktrees/"):
            return self._is_worktree_upkeep(name, new)
        return False

    def _is_worktree_upkeep(self, name: str, new: bytes | None) -> bool:
        entry, file = (self.common_dir / name).parent, name.rpartition("/")[2]
        if name not in self._now:
            return True  # removed or pruned
        if new is None:
            return False
        text = os.fsdecode(new).strip()
        if file == "commondir":
            return os.path.realpath(entry / text) == os.path.realpath(self.common_dir)
        return name not in self.known or _points_back(entry / text, entry)

    def _shown(self, name: str, items: dict[str, str]) -> str | None:
        item = items.get(name)
        if item is None:
            return None
        raw = self._bytes(name, items)
        if raw is None:
            return item.rpartition(":")[0]
        if b"\0" in raw:
            return f"{len(raw)} bytes"
        kind, mode, _ = item.split(":", 2)
        text = clean(raw.decode("utf-8", "replace"))[:_SHOWN].strip()
        return f"(mode {mode}) {text}" if kind == "file" and name.startswith("hooks/") else text


def _lines(raw: bytes | None) -> set[bytes]:
    """Return the patterns of an exclude file, without the line that is wfledger's own."""
    return {line.strip() for line in (raw or b"").splitlines()} - {b"/.wfledger", b""}


def _points_back(pointer: Path, entry: Path) -> bool:
    """Whether the `.git` file *pointer* names *entry*: a worktree that was moved whole."""
    try:
        text = pointer.read_text("utf-8", "surrogateescape")[:4096].strip()
    except OSError:
        return False
    named = pointer.parent / text.removeprefix("gitdir: ")
    return pointer.is_file() and os.path.realpath(named) == os.path.realpath(entry)


def _of_configuration(name: str, old: bytes | None, new: bytes | None) -> Iterator[Change]:
    before, after = parse_config(old or b""), parse_config(new or b"")
    if before is None or after is None:
        yield Change(name, "", _legible(before), _legible(after))
        return
    for one in keys.alarming(before, after):
        yield Change(name, clean_line(one.key, 120), _safe(one.old), _safe(one.new))


def changes_of(name: str, old: bytes | None, new: bytes | None) -> Iterator[Change]:
    """Yield the settings of a document that changed, but for numbers: they make nothing run.

    A budget is a number that lets something run, and counts.
    """
    read = _read_toml if name.endswith(".toml") else _read_json
    before, after = read(old), read(new)
    if before is None or after is None:
        yield Change(name, "", _legible(before), _legible(after))
        return
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if one == other or key in _INERT:
            continue
        if "/budget/" not in key and _is_number(one) and _is_number(other):
            continue
        yield Change(name, clean_line(key, 120), _json(one), _json(other))


def _legible(found: object) -> str:
    return UNREADABLE if found is None else "readable"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _read_toml(raw: bytes | None) -> dict[str, Any] | None:
    try:
        return dict(_flat("", tomllib.loads((raw or b"").decode("utf-8"))))
    except (ValueError, RecursionError):
        return None


def _read_json(raw: bytes | None) -> dict[str, Any] | None:
    try:
        return dict(_flat("", json.loads(raw or b"{}")))
    except (ValueError, RecursionError):
        return None


def _flat(above: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{above}/{key}", inner)
    else:
        yield above, value


def _json(value: Any) -> str | None:
    return None if value is None else _safe(json.dumps(value, default=str))


def _safe(text: str | None) -> str | None:
    return None if text is None else clean_line(text, _SHOWN)
