"""What a reader finds in a status folder: a task, or a file that is none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wfledger.core.documents import Task
from wfledger.core.statuses import Status


@dataclass(frozen=True)
class Entry:
    """A task and the folder it was found in."""

    task: Task
    status: Status

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` shows of a task: its document and its status."""
        data: dict[str, Any] = self.task.model_dump(mode="json", by_alias=True)
        return {"status": self.status.value, **data}


@dataclass(frozen=True)
class Unreadable:
    """A file in a status folder that is no task."""

    path: Path
    status: Status
    reason: str
