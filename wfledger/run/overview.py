"""`status`: how many tasks stand where, what each run has come to, who works, who is waited for.

Counting opens no task; documents are read of what is in progress or blocked, and for the verdicts
on runs as long as there are not too many. What was not looked at is None, never 0.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.documents import Run, Task
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError, WfledgerError
from wfledger.run.explain import since
from wfledger.run.needs import Need, needs
from wfledger.run.pausing import pause_of
from wfledger.run.refnames import HEADS
from wfledger.run.scheduler import Scheduler, waiting_on_person
from wfledger.run.view import run_verdict
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.store.layout import run_of

#: Open tasks up to which verdicts are worked out; a moment's reading.
VERDICTS_UP_TO: Final = 1_000
#: Where a failure may come from, in the order of a task's life.
SOURCES: Final = ("transport", "task", "verification", "merge", "runtime")


@dataclass(frozen=True)
class RunLine:
    """One run in the overview."""

    run: Run
    counts: dict[str, int]
    #: None where it was not worked out.
    verdict: str | None

    @property
    def total(self) -> int:
        """Number of its tasks."""
        return sum(self.counts.values())

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `status --json` prints."""
        return {
            "id": self.run.id,
            "name": self.run.name,
            "goal": self.run.goal,
            "state": self.run.state,
            "verdict": self.verdict,
            "created": self.run.created,
            "branch": self.run.branch.removeprefix(HEADS),
            "target": self.run.target.removeprefix(HEADS),
            "counts": self.counts,
            "total": self.total,
        }


@dataclass(frozen=True)
class Working:
    """Somebody at work."""

    task: str
    worker: str | None
    since: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `status --json` prints."""
        return {"task": self.task, "worker": self.worker, "since": self.since}


@dataclass(frozen=True)
class Overview:
    """A ledger, or one run of it, at a glance."""

    counts: dict[str, int]
    runs: tuple[RunLine, ...]
    working: tuple[Working, ...]
    needs: tuple[Need, ...]
    #: Blocked tasks by where their failure came from.
    failures: dict[str, int]
    paused: str | None
    at: str

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `status --json` prints; the counts sum to the total."""
        return {
            "counts": self.counts,
            "total": sum(self.counts.values()),
            "runs": [line.as_json() for line in self.runs],
            "working": [one.as_json() for one in self.working],
            "needs": [need.as_json() for need in self.needs],
            "failures": self.failures,
            "paused": self.paused,
            "at": self.at,
        }


def overview(workspace: Workspace, run: Run | None = None) -> Overview:
    """Look at the whole ledger, or at one run; changes nothing."""
    ledger = workspace.ledger
    names = {s: ledger.names(s, run=run.id if run else None) for s in Status}
    runs = [run] if run else ledger.runs()
    blocked = ledger.tasks(Status.BLOCKED, run=run.id if run else None)
    pause = pause_of(workspace)
    return Overview(
        counts={status.value: len(found) for status, found in names.items()},
        runs=_lines(workspace, runs, names),
        working=tuple(_working(workspace, task_id) for task_id in names[Status.IN_PROGRESS]),
        needs=needs(workspace, run.id if run else None),
        failures=_failures(blocked),
        paused=pause.reason if pause else None,
        at=iso(workspace.clock.now()),
    )


def _lines(
    workspace: Workspace, runs: Sequence[Run], names: dict[Status, list[str]]
) -> tuple[RunLine, ...]:
    counted = {status: Counter(map(run_of, found)) for status, found in names.items()}
    still = sum(len(found) for status, found in names.items() if not status.is_final)
    verdicts = _verdicts(workspace, runs) if still <= VERDICTS_UP_TO else {}
    return tuple(
        RunLine(run, {s.value: counted[s][run.id] for s in Status}, verdicts.get(run.id))
        for run in runs
    )


def _verdicts(workspace: Workspace, runs: Sequence[Run]) -> dict[str, str]:
    view = Scheduler(workspace).look(runs)
    paused = pause_of(workspace) is not None
    offers = _offers(workspace)
    stuck = waiting_on_person(view, runs, paused=paused, offers=offers)
    return {run.id: run_verdict(view, run, waiting_on_person=stuck).state for run in runs}


def _working(workspace: Workspace, task_id: str) -> Working:
    entry = workspace.ledger.find(task_id)
    if entry is None or entry.status is not Status.IN_PROGRESS:
        return Working(task_id, None, None)  # it has just moved on
    record = workspace.ledger.claim_record(task_id, entry.task.attempt)
    return Working(task_id, record.worker if record else None, since(workspace, entry))


def _failures(blocked: Sequence[Task]) -> dict[str, int]:
    found = Counter(source for task in blocked if (source := source_of(task)) is not None)
    return {source: found[source] for source in SOURCES}


def source_of(task: Task) -> str | None:
    """Return where a blocked task's failure came from; None for what is no failure of its own."""
    code = task.block.code if task.block else ""
    if code == "exhausted" and task.attempts:
        code = task.attempts[-1].outcome
    return None if code == "question" else outcome.SOURCES.get(code)


def page(
    workspace: Workspace, *, statuses: Sequence[Status], run: str | None, limit: int, after: str
) -> tuple[list[Entry], str | None]:
    """Return at most *limit* tasks in the order of ids, beginning after the id *after*.

    With them comes the id to go on after, None at the end. Only what is returned is read; what is
    no task is left to `doctor`.
    """
    ledger = workspace.ledger
    names = sorted({name for s in statuses for name in ledger.names(s, run=run) if name > after})
    entries: list[Entry] = []
    for name in names:
        if len(entries) == limit:
            return entries, entries[-1].task.id
        with suppress(WfledgerError, ValueError):
            entry = ledger.find(name)
            if entry is not None and entry.status in statuses:
                entries.append(entry)
    return entries, None


def _offers(workspace: Workspace) -> frozenset[str]:
    """Return what workers here can do; a broken fleet.toml stops who acts, not who looks."""
    try:
        return workspace.fleet().offers
    except InvalidDocumentError:
        return frozenset()
