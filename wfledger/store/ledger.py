"""The ledger: reading tasks, and changing them in transactions under the ledger lock.

Every change follows one order (spec 30): out of `pending/` the rename comes first, then the
content; from every other folder the content comes first, then the rename. Then the journal, and
after the lock is let go one wait until the journal is durable: when `transaction` returns, what was
done in it survives the death of every process and of the machine.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from wfledger import faults
from wfledger.clock import Clock
from wfledger.core import bounds
from wfledger.core.documents import Result, Run, Task
from wfledger.core.policy import LedgerConfig
from wfledger.core.records import parse
from wfledger.core.statuses import Status
from wfledger.errors import (
    EnvironmentFailedError,
    InvalidDocumentError,
    LedgerDamagedError,
    NotFoundError,
    WfledgerError,
)
from wfledger.store import atomic, claims
from wfledger.store.entries import Entry, Unreadable
from wfledger.store.folders import missing as missing_folders
from wfledger.store.journal import Journal
from wfledger.store.layout import SUFFIX, Layout, is_id, run_of
from wfledger.store.locks import Locks
from wfledger.store.marker import Marker
from wfledger.store.transaction import Transaction

_CONFIG: Final = "ledger.json"
faults.register("ledger.lock.taken", "ledger.lock.released")

#: The order in which a reader looks for a task: against the stream, so that a task that moves on
#: meanwhile is met again further on.
_LOOK: Final = (
    Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.MERGING,
    Status.BLOCKED, Status.DONE, Status.CANCELLED,
)
_LOOKS: Final = 3


class Guard(Protocol):
    """What says before each change whether the ledger is whole, and makes it so."""

    def is_whole(self) -> bool:
        """Whether changes may be made; asked under the ledger lock.

        Raises `LedgerDamagedError` where only `doctor --fix` may go on.
        """

    def make_whole(self) -> None:
        """Redo what power loss or a rebuild that was killed left; called without the lock."""


class Ledger:
    """One ledger on this machine."""

    def __init__(
        self, root: Path, local: Path, *, clock: Clock, locks: Locks | None = None
    ) -> None:
        self.layout = Layout(root, local)
        self.clock = clock
        self.locks = locks or Locks(local / "locks")
        self.journal = Journal(self.layout.journal, self.locks)
        self.marker = Marker(local / "marker")
        #: None where nobody knows the branch; nothing is redone then.
        self.guard: Guard | None = None

    @classmethod
    def open(cls, root: Path, local: Path, *, clock: Clock) -> "Ledger":
        """Open the ledger; raises `LedgerDamagedError` when its folders are not all there.

        Nothing is created: a ledger that was removed is rebuilt by `doctor --fix`, never in
        passing (WFL-LEDGER-012).
        """
        missing = [str(folder) for folder in missing_folders(Layout(root, local))]
        if missing:
            raise LedgerDamagedError(
                f"the ledger lacks {len(missing)} of its folders, first {missing[0]}",
                hint="wfledger doctor --fix",
                missing=missing,
            )
        return cls(root, local, clock=clock)

    # -- reading ---------------------------------------------------------------------------------

    def config(self) -> LedgerConfig:
        """Return ledger.json; raises `InvalidDocumentError` that names it."""
        try:
            return parse(LedgerConfig, self._read(_CONFIG, limit=bounds.TASK_BYTES))
        except InvalidDocumentError as error:
            raise InvalidDocumentError(
                f"{_CONFIG}: {error.message}", hint=f"mend {self.layout.root / _CONFIG}",
                **error.facts,
            ) from None

    def _read(self, relative: str, *, limit: int) -> bytes:
        return atomic.read(self.layout.root / relative, limit=limit)

    def read_text(self, relative: str) -> str | None:
        """Return a text file of the ledger such as fleet.toml, or None."""
        try:
            return self._read(relative, limit=bounds.RESULT_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def load(self, status: Status, task_id: str) -> Entry:
        """Return the task if it is in the folder of *status*.

        Raises `FileNotFoundError` when it is not, `InvalidDocumentError` or `LedgerDamagedError`
        when the file there is no task of that id.
        """
        raw = atomic.read(self.layout.task(status, task_id), limit=bounds.TASK_BYTES)
        task = parse(Task, raw)
        if task.id != task_id:
            raise InvalidDocumentError(f"{task_id}.json holds the task {task.id}")
        return Entry(task, status)

    def find(self, task_id: str) -> Entry | None:
        """Return the task wherever it is, or None.

        A task may move while a reader looks; a few looks meet it (WFL-STATUS-004). What is no id
        names no task. Raises like `load` when a file of that name is no task.
        """
        if not is_id(task_id):
            return None
        for _ in range(_LOOKS):
            for status in _LOOK:
                try:
                    return self.load(status, task_id)
                except FileNotFoundError:
                    continue
        return None

    def is_taken(self, task_id: str) -> bool:
        """Whether a file has the name of the task, whatever it holds; nothing is opened.

        Exact under the ledger lock: a claimer, who takes none, moves from a folder that is looked
        at before the one he moves to.
        """
        layout = self.layout
        return any(
            os.path.lexists(f"{layout.root}/{layout.relative(status, task_id)}")
            for status in _LOOK
        )

    def get(self, task_id: str) -> Entry:
        """Return the task wherever it is, or raise `NotFoundError`."""
        entry = self.find(task_id)
        if entry is None:
            raise NotFoundError(
                f"there is no task {task_id}", hint="wfledger list", task=task_id
            )
        return entry

    def names(self, status: Status, *, run: str | None = None) -> list[str]:
        """Return the ids of the files in a status folder, sorted; nothing is opened.

        A name that is no id is nobody's task; `inspect` finds it.
        """
        return [name for name in self._stems(status, run) if is_id(name)]

    def _stems(self, status: Status, run: str | None) -> list[str]:
        names = (entry.name[: -len(SUFFIX)] for entry in self.files(status, run=run))
        return sorted(name for name in names if run is None or run_of(name) == run)

    def files(self, status: Status, *, run: str | None = None) -> Iterator[os.DirEntry[str]]:
        """Yield the directory entries of a status folder's task files, of one run or of all."""
        folders = [self.layout.folder(status)]
        if status.is_cold and run is not None:
            folders = [folders[0] / run]
        elif status.is_cold:
            with os.scandir(folders[0]) as entries:
                folders = [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
        for folder in folders:
            try:
                with os.scandir(folder) as entries:
                    yield from [e for e in entries if e.name.endswith(SUFFIX)]
            except FileNotFoundError:
                continue

    def entries(self, status: Status, *, run: str | None = None) -> Iterator[Entry | Unreadable]:
        """Yield what is in a status folder, in the order of ids; what is gone again is left out."""
        for task_id in self._stems(status, run):
            try:
                yield self.load(status, task_id)
            except FileNotFoundError:
                continue
            except (WfledgerError, ValueError, OSError) as error:
                folder = self.layout.folder(status)
                path = folder / run_of(task_id) if status.is_cold else folder
                yield Unreadable(path / f"{task_id}{SUFFIX}", status, str(error))

    def tasks(self, status: Status, *, run: str | None = None) -> list[Task]:
        """Return the readable tasks of a status folder."""
        found = self.entries(status, run=run)
        return [entry.task for entry in found if isinstance(entry, Entry)]

    def runs(self) -> list[Run]:
        """Return every readable run, oldest first."""
        found = []
        for path in sorted((self.layout.root / "runs").glob(f"*{SUFFIX}")):
            try:
                found.append(self.run(path.name[: -len(SUFFIX)]))
            except (WfledgerError, FileNotFoundError):
                continue  # a doctor finding
        return sorted(found, key=lambda run: (run.created, run.id))

    def run(self, run_id: str) -> Run:
        """Return a run, or raise `NotFoundError`; what cannot be read now is no missing run."""
        try:
            raw = self._read(self.layout.run(run_id), limit=bounds.RUN_BYTES)
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}:
                raise EnvironmentFailedError(f"the run {run_id} cannot be read: {error}") from error
            raise NotFoundError(f"there is no run {run_id}", hint="wfledger status") from None
        except ValueError:
            raise NotFoundError(f"there is no run {run_id}", hint="wfledger status") from None
        run = parse(Run, raw, limit=bounds.RUN_BYTES)
        if run.id != run_id:
            raise InvalidDocumentError(f"runs/{run_id}.json holds the run {run.id}", run=run_id)
        return run

    def result(self, task_id: str, attempt: int) -> Result | None:
        """Return the envelope of an attempt, or None."""
        try:
            raw = self._read(self.layout.result(task_id, attempt), limit=bounds.RESULT_BYTES)
        except FileNotFoundError:
            return None
        return parse(Result, raw, limit=bounds.RESULT_BYTES)

    def claim_record(self, task_id: str, attempt: int) -> claims.ClaimRecord | None:
        """Return who recorded the claim of an attempt; None when nobody legibly did."""
        try:
            return claims.read(self.layout.claim(task_id, attempt))
        except FileNotFoundError:
            return None

    def is_claimed(self, task_id: str, attempt: int) -> bool:
        """Whether anybody recorded the claim of an attempt, legibly or not."""
        return os.path.lexists(self.layout.claim(task_id, attempt))

    # -- changing --------------------------------------------------------------------------------

    @contextmanager
    def transaction(
        self, by: str, *, timeout: float = 30.0, guarded: bool = True
    ) -> Iterator[Transaction]:
        """Hold the ledger lock for a few changes; durable when the block has been left.

        *by* is written into the history. After a power loss the ledger is redone first
        (WFL-REC-005), and what an earlier holder left half done is finished; recovery itself is
        not *guarded*. Raises `BusyError` when the lock is not free in time, `LedgerDamagedError`
        when the ledger's folders are gone. When the block raises, what was done in it up to then
        stands.
        """
        mark = None
        try:
            with self._held(timeout, guarded=guarded):
                faults.point("ledger.lock.taken")
                changes = Transaction(self, by)
                try:
                    changes.finish_interrupted()
                    yield changes
                except OSError as error:
                    self._need_folders(error)
                    raise
                finally:
                    mark = changes.mark
            faults.point("ledger.lock.released")
        finally:
            if mark is not None:
                self.journal.sync(mark)

    @contextmanager
    def _held(self, timeout: float, *, guarded: bool) -> Iterator[None]:
        """Hold the lock of a whole ledger."""
        guard = self.guard if guarded else None
        for _ in range(_LOOKS):
            with self.locks.hold("ledger", timeout=timeout):
                if guard is None or guard.is_whole():
                    yield
                    return
            guard.make_whole()
        raise LedgerDamagedError("the ledger cannot be made whole", hint="wfledger doctor --fix")

    def _need_folders(self, error: OSError) -> None:
        """Say so where *error* came of folders that somebody removed meanwhile."""
        if missing_folders(self.layout):
            raise LedgerDamagedError(
                f"folders of the ledger are gone: {error}", hint="wfledger doctor --fix"
            ) from error
