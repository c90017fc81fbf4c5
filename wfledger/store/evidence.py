"""Everything that a look at a ledger's files collects, for `inspect`, `repair` and `rebuild`."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wfledger.core import bounds
from wfledger.core.documents import Result, Run, Task
from wfledger.core.hub import shown
from wfledger.core.policy import LedgerConfig
from wfledger.core.records import Record, parse
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError, WfledgerError
from wfledger.store import atomic
from wfledger.store.layout import SUFFIX, Layout, run_of
from wfledger.store.ledger import Ledger
from wfledger.store.replay import Known, Replay, replay
from wfledger.store.settling import Settled, settle
from wfledger.store.survey import Copy, Survey, look, survey

#: Path relative to the ledger -> its content on the ledger's branch, or None.
Committed = Callable[[str], bytes | None]

#: Seconds after which a file in tmp/ whose process is gone was left behind.
LEFTOVER_S: Final = 60.0


def shape_of(relative: str) -> tuple[type[Record], int] | None:
    """Return what a file of the ledger that is no task has to be, and its bound in bytes."""
    folder = relative.partition("/")[0]
    if relative == "ledger.json":
        return LedgerConfig, bounds.TASK_BYTES
    if not relative.endswith(SUFFIX):
        return None
    shapes: dict[str, tuple[type[Record], int]] = {
        "runs": (Run, bounds.RUN_BYTES), "results": (Result, bounds.RESULT_BYTES),
    }
    return shapes.get(folder)


def read_document(layout: Layout, relative: str) -> Record | bytes:
    """Return a file of the ledger that is no task, parsed where its kind is known.

    Raises `FileNotFoundError`, `LedgerDamagedError` or `InvalidDocumentError`.
    """
    shape = shape_of(relative)
    limit = shape[1] if shape else bounds.RUN_BYTES
    raw = atomic.read(layout.root / relative, limit=limit)
    document = parse(shape[0], raw, limit=limit) if shape else raw
    if isinstance(document, Run) and layout.run(document.id) != relative:
        raise InvalidDocumentError(f"{relative} holds the run {document.id}")
    return document


@dataclass
class Evidence:
    """Everything that a look collected; `repair` works from the same."""

    layout: Layout
    committed: Committed | None
    survey: Survey
    replay: Replay
    runs: dict[str, Run] = field(default_factory=dict)

    def branch(self, task_id: str) -> Known | None:
        """Return a task as the branch has it."""
        present = [copy.status for copy in self.survey.copies.get(task_id, [])]
        for status in (*present, *(other for other in Status if other not in present)):
            path = self.layout.relative(status, task_id)
            raw = self.committed(path) if self.committed else None
            seen = look_at(status, raw, here=self.layout.machine)
            if seen is not None and seen.task is not None and seen.task.id == task_id:
                return seen
        return None

    def settled(self, task_id: str, *, after_power_loss: bool = False) -> Settled | None:
        """Return the truth about a task."""
        return settle(
            self.layout, self.survey.copies.get(task_id, []),
            known=self.replay.tasks.get(task_id), branch=self.branch(task_id),
            after_power_loss=after_power_loss,
        )

    def look_again(self, task_id: str) -> None:
        """Replace what is known of a task's files by what is there now."""
        places = {self.layout.task(status, task_id): status for status in Status}
        places |= {copy.path: copy.status for copy in self.survey.copies.get(task_id, [])}
        seen = [look(self.layout, status, path) for path, status in places.items()]
        copies = [copy for copy in seen if isinstance(copy, Copy) and copy.path.exists()]
        self.survey.copies[task_id] = copies

    def copies_of(self, run_id: str) -> list[Copy]:
        """Return the task files of a run."""
        found = self.survey.copies.items()
        return [copy for name, copies in found if run_of(name) == run_id for copy in copies]

    def waiting_of(self, run_id: str) -> list[str]:
        """Return the tasks of a run that wait."""
        copies = self.copies_of(run_id)
        return sorted({copy.task.id for copy in copies if copy.status is Status.WAITING})

    def content(self, relative: str) -> bytes | None:
        """Return what journal or branch have at a path that is no task."""
        if relative in self.replay.files:
            return self.replay.files[relative]
        return self.committed(relative) if self.committed else None


def look_at(status: Status, raw: bytes | None, *, here: str) -> Known | None:
    """Return the task in bytes of the branch, with the status that it has on the machine *here*."""
    if raw is None:
        return None
    try:
        task = parse(Task, raw)
    except WfledgerError:
        return None
    return Known(shown(task, status, here), task.attempt, task.seq, task)


def gather(ledger: Ledger, *, committed: Committed | None = None) -> Evidence:
    """Read the folders and the journal."""
    said = replay(ledger.journal) if ledger.layout.journal.is_dir() else Replay()
    found = Evidence(ledger.layout, committed, survey(ledger.layout), said)
    found.runs = {run.id: run for run in ledger.runs()}
    return found


def leftovers(ledger: Ledger) -> list[Path]:
    """Return our temporary files whose process is gone; nothing in them was acknowledged.

    A number may mean another process in another pid namespace, so such a file must be old as well;
    a file lives here for microseconds.
    """
    now = ledger.clock.now().timestamp()
    found = []
    for path in sorted(ledger.layout.tmp.glob("*.tmp")) if ledger.layout.tmp.is_dir() else ():
        pid = path.name.partition("-")[0]
        try:
            age = now - path.lstat().st_mtime
        except FileNotFoundError:
            continue
        if pid.isascii() and pid.isdigit() and age > LEFTOVER_S and not _runs(int(pid)):
            found.append(path)
    return found


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0
