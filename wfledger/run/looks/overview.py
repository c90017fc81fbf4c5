"""`status`: how many tasks stand where, what each run has come to, who works, who is waited for.

Counting opens no task; documents are read of what is in progress or blocked, and for the verdicts
on runs as long as there are not too many. What was not looked at is None, never 0.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.clock import iso
from wfledger.core.documents import Run
from wfledger.core.graph import Verdict
from wfledger.core.states import State
from wfledger.core.statuses import Status
from wfledger.core.tally import total
from wfledger.core.usage import Spent
from wfledger.errors import InvalidDocumentError, WfledgerError
from wfledger.run.hub.machines import offered
from wfledger.run.looks.costs import Costs, Share, usage_json
from wfledger.run.looks.doing import Doing, working
from wfledger.run.looks.explain import since
from wfledger.run.looks.needs import Need, needs, obstacles
from wfledger.run.looks.remote import MachineRow, RemoteView, fleet, remote_view
from wfledger.run.looks.tally import failures
from wfledger.run.looks.view import View, run_verdict
from wfledger.run.merger.verifiers import is_verifier
from wfledger.run.money import breakers
from wfledger.run.money.breakers import Shut
from wfledger.run.money.caps import capped
from wfledger.run.pausing import pause_of
from wfledger.run.presence import driven, is_driven
from wfledger.run.pressure import pressure_of
from wfledger.run.refnames import HEADS
from wfledger.run.scheduler import Scheduler
from wfledger.run.stuck import waiting_on_person
from wfledger.run.workers.routing import Router
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.store.layout import run_of
from wfledger.store.quarantined import quarantined

#: Open tasks up to which verdicts are worked out; a moment's reading.
VERDICTS_UP_TO: Final = 1_000


@dataclass(frozen=True)
class RunLine:
    """One run in the overview."""

    run: Run
    counts: dict[str, int]
    #: None where it was not worked out.
    found: Verdict | None
    #: Whether anybody on this machine drives it, or works on a task of it.
    is_driven: bool = False
    #: Failed attempts of its tasks, by where that came from.
    failures: dict[str, int] = field(default_factory=dict)
    #: What it has used; None where it has no agents and models.
    spent: Spent | None = None
    shares: tuple[Share, ...] = ()

    @property
    def verdict(self) -> str | None:
        """What it has come to; None where it was not worked out."""
        return self.found.state if self.found is not None else None

    @property
    def is_idle(self) -> bool:
        """Whether it could go on and nobody is there who would."""
        return self.run.state == "open" and self.verdict == "running" and not self.is_driven

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
            "coverage": self.found.coverage() if self.found is not None else None,
            "driven": self.is_driven,
            "failures": total([self.failures]),
            "created": self.run.created,
            "branch": self.run.branch.removeprefix(HEADS),
            "target": self.run.target.removeprefix(HEADS),
            "reuses": list(self.run.reuses),
            "counts": self.counts,
            "total": self.total,
            "usage": usage_json(self.spent, self.shares),
        }


@dataclass(frozen=True)
class Working:
    """Somebody at work; *since* is when he took the task."""

    doing: Doing
    since: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `status --json` prints."""
        one = self.doing
        return {
            "task": one.task.id, "worker": one.worker, "since": self.since, **one.as_json(),
        }  # fmt: skip


@dataclass(frozen=True)
class Overview:
    """A ledger, or one run of it, at a glance."""

    counts: dict[str, int]
    runs: tuple[RunLine, ...]
    working: tuple[Working, ...]
    needs: tuple[Need, ...]
    paused: str | None
    #: What this machine has too little of to start anything; None when it has enough.
    short_of: str | None
    #: Providers of models on which nothing new is started here.
    shut: tuple[Shut, ...]
    #: Number of files in quarantine/.
    quarantined: int
    at: str
    #: Which agent or model has used what, of all that is looked at.
    shares: tuple[Share, ...] = ()
    #: Where other machines share the ledger: how this one stands with the remote, and all of them.
    remote: RemoteView | None = None
    machines: tuple[MachineRow, ...] = ()
    #: The command that lets go on what is paused; None where nothing is.
    resumes: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `status --json` prints; the counts sum to the total."""
        return {
            "counts": self.counts,
            "total": sum(self.counts.values()),
            "runs": [line.as_json() for line in self.runs],
            "working": [one.as_json() for one in self.working],
            "needs": [need.as_json() for need in self.needs],
            "failures": total(line.failures for line in self.runs),
            "paused": self.paused,
            "resumes": self.resumes,
            "short_of": self.short_of,
            "providers": [one.as_json() for one in self.shut],
            "quarantined": self.quarantined,
            "at": self.at,
            "usage": [share.as_json() for share in self.shares],
            "remote": self.remote and {
                **self.remote.as_json(), "machines": [one.as_json() for one in self.machines],
            },
        }  # fmt: skip


def overview(workspace: Workspace, run: Run | None = None) -> Overview:
    """Look at the whole ledger, or at one run; changes nothing."""
    ledger = workspace.ledger
    names = {s: ledger.names(s, run=run.id if run else None) for s in Status}
    runs = [run] if run else ledger.runs()
    pause = pause_of(workspace)
    at_work = tuple(
        Working(one, since(workspace, Entry(one.task, one.status)))
        for one in working(workspace, run.id if run else None)
    )
    busy = frozenset(one.doing.task.run for one in at_work if one.doing.state is not State.STALE)
    lines = _lines(workspace, runs, names, busy | driven(workspace))
    waiting = [line.run.id for line in lines if line.verdict == "waits" and pause is None]
    return Overview(
        counts={status.value: len(found) for status, found in names.items()},
        runs=lines,
        working=at_work,
        needs=(
            *needs(workspace, run.id if run else None),
            *_obstacles(workspace, waiting),
        ),
        paused=pause.reason if pause else None,
        resumes=pause.command if pause else None,
        short_of=pressure_of(workspace),
        shut=tuple(breakers.shut(workspace).values()),
        quarantined=len(quarantined(ledger.layout)),
        at=iso(workspace.clock.now()),
        shares=Costs(workspace).shares(run.id if run else None),
        remote=remote_view(workspace),
        machines=fleet(workspace, (one.doing for one in at_work)),
    )


def _obstacles(workspace: Workspace, runs: Sequence[str]) -> Sequence[Need]:
    """Return what else keeps *runs* waiting; nothing where fleet.toml is broken."""
    try:
        return [need for run_id in runs for need in obstacles(workspace, run_id)]
    except InvalidDocumentError:
        return []


def _lines(
    workspace: Workspace, runs: Sequence[Run], names: dict[Status, list[str]],
    drivers: frozenset[str],
) -> tuple[RunLine, ...]:  # fmt: skip
    own = {
        status: [name for name in found if not is_verifier(workspace, status, name)]
        for status, found in names.items()
    }
    counted = {status: Counter(map(run_of, found)) for status, found in own.items()}
    still = sum(len(found) for status, found in names.items() if not status.is_final)
    view = Scheduler(workspace).look(runs) if still <= VERDICTS_UP_TO else None
    verdicts = _verdicts(workspace, runs, view) if view else {}
    read = view.documents() if view else workspace.ledger.tasks(Status.BLOCKED)
    failed, costs = failures(workspace, read), Costs(workspace)
    return tuple(
        RunLine(
            run, {s.value: counted[s][run.id] for s in Status}, verdicts.get(run.id),
            is_driven(run.id, drivers), failed.get(run.id, {}), costs.of_run(run.id),
            costs.shares(run.id),
        )
        for run in runs
    )


def _verdicts(workspace: Workspace, runs: Sequence[Run], view: View) -> dict[str, Verdict]:
    stuck = waiting_on_person(
        view, runs, pause=pause_of(workspace), offers=offers_of(workspace),
        router=router_of(workspace), over_budget=capped(workspace, view.tasks[Status.WAITING]),
    )
    return {run.id: run_verdict(view, run, waiting_on_person=stuck) for run in runs}


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


def router_of(workspace: Workspace) -> Router | None:
    """Return what says where tasks go; None where fleet.toml is broken, as for `offers_of`."""
    try:
        return Router(workspace, workspace.fleet())
    except InvalidDocumentError:
        return None


def offers_of(workspace: Workspace) -> frozenset[str]:
    """Return what workers can do, on all machines; a broken fleet.toml stops only who acts."""
    try:
        here = workspace.fleet().offers
    except InvalidDocumentError:
        here = frozenset()
    return here | offered(workspace)
