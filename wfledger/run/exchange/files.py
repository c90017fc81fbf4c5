"""Reading what another program wrote: bounded, without following links, without waiting.

A task list may lie in a repository that somebody else filled: a FIFO must not block us, a link must
not lead us elsewhere, and a file of gigabytes must not be read.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from wfledger.core.records import load_json
from wfledger.errors import InvalidDocumentError, LedgerDamagedError, UsageError
from wfledger.plans.reading import is_unicode
from wfledger.run.exchange.imported import Trouble
from wfledger.store import atomic

#: Bytes of one file.
FILE_BYTES: Final = 64 * 1024 * 1024
#: Bytes of one task's own file or line.
ITEM_BYTES: Final = 1024 * 1024
#: Names that are looked at in one folder.
NAMES: Final = 50_000


def read_whole(path: Path) -> bytes:
    """Return the file that the caller named; raises `UsageError` where it cannot be read."""
    found = _read(path, FILE_BYTES)
    if isinstance(found, str):
        raise UsageError(f"{path}: {found}", path=str(path))
    return found


def _read(path: Path, limit: int) -> bytes | str:
    """Return the content, or the sentence that says why there is none."""
    try:
        return atomic.read(path, limit=limit)
    except FileNotFoundError:
        return "there is no such file"
    except (LedgerDamagedError, InvalidDocumentError) as error:
        return error.message
    except OSError as error:
        return error.strerror or str(error)


def folder_of(path: Path) -> Path:
    """Return *path* if it is a folder; raises `UsageError` where it is none."""
    if path.is_symlink() or not path.is_dir():
        raise UsageError(f"{path} is not a folder", path=str(path))
    return path


def names_in(folder: Path, suffix: str) -> list[str]:
    """Return the names in a folder that end so, in a stable order; hidden ones are left out."""
    found = []
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries, 1):
            if count > NAMES:
                raise UsageError(f"{folder} holds more than {NAMES} names", path=str(folder))
            if entry.name.endswith(suffix) and not entry.name.startswith("."):
                found.append(entry.name)
    return sorted(found, key=lambda name: (len(name), name))


def each_in(folder: Path, suffix: str, shown: str) -> Iterator[tuple[str, bytes | Trouble]]:
    """Yield where each file is and its content, or why it cannot be read."""
    for name in names_in(folder, suffix):
        where = f"{shown}{name}"
        found = _read(folder / name, ITEM_BYTES)
        yield where, Trouble("unreadable", where, found) if isinstance(found, str) else found


def json_object(raw: bytes, where: str, *, limit: int = ITEM_BYTES) -> dict[str, Any] | Trouble:
    """Return the JSON object in *raw*, or what is wrong with it."""
    try:
        value = load_json(raw, limit=limit)
    except InvalidDocumentError as error:
        return Trouble("unreadable", where, error.message)
    if not isinstance(value, dict):
        return Trouble("unreadable", where, "is not a JSON object")
    if b"\\u" in raw and not is_unicode(value):
        return Trouble("unreadable", where, "holds half of a surrogate pair, which is no character")
    return value
