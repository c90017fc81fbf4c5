"""The changes that may be made while the ledger lock is held, each whole and journalled.

Each change survives a kill at any point: the marker names it before it begins, and
`finish_interrupted` completes or forgets it before the next one (WFL-REC-004).
"""

import json
import os
from pathlib import Path
from typing import Any, Protocol

from wfledger import faults
from wfledger.clock import Clock, iso
from wfledger.core import bounds
from wfledger.core.documents import Result, Run, Task, canonical, parse
from wfledger.core.statuses import Actor, Status, check
from wfledger.errors import (
    InvalidDocumentError,
    LedgerDamagedError,
    StaleError,
    TransitionError,
    WfledgerError,
)
from wfledger.store import atomic
from wfledger.store.claiming import take
from wfledger.store.claims import ClaimRecord
from wfledger.store.entries import Entry
from wfledger.store.journal import Journal, Mark
from wfledger.store.layout import Layout
from wfledger.store.marker import Marker

faults.register(
    "ledger.add.marked", "ledger.add.written",
    "ledger.move.marked", "ledger.move.content-first", "ledger.move.renamed",
    "ledger.move.content-after", "ledger.move.journalled",
    "ledger.claim.renamed", "ledger.claim.recorded",
    "ledger.update.marked", "ledger.update.written",
    "ledger.file.marked", "ledger.file.written",
)


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


class Transaction:
    """A few changes under one hold of the ledger lock. Made by `Ledger.transaction` only."""

    def __init__(self, ledger: Holder, by: str) -> None:
        self._ledger = ledger
        self._by = by
        #: Up to where the journal must be durable before anything here is acknowledged.
        self.mark: Mark | None = None

    # -- tasks -----------------------------------------------------------------------------------

    def get(self, task_id: str) -> Entry:
        """Return a task as it is now; under the lock nobody but a claimer can move it."""
        return self._ledger.get(task_id)

    def add(self, task: Task, *, why: str = "added") -> None:
        """Put a new task into waiting/; raises `TransitionError` when the id was ever used."""
        layout, ledger = self._ledger.layout, self._ledger
        if ledger.find(task.id) is not None:
            raise TransitionError(f"the id {task.id} is taken", task=task.id)
        path = layout.task(Status.WAITING, task.id)
        path.parent.mkdir(exist_ok=True)
        ledger.marker.set(task=task.id, source=None, target=Status.WAITING.value, seq=task.seq)
        faults.point("ledger.add.marked")
        atomic.write_new(path, canonical(task), tmp=layout.tmp)
        faults.point("ledger.add.written")
        self._record(task, None, Status.WAITING, why=why)

    def move(
        self, task_id: str, target: Status, *, actor: Actor, why: str, **changes: Any
    ) -> Task:
        """Move a task along an arrow of the table, with *changes* to its document.

        Returns the task as it is afterwards. Raises `TransitionError` when there is no such arrow
        for *actor*, `StaleError` when a claimer took the task out of pending/ meanwhile.
        """
        entry = self._ledger.get(task_id)
        source = entry.status
        arrow = check(task_id, source, target)
        if actor not in arrow.actors:
            raise TransitionError(
                f"{actor.value} may not move {task_id} from {source.value} to {target.value}",
                task=task_id,
            )
        task = entry.task.next(**changes)
        self._ledger.marker.set(
            task=task_id, source=source.value, target=target.value, seq=task.seq
        )
        faults.point("ledger.move.marked")
        if source is Status.PENDING:
            self._rename_first(task, source, target)
        else:
            self._content_first(task, source, target)
        self._record(task, source, target, why=why)
        faults.point("ledger.move.journalled")
        return task

    def _paths(self, task_id: str, source: Status, target: Status) -> tuple[Path, Path]:
        layout = self._ledger.layout
        goal = layout.task(target, task_id)
        goal.parent.mkdir(exist_ok=True)
        return layout.task(source, task_id), goal

    def _rename_first(self, task: Task, source: Status, target: Status) -> None:
        # WFL-STATUS-011: a file in pending/ is never rewritten, or a task that a claimer has just
        # taken would come back; the rename is a race with claimers and may be lost.
        start, goal = self._paths(task.id, source, target)
        try:
            atomic.move(start, goal)
        except FileNotFoundError:
            self._ledger.marker.clear()
            raise StaleError(f"{task.id} was claimed meanwhile", task=task.id) from None
        faults.point("ledger.move.renamed")
        self._write(goal, task)
        faults.point("ledger.move.content-after")

    def _content_first(self, task: Task, source: Status, target: Status) -> None:
        start, goal = self._paths(task.id, source, target)
        self._write(start, task)
        faults.point("ledger.move.content-first")
        try:
            atomic.move(start, goal)
        except FileExistsError:
            raise LedgerDamagedError(
                f"{task.id} is in {source.value} and in {target.value}",
                hint="wfledger doctor --fix",
                task=task.id,
            ) from None
        faults.point("ledger.move.renamed")

    def update(self, task_id: str, *, why: str, **changes: Any) -> Task:
        """Change a task's document where it is; never one in pending/ (WFL-STATUS-011)."""
        entry = self._ledger.get(task_id)
        if entry.status is Status.PENDING:
            raise TransitionError(f"{task_id} is on offer and cannot be changed", task=task_id)
        task = entry.task.next(**changes)
        here = entry.status
        self._ledger.marker.set(task=task_id, source=here.value, target=here.value, seq=task.seq)
        faults.point("ledger.update.marked")
        self._write(self._ledger.layout.task(here, task_id), task)
        faults.point("ledger.update.written")
        self._record(task, here, here, why=why)
        return task

    def claim(self, task_id: str, record: ClaimRecord) -> Entry:
        """Take a task on offer: rename, then record the owner by exclusive creation.

        Returns the task as it is in in-progress/. Raises `StaleError` when the race was lost. The
        file itself is not rewritten; the owner is folded in by a later step (WFL-CLAIM-008).
        """
        self._ledger.marker.set(
            task=task_id, source=Status.PENDING.value, target=Status.IN_PROGRESS.value, seq=0
        )
        try:
            entry = take(self._ledger.layout, task_id, record)
        except StaleError:
            # Whoever won records it. A marker left here makes the next holder rotate the journal.
            self._ledger.marker.clear()
            raise
        facts = {"worker": record.worker, "machine": record.machine, "pid": record.pid}
        facts |= {"boot": record.boot, "token_sha256": record.token_sha256}
        self._append(
            {
                "kind": "claim", "task": task_id, "attempt": entry.task.attempt,
                "seq": entry.task.seq, "from": Status.PENDING.value,
                "to": Status.IN_PROGRESS.value, "by": self._by, "why": "claim", "claim": facts,
            }
        )
        return entry

    def _write(self, path: Path, task: Task) -> None:
        raw = canonical(task)
        if len(raw) > bounds.TASK_BYTES:
            raise InvalidDocumentError(
                f"{task.id} would be {len(raw)} bytes; at most {bounds.TASK_BYTES}", task=task.id
            )
        atomic.replace(path, raw, tmp=self._ledger.layout.tmp)

    # -- other documents -------------------------------------------------------------------------

    def put_run(self, run: Run, *, why: str) -> None:
        """Write a run's document."""
        self.put_file(self._ledger.layout.run(run.id), canonical(run), why=why)

    def put_result(self, result: Result) -> None:
        """Write an attempt's envelope; done before the task moves (WFL-RESULT-002)."""
        path = self._ledger.layout.result(result.task, result.attempt)
        self.put_file(path, canonical(result), why=f"result of {result.task}")

    def put_file(self, relative: str, raw: bytes, *, why: str) -> None:
        """Write a file of the ledger that is no task."""
        path = self._ledger.layout.root / relative
        path.parent.mkdir(exist_ok=True)
        self._ledger.marker.set(file=relative)
        faults.point("ledger.file.marked")
        atomic.replace(path, raw, tmp=self._ledger.layout.tmp)
        faults.point("ledger.file.written")
        self._record_file(relative, raw, why=why)

    def adopt_file(self, relative: str, *, why: str) -> None:
        """Bring a file that somebody edited by hand into the history as it is."""
        raw = atomic.read(self._ledger.layout.root / relative, limit=bounds.RUN_BYTES)
        self._record_file(relative, raw, why=why)

    def quarantine(self, path: Path, *, reason: str) -> Path:
        """Move what cannot be read out of the way, with the reason beside it; delete nothing."""
        layout = self._ledger.layout
        stem = f"{path.parent.name}.{path.name}"
        target = layout.root / "quarantine" / stem
        number = 0
        while os.path.lexists(target):
            number += 1
            target = layout.root / "quarantine" / f"{stem}.{number}"
        path.rename(target)
        note = f"quarantine/{target.name}.reason"
        text = {"from": str(path.relative_to(layout.root)), "reason": reason}
        self.put_file(note, json.dumps(text).encode() + b"\n", why="quarantine")
        return target

    # -- journal ---------------------------------------------------------------------------------

    def _record(self, task: Task, source: Status | None, target: Status, *, why: str) -> None:
        self._append(
            {
                "kind": "task", "task": task.id, "attempt": task.attempt, "seq": task.seq,
                "from": source.value if source else None, "to": target.value,
                "by": self._by, "why": why, "content": json.loads(canonical(task)),
            }
        )

    def _record_file(self, relative: str, raw: bytes, *, why: str) -> None:
        text = raw.decode("utf-8", "replace")
        self._append(
            {"kind": "file", "path": relative, "content": text, "by": self._by, "why": why}
        )

    def _append(self, record: dict[str, Any]) -> None:
        record["at"] = iso(self._ledger.clock.now())
        self.mark = self._ledger.journal.append(record)
        self._ledger.marker.clear()

    # -- recovery --------------------------------------------------------------------------------

    def finish_interrupted(self) -> None:
        """Complete or forget what an earlier holder of the lock was in the middle of."""
        begun = self._ledger.marker.get()
        if begun is None:
            return
        self._ledger.journal.rotate()  # a torn line may end the open file; nothing follows it
        if "file" in begun:
            self._finish_file(begun["file"])
        elif "task" in begun:
            self._finish_task(begun)
        self._ledger.marker.clear()

    def _finish_file(self, relative: str) -> None:
        if (self._ledger.layout.root / relative).exists():
            self.adopt_file(relative, why="finished after an interruption")

    def _finish_task(self, begun: dict[str, Any]) -> None:
        task_id, target = begun["task"], Status(begun["target"])
        source = Status(begun["source"]) if begun["source"] else None
        layout = self._ledger.layout
        goal = layout.task(target, task_id)
        why = "finished after an interruption"
        if source and source is not target and not goal.exists():
            start = layout.task(source, task_id)
            task = self._readable(start)
            if task is None or source is Status.PENDING or task.seq < begun["seq"]:
                return  # it never began
            goal.parent.mkdir(exist_ok=True)
            atomic.move(start, goal)
        task = self._readable(goal)
        if task is not None:
            self._record(task, source, target, why=why)

    def _readable(self, path: Path) -> Task | None:
        try:
            return parse(Task, atomic.read(path, limit=bounds.TASK_BYTES))
        except (FileNotFoundError, WfledgerError):
            return None

