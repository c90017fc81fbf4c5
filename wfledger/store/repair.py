"""Putting right what `inspect` found and what needs no decision (`doctor --fix`).

Works under the ledger lock and through a transaction only, so each step survives a kill, is in the
journal, and the whole comes to the same end when it is done again (WFL-REC-001). Nothing is
deleted but our own temporary files of dead processes (WFL-REC-002).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from wfledger import faults
from wfledger.core.statuses import Actor, Status
from wfledger.store import atomic, folders, journal
from wfledger.store.evidence import Committed, Evidence, gather
from wfledger.store.inspect import Finding, inspect
from wfledger.store.ledger import Ledger
from wfledger.store.settling import Origin, Settled
from wfledger.store.survey import Stray
from wfledger.store.transaction import Transaction

faults.register("repair.claim-recorded", "repair.journal-copied")

#: Looks after which repairing stops; one repair may lay bare what the next look finds.
_ROUNDS: Final = 4


def repair(
    ledger: Ledger,
    findings: Iterable[Finding] | None = None,
    *,
    committed: Committed | None = None,
    by: str = "doctor",
) -> list[Finding]:
    """Repair *findings*, or everything that can be; durable on return.

    The ledger is looked at anew under the lock: what is not so any more is left alone. Returns
    what was repaired. A ledger whose folders are gone is for `rebuild.redo`.
    """
    wanted = None if findings is None else {finding.subject for finding in findings}
    done: list[Finding] = []
    if folders.missing(ledger.layout):
        before = inspect(ledger, committed=committed)
        done = [item for item in before if item.code in {"missing-folder", "missing-keep"}]
        folders.create(ledger.layout)  # the lock needs its own folder first
    with ledger.transaction(by) as changes:
        for _ in range(_ROUNDS):
            found = inspect(ledger, committed=committed)
            tried = set(done)
            todo = [item for item in found if item.repair and item not in tried]
            todo = [item for item in todo if wanted is None or item.subject in wanted]
            if not todo:
                break
            surgeon = _Surgeon(changes, gather(ledger, committed=committed))
            for finding in todo:
                surgeon.treat(finding)
            done += todo
    return done


@dataclass
class _Surgeon:
    """One round of repairs from one look."""

    changes: Transaction
    evidence: Evidence

    @cached_property
    def _known(self) -> set[str]:
        return self.evidence.survey.ids() | set(self.evidence.replay.tasks)

    def treat(self, finding: Finding) -> None:
        """Do what the finding's `repair` says."""
        treatments: dict[str, Callable[[Finding], None]] = {
            "missing-folder": self._make_folders,
            "missing-keep": self._make_folders,
            "journal-damaged": self._salvage,
            "leftover": self._remove_temporary,
            "taken-back": self._return,
            "missing-document": self._rewrite,
            "unreadable-document": self._rewrite,
            "unsubmitted": self._cancel,
        }
        treatment = treatments.get(finding.code)
        if treatment is not None:
            treatment(finding)
        elif finding.subject in self._known:
            self._settle(finding.subject)
        else:
            self._of_path(finding)

    def _make_folders(self, _: Finding) -> None:
        folders.create(self.changes.ledger.layout)

    def _remove_temporary(self, finding: Finding) -> None:
        (self.changes.ledger.layout.tmp / finding.subject).unlink(missing_ok=True)

    def _return(self, finding: Finding) -> None:
        self.changes.move(
            finding.subject, Status.WAITING, actor=Actor.FINDER, why="claim taken back", claim=None
        )

    def _cancel(self, finding: Finding) -> None:
        for task_id in self.evidence.waiting_of(Path(finding.subject).stem):
            self.changes.move(
                task_id, Status.CANCELLED, actor=Actor.PERSON, why="its run was not submitted whole"
            )

    def _rewrite(self, finding: Finding) -> None:
        layout = self.changes.ledger.layout
        path = layout.root / finding.subject
        raw = self.evidence.content(finding.subject)
        if finding.code == "unreadable-document":
            self.changes.quarantine(path, reason=finding.message, forget=raw is None)
        if raw is not None:
            self.changes.put_file(finding.subject, raw, why="written anew")

    def _salvage(self, finding: Finding) -> None:
        source = self.changes.ledger.journal
        source.rotate()
        path = (self.changes.ledger.layout.journal / finding.subject).with_suffix(journal.CLOSED)
        records, _ = journal.salvage(path)
        layout = self.changes.ledger.layout
        copy = layout.root / "quarantine" / f"journal.{path.name}"
        atomic.replace(copy, path.read_bytes(), tmp=layout.tmp)
        faults.point("repair.journal-copied")
        whole = b"".join(journal.encode(record) for record in records)
        atomic.replace(path, whole, tmp=layout.tmp)

    def _of_path(self, finding: Finding) -> None:
        """Treat a name in a status folder, or a task that only the branch has."""
        for stray in self.evidence.survey.strays:
            if stray.path.relative_to(self.evidence.layout.root).as_posix() == finding.subject:
                discard(self.changes, self.evidence, stray)
                self._settle(stray.task_id)
                return
        stem = Path(finding.subject).name.removesuffix(".json")
        self._settle(stem)

    def _settle(self, task_id: str | None) -> None:
        if task_id is None:
            return
        self.evidence.look_again(task_id)
        settled = self.evidence.settled(task_id)
        if settled is not None:
            mend(self.changes, self.evidence, settled)
            return
        for copy in self.evidence.survey.copies.get(task_id, []):
            self.changes.quarantine(copy.path, reason="two files of one number, and no record")


def discard(changes: Transaction, evidence: Evidence, stray: Stray) -> None:
    """Bring a name that is no task file to quarantine/."""
    is_known = stray.task_id is not None and evidence.settled(stray.task_id) is not None
    reason = f"{stray.code}: {stray.reason}"
    changes.quarantine(stray.path, reason=reason, forget=not is_known)


def mend(changes: Transaction, evidence: Evidence, settled: Settled) -> bool:
    """Bring one task to where it belongs; False when there was nothing to do."""
    layout = changes.ledger.layout
    for loser in settled.losers:
        if loser.path.exists():
            changes.quarantine(loser.path, reason=f"not the truth, by the {settled.origin}")
    _record_claim(changes, evidence, settled)
    is_sound = settled.is_sound(layout)
    if settled.origin is Origin.DIRECTORY:
        return _mend_from_directory(changes, settled) or bool(settled.losers)
    keep = settled.keep
    if is_sound and keep is not None and keep.status is settled.status:
        return bool(settled.losers)
    is_told = settled.record is not None and settled.record.status is settled.status
    changes.restore(
        settled.task, settled.status, source=keep.status if keep else None,
        why=None if is_told else "adopted",
    )
    return True


def _mend_from_directory(changes: Transaction, settled: Settled) -> bool:
    layout, keep, record = changes.ledger.layout, settled.keep, settled.record
    if keep is None:
        return False
    goal = layout.task(settled.status, settled.task.id)
    if keep.path != goal:
        goal.parent.mkdir(exist_ok=True)
        atomic.move(keep.path, goal)
    if record is not None and (record.status, record.task) == (settled.status, settled.task):
        return keep.path != goal
    source = record.status if record else None
    owner = changes.ledger.claim_record(settled.task.id, settled.task.attempt)
    if (source, settled.status) == (Status.PENDING, Status.IN_PROGRESS) and owner is not None:
        changes.record_claim(settled.task, owner, why="adopted")
    else:
        changes.record_task(settled.task, source, settled.status, why="adopted")
    return True


def _record_claim(changes: Transaction, evidence: Evidence, settled: Settled) -> None:
    """Create the claim record anew that the journal has and the folder lost."""
    task = settled.task
    known = evidence.replay.claims.get((task.id, task.attempt))
    if known is None or settled.status is not Status.IN_PROGRESS:
        return
    try:
        atomic.create(changes.ledger.layout.claim(task.id, task.attempt), known.to_bytes())
    except FileExistsError:
        return
    faults.point("repair.claim-recorded")
