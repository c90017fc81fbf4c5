"""The changes that may be made while the ledger lock is held, each whole and journalled.

Each change survives a kill at any point: the marker names it before it begins, and
`store.finishing` completes or forgets it before the next one (WFL-REC-004). That holds within a
transaction too: a change that failed half-way is finished before the next one begins.
"""

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any, Final, Protocol

from wfledger import faults
from wfledger.clock import Clock, iso
from wfledger.core import bounds
from wfledger.core.documents import Result, Run, Task
from wfledger.core.records import canonical, plain
from wfledger.core.statuses import Actor, Status, check
from wfledger.errors import (
    InvalidDocumentError,
    LedgerDamagedError,
    StaleError,
    TransitionError,
    WfledgerError,
)
from wfledger.store import atomic, finishing
from wfledger.store.claiming import take
from wfledger.store.claims import ClaimRecord
from wfledger.store.entries import Entry
from wfledger.store.journal import Journal, Mark, file_record
from wfledger.store.layout import Layout
from wfledger.store.marker import Marker

faults.register(
    "ledger.add.marked", "ledger.add.written",
    "ledger.move.marked", "ledger.move.content-first", "ledger.move.renamed",
    "ledger.move.content-after", "ledger.move.journalled",
    "ledger.claim.marked", "ledger.claim.journalled",
    "ledger.update.marked", "ledger.update.written",
    "ledger.file.marked", "ledger.file.written",
    "ledger.adopt.marked", "ledger.adopt.moved",
    "ledger.take-in.marked", "ledger.take-in.written", "ledger.take-in.moved",
    "ledger.restore.marked", "ledger.restore.moved", "ledger.restore.written",
    "ledger.quarantine.noted", "ledger.quarantine.moved",
)

#: What a path in quarantine/ is made of.
_PLAIN: Final = re.compile(r"[^A-Za-z0-9._-]+")
_BOUNDS: Final = {"results": bounds.RESULT_BYTES, "runs": bounds.RUN_BYTES}


class Holder(Protocol):
    """What a transaction needs of its ledger."""

    layout: Layout
    clock: Clock
    journal: Journal
    marker: Marker

    def get(self, task_id: str) -> Entry:
        """Return a task."""

    def find(self, task_id: str) -> Entry | None:
        """Return a task or None."""

    def is_taken(self, task_id: str) -> bool:
        """Whether a file has the name of a task."""

    def claim_record(self, task_id: str, attempt: int) -> ClaimRecord | None:
        """Return who recorded the claim of an attempt."""


class Transaction:
    """A few changes under one hold of the ledger lock. Made by `Ledger.transaction` only."""

    def __init__(self, ledger: Holder, by: str) -> None:
        #: What is changed.
        self.ledger = ledger
        self._by = by
        #: Up to where the journal must be durable before anything here is acknowledged.
        self.mark: Mark | None = None

    # -- tasks -----------------------------------------------------------------------------------

    def get(self, task_id: str) -> Entry:
        """Return a task as it is now; under the lock nobody but a claimer can move it."""
        return self.ledger.get(task_id)

    def add(self, task: Task, *, why: str = "added") -> None:
        """Put a new task into waiting/; raises `TransitionError` when a task has the id."""
        layout, ledger = self.ledger.layout, self.ledger
        raw = _bytes_of(task)
        if ledger.is_taken(task.id):
            raise TransitionError(f"the id {task.id} is taken", task=task.id)
        path = layout.task(Status.WAITING, task.id)
        self._make_inner(path)
        self._begin(task=task.id, source=None, target=Status.WAITING.value, seq=task.seq)
        faults.point("ledger.add.marked")
        atomic.write_new(path, raw, tmp=layout.tmp)
        faults.point("ledger.add.written")
        self.record_task(task, None, Status.WAITING, why=why)

    def move(
        self, task_id: str, target: Status, *, actor: Actor, why: str, **changes: Any
    ) -> Task:
        """Move a task along an arrow of the table, with *changes* to its document.

        Returns the task as it is afterwards. Raises `TransitionError` when there is no such arrow
        for *actor*, `StaleError` when a claimer took the task out of pending/ meanwhile.
        """
        entry = self.ledger.get(task_id)
        source = entry.status
        arrow = check(task_id, source, target)
        if actor not in arrow.actors:
            raise TransitionError(
                f"{actor.value} may not move {task_id} from {source.value} to {target.value}",
                task=task_id,
            )
        if entry.task.grant is not None and not target.holds_scope:
            changes = {"grant": None, **changes}  # it is nobody's any more (WFL-HUB-010)
        task = entry.task.next(**changes)
        raw = _bytes_of(task)
        goal = self._goal(task, target)
        self._begin(task=task_id, source=source.value, target=target.value, seq=task.seq)
        faults.point("ledger.move.marked")
        start = self.ledger.layout.task(source, task_id)
        if source is Status.PENDING:
            self._rename_first(start, goal, raw)
        else:
            self._content_first(start, goal, raw)
        self.record_task(task, source, target, why=why)
        faults.point("ledger.move.journalled")
        return task

    def _goal(self, task: Task, target: Status) -> Path:
        """Return where a task goes to; raises when it must not go there."""
        layout = self.ledger.layout
        goal = layout.task(target, task.id)
        self._make_inner(goal)
        if os.path.lexists(goal):
            raise LedgerDamagedError(
                f"{task.id} is in {target.value} already and somewhere else too",
                hint="wfledger doctor --fix",
                task=task.id,
            )
        if target is Status.PENDING and os.path.lexists(layout.claim(task.id, task.attempt)):
            # Whoever took such an offer would find the record and lose, for ever (WFL-CLAIM-022).
            raise TransitionError(
                f"attempt {task.attempt} of {task.id} was claimed before and needs a higher number",
                task=task.id,
                attempt=task.attempt,
            )
        return goal

    def _rename_first(self, start: Path, goal: Path, raw: bytes) -> None:
        # WFL-STATUS-011: a file in pending/ is never rewritten, or a task that a claimer has just
        # taken would come back; the rename is a race with claimers and may be lost.
        try:
            atomic.move(start, goal)
        except FileNotFoundError:
            self.ledger.marker.clear()
            raise StaleError(f"{start.stem} was claimed meanwhile", task=start.stem) from None
        faults.point("ledger.move.renamed")
        self._put(goal, raw)
        faults.point("ledger.move.content-after")

    def _content_first(self, start: Path, goal: Path, raw: bytes) -> None:
        self._put(start, raw)
        faults.point("ledger.move.content-first")
        atomic.move(start, goal)
        faults.point("ledger.move.renamed")

    def update(self, task_id: str, *, why: str, **changes: Any) -> Task:
        """Change a task's document where it is; never one in pending/ (WFL-STATUS-011)."""
        entry = self.ledger.get(task_id)
        if entry.status is Status.PENDING:
            raise TransitionError(f"{task_id} is on offer and cannot be changed", task=task_id)
        task = entry.task.next(**changes)
        raw = _bytes_of(task)
        here = entry.status
        self._begin(task=task_id, source=here.value, target=here.value, seq=task.seq)
        faults.point("ledger.update.marked")
        self._put(self.ledger.layout.task(here, task_id), raw)
        faults.point("ledger.update.written")
        self.record_task(task, here, here, why=why)
        return task

    def claim(self, task_id: str, record: ClaimRecord) -> Entry:
        """Take a task on offer: rename, then record the owner by exclusive creation.

        Returns the task as it is in in-progress/. Raises `StaleError` when the race was lost. The
        file itself is not rewritten; the owner is folded in by a later step (WFL-CLAIM-008).
        """
        offer = self.ledger.layout.task(Status.PENDING, task_id)
        if not os.path.lexists(offer) and offer.parent.is_dir():
            # Nothing is begun: after a kill it would look like the claim of whoever has it.
            raise StaleError(f"{task_id} is not on offer", task=task_id)
        self._begin(
            task=task_id, source=Status.PENDING.value, target=Status.IN_PROGRESS.value, seq=0,
            token=record.token_sha256,
        )  # fmt: skip
        faults.point("ledger.claim.marked")
        try:
            entry = take(self.ledger.layout, task_id, record)
        except StaleError:
            # Whoever won records it. A marker left here makes the next change rotate the journal.
            self.ledger.marker.clear()
            raise
        self.record_claim(entry.task, record)
        faults.point("ledger.claim.journalled")
        return entry

    def _make_inner(self, path: Path) -> None:
        """Make the folder of *path* for a run or task; never one of the ledger's own.

        WFL-LEDGER-012: where the ledger was removed, nothing brings it back in passing.
        """
        if path.parent.parent not in {self.ledger.layout.root, self.ledger.layout.root.parent}:
            path.parent.mkdir(exist_ok=True)

    def _put(self, path: Path, raw: bytes) -> None:
        atomic.replace(path, raw, tmp=self.ledger.layout.tmp)

    def _begin(self, **facts: Any) -> None:
        if self.ledger.marker.get() is not None:
            self.finish_interrupted()  # a change of this very transaction that raised half-way
        self.ledger.marker.set(**facts)

    # -- other documents -------------------------------------------------------------------------

    def put_run(self, run: Run, *, why: str) -> None:
        """Write a run's document."""
        self.put_file(self.ledger.layout.run(run.id), canonical(run), why=why)

    def put_result(self, result: Result) -> None:
        """Write an attempt's envelope; done before the task moves (WFL-RESULT-002)."""
        path = self.ledger.layout.result(result.task, result.attempt)
        self.put_file(path, canonical(result), why=f"result of {result.task}")

    def put_file(self, relative: str, raw: bytes, *, why: str) -> None:
        """Write a file of the ledger that is no task."""
        limit = _BOUNDS.get(relative.partition("/")[0], bounds.RUN_BYTES)
        if len(raw) > limit:
            raise InvalidDocumentError(f"{relative} would be {len(raw)} bytes; at most {limit}")
        path = self.ledger.layout.root / relative
        self._make_inner(path)
        self._begin(file=relative)
        faults.point("ledger.file.marked")
        self._put(path, raw)
        faults.point("ledger.file.written")
        self.record_file(relative, raw, why=why)

    def adopt_file(self, relative: str, *, why: str) -> None:
        """Bring a file that somebody edited by hand into the history as it is."""
        raw = atomic.read(self.ledger.layout.root / relative, limit=bounds.RUN_BYTES)
        self.record_file(relative, raw, why=why)

    # -- recovery only ---------------------------------------------------------------------------

    def restore(
        self, task: Task, status: Status, *, source: Status | None, why: str | None
    ) -> None:
        """Put a task where recovery decided that it belongs; the table is not asked.

        A copy in *source* is moved there and rewritten where it differs; nothing else may be at the
        goal. Without *why* it is not recorded, for what journal or branch say already.
        """
        layout = self.ledger.layout
        raw = _bytes_of(task)
        goal = layout.task(status, task.id)
        self._make_inner(goal)
        self._begin(
            task=task.id, source=source.value if source else None, target=status.value, seq=task.seq
        )
        faults.point("ledger.restore.marked")
        if source is None:
            atomic.write_new(goal, raw, tmp=layout.tmp)
        elif source is not status:
            atomic.move(layout.task(source, task.id), goal)
            faults.point("ledger.restore.moved")
        if goal.read_bytes() != raw:
            self._put(goal, raw)
        faults.point("ledger.restore.written")
        if why is None:
            self.ledger.marker.clear()
        else:
            self.record_task(task, source, status, why=why)

    def adopt(
        self, task: Task, found: Status, target: Status, *, recorded: Status | None, why: str
    ) -> None:
        """Record what somebody did to a task's file past the verbs; it comes to lie in *target*.

        The file lies in *found*, in its place there, and gets the content of *task*; the record
        says *recorded* → *target*. Raises `StaleError` when a claimer took it out of pending/.
        """
        layout = self.ledger.layout
        raw, start = _bytes_of(task), layout.task(found, task.id)
        goal = layout.task(target, task.id)
        if found is not target:
            goal = self._goal(task, target)
        self._begin(
            task=task.id, source=found.value, target=target.value, seq=task.seq,
            recorded=recorded.value if recorded else None,
        )  # fmt: skip
        faults.point("ledger.adopt.marked")
        if found is target:
            self._put(goal, raw)
        elif found is Status.PENDING:
            self._rename_first(start, goal, raw)
        else:
            self._content_first(start, goal, raw)
        faults.point("ledger.adopt.moved")
        self.record_task(task, recorded, target, why=why)

    def take_in(self, task: Task, path: Path, *, why: str) -> None:
        """Make the file at *path*, somewhere in waiting/, the new task *task*, in its place there.

        Killed half-way it leaves the task's own document at *path*, to be taken in again.
        """
        raw, goal = _bytes_of(task), self._goal_of_new(task)
        self._begin(task=task.id, source=None, target=Status.WAITING.value, seq=task.seq)
        faults.point("ledger.take-in.marked")
        self._put(path, raw)
        faults.point("ledger.take-in.written")
        if path != goal:
            atomic.move(path, goal)
        faults.point("ledger.take-in.moved")
        self.record_task(task, None, Status.WAITING, why=why)

    def _goal_of_new(self, task: Task) -> Path:
        goal = self.ledger.layout.task(Status.WAITING, task.id)
        self._make_inner(goal)
        return goal

    def set_aside(self, path: Path, *, reason: str) -> None:
        """Keep a copy of a file in quarantine/, before what was recorded is written over it."""
        raw = atomic.read(path, limit=bounds.RUN_BYTES)
        target = self._noted(path, reason)
        self.put_file(f"quarantine/{target.name}", raw, why=reason)

    def quarantine(self, path: Path, *, reason: str, forget: bool = False) -> Path:
        """Move what cannot be used out of the way, with the reason beside it; delete nothing.

        The history has the content where that is a plain, small file. It gives up the old path only
        to *forget*: what will be written anew there may be known to the branch alone, and a crash
        before that is done must not lose it.
        """
        target = self._noted(path, reason)
        faults.point("ledger.quarantine.noted")
        path.rename(target)
        faults.point("ledger.quarantine.moved")
        origin = path.relative_to(self.ledger.layout.root).as_posix()
        if forget and origin.isascii() and origin.isprintable():
            self.record_file(origin, None, why=reason)
        self._record_quarantined(target, reason)
        return target

    def _noted(self, path: Path, reason: str) -> Path:
        """Return a free place in quarantine/ for what is at *path*, with the reason beside it."""
        root = self.ledger.layout.root
        folder = root / "quarantine"
        origin = path.relative_to(root).as_posix()
        stem = _PLAIN.sub("_", origin.replace("/", "."))[:180]
        names = (stem if number == 0 else f"{stem}.{number}" for number in itertools.count())
        target = next(folder / name for name in names if not os.path.lexists(folder / name))
        # The note comes first: a crash in between leaves it alone, and doing it again reuses it.
        text = {"from": origin.encode("utf-8", "replace").decode(), "reason": reason}
        note = f"quarantine/{target.name}.reason"
        self.put_file(note, json.dumps(text).encode() + b"\n", why="quarantine")
        return target

    def _record_quarantined(self, target: Path, reason: str) -> None:
        try:
            raw = atomic.read(target, limit=bounds.TASK_BYTES)
        except (OSError, WfledgerError):
            return  # a folder, a link, a FIFO, or too large: git could not hold it, or should not
        self.record_file(f"quarantine/{target.name}", raw, why=reason)

    def finish_interrupted(self) -> None:
        """Complete or forget what an earlier change left half done."""
        finishing.finish(self)

    # -- journal ---------------------------------------------------------------------------------

    def record_task(self, task: Task, source: Status | None, target: Status, *, why: str) -> None:
        """Append to the journal that a task is now in *target* with this content."""
        self._append(
            {
                "kind": "task", "task": task.id, "attempt": task.attempt, "seq": task.seq,
                "from": source.value if source else None, "to": target.value,
                "why": why, "content": plain(task),
            }
        )

    def record_claim(self, task: Task, record: ClaimRecord, *, why: str = "claim") -> None:
        """Append to the journal that *task* was claimed."""
        facts = {"worker": record.worker, "machine": record.machine, "pid": record.pid}
        facts |= {"boot": record.boot, "token_sha256": record.token_sha256}
        self._append(
            {
                "kind": "claim", "task": task.id, "attempt": task.attempt, "seq": task.seq,
                "from": Status.PENDING.value, "to": Status.IN_PROGRESS.value,
                "why": why, "claim": facts,
            }
        )

    def record_file(self, relative: str, raw: bytes | None, *, why: str) -> None:
        """Append to the journal what a path holds now; None: nothing any more."""
        self._append({**file_record(relative, raw), "why": why})

    def _append(self, record: dict[str, Any]) -> None:
        record |= {"by": self._by, "at": iso(self.ledger.clock.now())}
        self.mark = self.ledger.journal.append(record)
        self.ledger.marker.clear()


def _bytes_of(task: Task) -> bytes:
    """Return what is written, before anything is: too large a document changes nothing."""
    raw = canonical(task)
    if len(raw) > bounds.TASK_BYTES:
        raise InvalidDocumentError(
            f"{task.id} would be {len(raw)} bytes; at most {bounds.TASK_BYTES}", task=task.id
        )
    return raw
