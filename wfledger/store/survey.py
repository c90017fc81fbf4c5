"""What lies in the status folders, whatever it is; nothing is changed and nothing blocks."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wfledger.core import bounds
from wfledger.core.documents import Task
from wfledger.core.records import load_json, parse
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError, LedgerDamagedError, WfledgerError
from wfledger.store import atomic
from wfledger.store.layout import SUFFIX, Layout, is_id

_SCHEMA: Final = re.compile(r"wfledger\.task/([0-9]{1,6})\Z")


@dataclass(frozen=True)
class Copy:
    """A readable task file; of a sound ledger each task has exactly one."""

    status: Status
    path: Path
    task: Task
    raw: bytes

    @property
    def age(self) -> tuple[int, int]:
        """The order of the versions of one task."""
        return self.task.attempt, self.task.seq


@dataclass(frozen=True)
class Stray:
    """A name in a status folder that is no task file."""

    status: Status
    path: Path
    code: str
    reason: str
    #: The task that it would be by its name and place.
    task_id: str | None = None


@dataclass
class Survey:
    """All that was found."""

    copies: dict[str, list[Copy]] = field(default_factory=dict)
    strays: list[Stray] = field(default_factory=list)

    def ids(self) -> set[str]:
        """Return the ids that have a file, readable or not."""
        return set(self.copies) | {stray.task_id for stray in self.strays if stray.task_id}


def survey(layout: Layout) -> Survey:
    """Look at every name in the status folders."""
    found = Survey()
    for status in Status:
        for path in _names(layout, status):
            seen = look(layout, status, path)
            if isinstance(seen, Stray):
                found.strays.append(seen)
            elif seen is not None:
                found.copies.setdefault(seen.task.id, []).append(seen)
    return found


def _names(layout: Layout, status: Status) -> Iterator[Path]:
    folder = layout.folder(status)
    for entry in _scan(folder):
        if entry.name.endswith(SUFFIX):
            yield Path(entry.path)
        elif status.is_cold and entry.is_dir(follow_symlinks=False):
            inner = _scan(Path(entry.path))
            yield from (Path(item.path) for item in inner if item.name.endswith(SUFFIX))


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def look(layout: Layout, status: Status, path: Path) -> Copy | Stray | None:
    """Return what one file is; None when it is gone again."""
    name = path.name.removesuffix(SUFFIX)
    if not is_id(name):
        is_twin = is_id(name.casefold())
        reason = f"differs from an id only by case: {name!r}" if is_twin else "the name is no id"
        return Stray(status, path, "case-twin" if is_twin else "bad-name", reason)
    task_id = name if path == layout.task(status, name) else None
    try:
        raw = atomic.read(path, limit=bounds.TASK_BYTES)
        task = parse(Task, raw)
    except FileNotFoundError:
        return None
    except (WfledgerError, OSError) as error:
        return Stray(status, path, _code(path, error), str(error), task_id)
    if task.id != name:
        return Stray(status, path, "wrong-id", f"it holds the task {task.id}", task_id)
    return Copy(status, path, task, raw)


def _code(path: Path, error: Exception) -> str:
    if isinstance(error, LedgerDamagedError):
        return "not-a-file"
    if not isinstance(error, InvalidDocumentError):
        return "unreadable"
    try:
        raw = atomic.read(path, limit=bounds.TASK_BYTES)
        document = load_json(raw)
    except (WfledgerError, OSError):
        return "unreadable"
    version = _SCHEMA.match(str(document.get("schema"))) if isinstance(document, dict) else None
    return "newer" if version and int(version[1]) > 1 else "unreadable"
