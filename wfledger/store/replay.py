"""What the journal says, folded to the last word about each task and file."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wfledger.core.documents import Task
from wfledger.core.records import canonical_json, parse
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError
from wfledger.store import journal
from wfledger.store.claims import ClaimRecord
from wfledger.store.journal import Journal


@dataclass(frozen=True)
class Known:
    """The last record of a task; `task` is None when only its claim is in the journal."""

    status: Status
    attempt: int
    seq: int
    task: Task | None

    @property
    def age(self) -> tuple[int, int]:
        """The order of the versions of one task."""
        return self.attempt, self.seq


@dataclass
class Replay:
    """The journal's last words."""

    tasks: dict[str, Known] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    claims: dict[tuple[str, int], ClaimRecord] = field(default_factory=dict)
    #: Journal files that cannot be read before their end.
    damaged: list[Path] = field(default_factory=list)
    #: Journal files with an unreadable rest, as a crash leaves it.
    torn: list[Path] = field(default_factory=list)


def replay(source: Journal) -> Replay:
    """Read the whole journal, past damage."""
    found = Replay()
    for path in source.files():
        try:
            records, lost = journal.salvage(path)
        except FileNotFoundError:
            continue  # dropped meanwhile: it is in the history
        if lost:
            size = path.stat().st_size
            is_tail = lost[-1].offset + len(lost[-1].raw) == size and _adjoin(lost)
            (found.torn if is_tail else found.damaged).append(path)
        fold(found, records)
    return found


def _adjoin(lost: list[journal.Tail]) -> bool:
    pairs = itertools.pairwise(lost)
    return all(one.offset + len(one.raw) == other.offset for one, other in pairs)


def fold(found: Replay, records: Iterable[dict[str, Any]]) -> None:
    """Take *records* in, oldest first; one that is of another kind is passed over."""
    for record in records:
        kind = record.get("kind")
        if kind == "file" and record["content"] is not None:
            found.files[record["path"]] = journal.file_bytes(record) or b""
        elif kind in {"task", "claim"}:
            _fold_task(found, record)


def _fold_task(found: Replay, record: dict[str, Any]) -> None:
    task_id, attempt, seq = record["task"], record["attempt"], record["seq"]
    before = found.tasks.get(task_id)
    if record["kind"] == "task":
        try:
            task: Task | None = parse(Task, canonical_json(record["content"]))
        except InvalidDocumentError:
            return  # of a newer version; the directory has it
    else:
        task = before.task if before and before.age == (attempt, seq) else None
        found.claims[task_id, attempt] = ClaimRecord(**record["claim"])
    found.tasks[task_id] = Known(Status(record["to"]), attempt, seq, task)
