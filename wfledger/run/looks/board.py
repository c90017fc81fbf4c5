"""What somebody who watches a fleet sees: runs, and the tasks that are not done, cheap to repeat.

A look takes no lock and changes nothing. As long as no folder of the ledger has changed, only what
attempts say of themselves is read again; of done tasks the names are counted, never opened.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.admission import lacking
from wfledger.core.documents import Run, Task
from wfledger.core.graph import Standing, is_halted, readiness
from wfledger.core.progress import progress
from wfledger.core.states import State
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line, listed
from wfledger.errors import WfledgerError
from wfledger.run.looks.costs import Costs, Share, spent_line
from wfledger.run.looks.doing import Doing, Watcher
from wfledger.run.looks.explain import since
from wfledger.run.looks.needs import need_of
from wfledger.run.looks.overview import offers_of, router_of
from wfledger.run.looks.remote import MachineRow, RemoteView, fleet, remote_view
from wfledger.run.looks.tally import failures
from wfledger.run.looks.view import View, run_verdict
from wfledger.run.money import breakers
from wfledger.run.money.breakers import Shut
from wfledger.run.money.caps import capped
from wfledger.run.pausing import Pause, pause_of
from wfledger.run.presence import driven, is_driven
from wfledger.run.pressure import pressure_of
from wfledger.run.promoting import admission, window_of
from wfledger.run.scheduler import Scheduler
from wfledger.run.slots import count_of
from wfledger.run.stuck import waiting_on_person
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry

#: What nobody works on, what waits for a person first.
_STILL: Final = (Status.BLOCKED, Status.PENDING, Status.WAITING, Status.CANCELLED)
_BUSY: Final = (Status.IN_PROGRESS, Status.MERGING)
#: Tasks that are told in full; of more, only the state.
_TOLD: Final = 500
#: A folder that changed this recently may have changed again within the same tick of its clock.
_TICK_S: Final = 0.1
_REASON: Final = 300
#: Tasks waited for that are named.
_NAMED: Final = 10


@dataclass(frozen=True)
class Row:
    """One task."""

    task: str
    run: str
    status: Status
    state: State
    #: What it does, or what it waits for.
    text: str = ""
    #: Since when (UTC, ISO 8601).
    since: str | None = None
    worker: str | None = None
    role: str | None = None
    attempt: int = 0
    #: Seconds since its last output.
    quiet_s: float | None = None
    #: Lifts its block.
    command: str | None = None
    #: Which agent or model was at it, and what that cost; empty where none was.
    cost: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `watch --json` prints."""
        return {
            "task": self.task, "run": self.run, "status": self.status.value,
            "state": self.state.value, "attempt": self.attempt, "worker": self.worker,
            "role": self.role, "since": self.since, "text": self.text, "command": self.command,
            "cost": self.cost or None,
        }  # fmt: skip


@dataclass(frozen=True)
class RunRow:
    """One run."""

    run: str
    title: str
    #: Its verdict; of a run that is not open, its state.
    state: str
    done: int
    total: int
    failures: dict[str, int] = field(default_factory=dict)
    #: Whether it could go on and nobody drives it.
    is_idle: bool = False
    #: What it has used; empty where it has no agents and models.
    cost: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `watch --json` prints."""
        return {
            "run": self.run, "title": self.title, "state": self.state, "done": self.done,
            "total": self.total, "failures": self.failures, "idle": self.is_idle,
            "cost": self.cost or None,
        }  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One look."""

    at: datetime
    runs: tuple[RunRow, ...] = ()
    rows: tuple[Row, ...] = ()
    done: frozenset[str] = frozenset()
    pause: Pause | None = None
    #: What this machine has too little of to start anything; None when it has enough.
    short_of: str | None = None
    #: Providers of models on which nothing new is started here.
    shut: tuple[Shut, ...] = ()
    #: Which agent or model has used what.
    shares: tuple[Share, ...] = ()
    #: Where other machines share the ledger: how this one stands with the remote, and all of them.
    remote: RemoteView | None = None
    machines: tuple[MachineRow, ...] = ()


@dataclass
class _Known:
    """What was worked out from the ledger's folders as they were."""

    mark: object
    view: View
    standings: Mapping[str, Standing]
    runs: tuple[RunRow, ...]
    #: Tasks that nobody works on.
    still: tuple[Row, ...]
    pause: Pause | None


class Board:
    """Looks again and again at one run, or at all that have not landed."""

    def __init__(self, workspace: Workspace, run_id: str | None = None) -> None:
        self._workspace = workspace
        self._run_id = run_id
        self._scheduler = Scheduler(workspace)
        self._runs: dict[str, tuple[tuple[int, int, int], Run]] = {}
        self._known: _Known | None = None

    def look(self) -> Picture:
        """Return how things stand."""
        mark = self._mark()
        known = self._known
        if known is None or mark is None or known.mark != mark:
            known = self._known = self._work_out(mark)
        costs = Costs(self._workspace)
        doings: list[Doing] = []
        rows = (*self._busy(known, doings), *known.still)
        rows = tuple(replace(row, cost=cost) if (cost := costs.task(row.task)) else row
                     for row in rows)  # fmt: skip
        busy = [row for row in rows if row.status in _BUSY]
        drivers = driven(self._workspace) | {
            row.run for row in busy if row.state is not State.STALE
        }
        runs = tuple(
            replace(run, is_idle=run.state == "running" and not is_driven(run.run, drivers),
                    cost=spent_line(spent) if (spent := costs.of_run(run.run)) else "")
            for run in known.runs
        )
        now = self._workspace.clock.now()
        return Picture(
            now, runs, rows, known.view.done, known.pause,
            pressure_of(self._workspace), tuple(breakers.shut(self._workspace).values()),
            costs.shares(self._run_id), remote_view(self._workspace),
            fleet(self._workspace, doings),
        )  # fmt: skip

    # -- from the folders ------------------------------------------------------------------------

    def _mark(self) -> tuple[tuple[str, int], ...] | None:
        """Return what changes with every change of the ledger; None when that is not certain."""
        layout = self._workspace.ledger.layout
        folders = [layout.root, layout.root / "runs", layout.local / "index"]
        folders.append(layout.local / breakers.FOLDER)
        for status in Status:
            folders.append(layout.folder(status))
            folders += layout.folder(status).glob("*/") if status.is_cold else ()
        found = []
        for folder in folders:
            with suppress(FileNotFoundError):
                found.append((str(folder), folder.stat().st_mtime_ns))
        latest = max((changed for _, changed in found), default=0)
        age_s = self._workspace.clock.now().timestamp() - latest / 1e9
        return tuple(found) if age_s > _TICK_S else None

    def _work_out(self, mark: object) -> _Known:
        workspace = self._workspace
        runs = self._open_runs()
        view = self._scheduler.look(runs)
        pause = pause_of(workspace)
        stuck = waiting_on_person(
            view, runs, pause=pause, offers=offers_of(workspace), router=router_of(workspace),
            over_budget=capped(workspace, view.tasks[Status.WAITING]),
        )  # fmt: skip
        failed = failures(workspace, view.documents())
        lines = tuple(
            self._run_row(view, run, stuck, failed=failed.get(run.id, {})) for run in runs
        )
        standings = view.standings()
        still = tuple(self._still(view, runs, standings))
        return _Known(mark, view, standings, lines, still, pause)

    def _open_runs(self) -> list[Run]:
        """Return the runs to show; a document that has not changed is not read again."""
        folder = self._workspace.ledger.layout.root / "runs"
        known: dict[str, tuple[tuple[int, int, int], Run]] = {}
        for path in folder.glob("*.json"):
            with suppress(OSError, ValueError, WfledgerError):
                known[path.name] = self._read(path)
        self._runs = known
        wanted = [
            run for _, run in known.values()
            if run.id == self._run_id or (self._run_id is None and run.state != "landed")
        ]
        return sorted(wanted, key=lambda run: (run.created, run.id))

    def _read(self, path: Path) -> tuple[tuple[int, int, int], Run]:
        facts = path.stat()
        key = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        known = self._runs.get(path.name)
        if known is not None and known[0] == key:
            return known
        return key, self._workspace.ledger.run(path.stem)

    def _run_row(
        self, view: View, run: Run, stuck: frozenset[str], *, failed: dict[str, int]
    ) -> RunRow:
        found = run_verdict(view, run, waiting_on_person=stuck)
        state = found.state if run.state == "open" else run.state
        title = clean_line(run.name or run.goal, _REASON)
        return RunRow(run.id, title, state, found.done, found.total, failed)

    def _still(
        self, view: View, runs: Sequence[Run], standings: Mapping[str, Standing]
    ) -> Iterator[Row]:
        waits = _Waits(self._workspace, view, runs, standings)
        watcher, told = Watcher(self._workspace), 0
        shown = {run.id for run in runs}
        for status in _STILL:
            for task in view.tasks[status]:
                # One that moved while we looked is in two folders; the later one counts.
                if task.run not in shown or standings[task.id].status is not status:
                    continue
                told += 1
                row = Row(
                    task.id, task.run, status, watcher.state(task, status), attempt=task.attempt
                )
                yield self._told(row, task, waits) if told <= _TOLD else row

    def _told(self, row: Row, task: Task, waits: "_Waits") -> Row:
        at = since(self._workspace, Entry(task, row.status))
        if row.status is Status.BLOCKED:
            need = need_of(task)
            said = "" if need.reason.startswith(need.code) else f"{need.code}: "
            text = clean_line(said + need.reason, _REASON)
            return replace(row, text=text, since=at, command=need.command)
        if row.status is Status.PENDING:
            manual = task.spec.manual
            said = "for people: nobody has taken it" if manual else "on offer"
            command = f"wfledger claim {task.id}" if manual else None
            return replace(row, text=said, since=at, command=command)
        text = waits.reason(task) if row.status is Status.WAITING else "given up"
        return replace(row, text=clean_line(text, _REASON), since=at)

    # -- from what attempts say ------------------------------------------------------------------

    def _busy(self, known: _Known, doings: list[Doing]) -> Iterator[Row]:
        """Yield a row for each task that is claimed or handed in, and note what it does."""
        watcher = Watcher(self._workspace)
        shown = {run.run for run in known.runs}
        for status in _BUSY:
            for task in known.view.tasks[status]:
                if task.run not in shown or known.standings[task.id].status is not status:
                    continue
                one = watcher.look(task, status)
                doings.append(one)
                at = one.since or since(self._workspace, Entry(task, status))
                yield Row(
                    task.id, task.run, status, one.state, clean_line(one.text, _REASON), at,
                    worker=one.worker, role=one.role, attempt=task.attempt, quiet_s=one.quiet_s,
                )  # fmt: skip


class _Waits:
    """Why waiting tasks wait, in a few words; `why` says it in full."""

    def __init__(
        self, workspace: Workspace, view: View, runs: Iterable[Run],
        standings: Mapping[str, Standing],
    ) -> None:  # fmt: skip
        self._workspace = workspace
        self._view = view
        self._runs = {run.id: run for run in runs}
        self._standings = standings
        self._pause = pause_of(workspace)
        self._offers = offers_of(workspace)
        self._now = workspace.clock.now()
        self._admitted: dict[str, str] | None = None

    def reason(self, task: Task) -> str:
        """Return what *task* waits for."""
        run = self._runs.get(task.run)
        if self._pause is not None:
            return f"dispatch is paused: {self._pause.reason}"
        if run is None or is_halted(task, run.state):
            return f"its run is {run.state if run else 'unknown'}"
        if task.accepted is None and (said := self._before(task)) is not None:
            return said
        missing = lacking(task, self._offers)
        if missing and task.accepted is None:
            return f"no worker offers {', '.join(missing)}"
        if not self._is_due(task) and task.hold is not None:
            return f"tries again at {(task.hold.until or '')[11:19]} UTC: {task.hold.reason}"
        return self._obstacle(task)

    def _before(self, task: Task) -> str | None:
        """Return what has to end before *task*, and how far a controller has come."""
        found, said = readiness(task, self._standings), progress(task.spec, task.control)
        if found.kind == "ready":
            return f"{said}: it decides at the next pass" if said else None
        return f"{said}: {self._after(found.on)}" if said else self._after(found.on)

    def _after(self, names: Sequence[str]) -> str:
        return f"after {listed([self._short(name) for name in names], _NAMED)}"

    def _short(self, name: str) -> str:
        standing = self._standings.get(name)
        node = name.partition(".")[2] or name
        return f"{node} ({standing.status.value})" if standing else node

    def _is_due(self, task: Task) -> bool:
        return outcome.is_due(task.hold, now=self._now, longest_s=task.spec.retry.backoff_max_s)

    def _obstacle(self, task: Task) -> str:
        if self._admitted is None:
            workspace = self._workspace
            decided = admission(
                workspace, self._view, self._runs.values(), workspace.policy(),
                tasks=self._ready(), window=window_of(count_of(workspace)),
            )  # fmt: skip
            self._admitted = {name: str(obstacle) for name, obstacle in decided.waits.items()}
        return self._admitted.get(task.id, "its turn comes at the next pass")

    def _ready(self) -> list[Task]:
        waiting = self._view.tasks[Status.WAITING][:_TOLD]
        return [
            task
            for task in waiting
            if (task.spec.control is None or task.accepted)
            and (task.accepted or readiness(task, self._standings).kind == "ready")
            and self._is_due(task)
        ]


def age_s(moment: str | None, now: datetime) -> float | None:
    """Return the seconds since *moment* (ISO 8601); None where that is not known."""
    if moment is None:
        return None
    with suppress(ValueError):
        return max((now - datetime.fromisoformat(moment)).total_seconds(), 0.0)
    return None


def changes(before: Picture, after: Picture) -> Iterator[dict[str, Any]]:
    """Yield an event for each run and task that is not as it was; for programs."""
    at = iso(after.at.astimezone(UTC))
    known = {run.run: run for run in before.runs}
    for run in after.runs:
        if known.get(run.run) != run:
            yield {"at": at, "event": "run", **run.as_json()}
    seen = {row.task: replace(row, quiet_s=None) for row in before.rows}
    for row in after.rows:
        if seen.pop(row.task, None) != replace(row, quiet_s=None):
            yield {"at": at, "event": "task", **row.as_json()}
    for task_id, row in seen.items():
        if task_id in after.done:
            done = replace(row, status=Status.DONE, state=State.COMPLETED, text="", since=at)
            yield {"at": at, "event": "task", **done.as_json()}
