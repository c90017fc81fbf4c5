"""Every task of a ledger as one line of JSON, for programs that only read (spec 68)."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from wfledger.core.documents import Task
from wfledger.core.records import plain
from wfledger.core.statuses import Status
from wfledger.errors import UsageError
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.entries import Entry

SCHEMA: Final = "wfledger.export/1"


def lines(workspace: Workspace, *, run: str | None = None) -> Iterator[bytes]:
    """Yield a line for each readable task, of one run or of all, in the order of ids.

    Takes no lock: each task is as it was at some moment while this went on, and stands once.
    """
    seen: dict[str, Status] = {}
    for status in Status:
        seen |= dict.fromkeys(workspace.ledger.names(status, run=run), status)
    for task_id in sorted(seen):
        entry = workspace.ledger.find(task_id)
        if entry is not None:
            yield _line(workspace, entry)


def write(workspace: Workspace, path: Path, *, run: str | None, replace: bool) -> int:
    """Write the lines to a file, whole or not at all; returns how many tasks there are.

    Raises `UsageError` where a file is there and it is not to be replaced.
    """
    if os.path.lexists(path) and not replace:
        raise UsageError(f"{path} is there already", hint="--force replaces it", path=str(path))
    found = list(lines(workspace, run=run))
    try:
        atomic.replace(path, b"".join(found), tmp=path.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    return len(found)


def _line(workspace: Workspace, entry: Entry) -> bytes:
    task = entry.task
    data: dict[str, Any] = plain(task)
    results = _results(workspace, task)
    data |= {
        "schema": SCHEMA, "status": entry.status.value, "results": results,
        "result": results[-1] if results else None,
    }  # fmt: skip
    return json.dumps(data, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _results(workspace: Workspace, task: Task) -> list[str]:
    """Return the paths of the envelopes of its attempts, relative to the ledger, oldest first."""
    layout = workspace.ledger.layout
    paths = [layout.result(task.id, number) for number in range(1, task.attempt + 1)]
    return [path for path in paths if (layout.root / path).is_file()]
