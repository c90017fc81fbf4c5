"""The scheduler's step: fold claims in, settle dependencies, withdraw, promote.

Any process may do it; it re-reads the ledger each time and decides by `core.admission`. What it
changes it looks at again under the lock. Nothing here starts or ends a process.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Final

from wfledger.core.documents import Run, Task
from wfledger.core.statuses import Status
from wfledger.errors import LedgerDamagedError
from wfledger.run.byhand.editing import adopt_edits
from wfledger.run.delivering import Deliveries
from wfledger.run.guard import vouching
from wfledger.run.liveness import Observations
from wfledger.run.looks.view import Cache, View
from wfledger.run.money.caps import capped
from wfledger.run.pausing import alarm_of, pause_of
from wfledger.run.promoting import HOT, Promoter, Ready
from wfledger.run.settling import Pass
from wfledger.run.step import Step
from wfledger.run.stuck import waiting_on_person
from wfledger.run.workers.routing import Router
from wfledger.run.workspace import Workspace

if TYPE_CHECKING:
    from wfledger.run.byhand.adopting import Adopter
    from wfledger.run.reuse.taking import Reuser

_BY: Final = "scheduler"


class Scheduler:
    """Steps over one ledger, with the documents that it has parsed already."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._cache = Cache()
        self._deliveries = Deliveries(workspace.ledger)

    @cached_property
    def _adopter(self) -> "Adopter":
        from wfledger.run.byhand.adopting import Adopter  # verbs that only look open no git

        return Adopter(self._workspace)

    @cached_property
    def _reuser(self) -> "Reuser":
        from wfledger.run.reuse.taking import Reuser  # verbs that only look open no git

        return Reuser(self._workspace)

    def take_in(self) -> tuple[tuple[str, str], ...]:
        """Take in what was done by files since the last look (WFL-CLAIM-053); see `Adopter`.

        It waits where the history that tells it was moved by a worker (WFL-REC-032).
        """
        try:
            return tuple(self._adopter.step())
        except LedgerDamagedError:
            busy = self._workspace.ledger.names(Status.IN_PROGRESS)
            if alarm_of(self._workspace) is None and not busy:
                raise
            return ()

    def look(self, runs: Iterable[Run] | None = None) -> View:
        """Return where tasks of the open runs stand."""
        ledger = self._workspace.ledger
        return View.load(ledger, self.open_runs() if runs is None else runs, self._cache)

    def tasks(self, status: Status, *, run: str | None) -> list[Task]:
        """Return the readable tasks of a folder as they are now, of one run or of all."""
        return list(self._cache.tasks(self._workspace.ledger, status, run=run))

    def open_runs(self, also: str | None = None) -> list[Run]:
        """Return the runs that are not landed, and the one asked for."""
        runs = self._workspace.ledger.runs()
        return [run for run in runs if run.state != "landed" or run.id == also]

    def step(self, *, slots: int, only: str | None = None) -> Step:
        """Do one step; durable on return.

        With *only*, no task of another run is put on offer: an offer holds its scope, and nobody
        here would take it.
        """
        vouching.require_readable(self._workspace)
        adopted = self.take_in()
        config = self._workspace.config()
        runs = self.open_runs(only)
        before = self.look(runs)
        if any(run.reuses for run in runs):
            self._reuser.look(before.tasks[Status.WAITING], before.standings(), runs)
        with self._workspace.ledger.transaction(_BY) as changes:
            runs = self.open_runs(only)  # one may have been stopped since
            observations = Observations.load(self._workspace)
            hot = self._hot_again(before)
            one = Pass(self._workspace, changes, view=hot, runs=runs)
            pause = pause_of(self._workspace)
            one.paused = pause is not None
            self._deliveries.look_again()
            adopt_edits(self._workspace, changes)
            one.fold_claims()
            one.abort_runs()
            one.drop_unwanted()
            promoter = Promoter(
                one, config.policy, deliveries=self._deliveries,
                reuser=self._reuser if any(run.reuses for run in runs) else None,
            )  # fmt: skip
            decided = promoter.promote(_offered_here(one, one.settle(), only), slots=slots)
            if decided is not None:
                promoter.withdraw_stale(decided, observations)
            observations.save("offer")
        step = one.finished
        step.controls = [due for due in step.controls if only in {None, due[0].run}]
        step.adopted = adopted
        step.view = self.look(runs)
        self._cache.forget_others()
        step.on_person = waiting_on_person(
            step.view, self.open_runs(), pause=pause, offers=one.offers | _offered_elsewhere(one),
            router=Router(self._workspace, one.fleet),
            over_budget=capped(self._workspace, step.view.tasks[Status.WAITING]),
        )  # fmt: skip
        return step

    def _hot_again(self, view: View) -> View:
        tasks = dict(view.tasks)
        for status in HOT:
            tasks[status] = list(self._cache.tasks(self._workspace.ledger, status))
        return View(tasks, view.done)


def _offered_elsewhere(one: Pass) -> frozenset[str]:
    """Return what workers of other machines offer, where some task needs more than those here."""
    if one.here is None or not one.unmet:
        return frozenset()
    from wfledger.run.hub.machines import offered  # who is alone opens no git for it

    return offered(one.workspace)


def _offered_here(
    one: Pass, ready: list[Ready], only: str | None
) -> list[Ready]:
    if only is None:
        return ready
    others = (task for task, _ in ready if task.run != only)
    one.finished.waits.update((task.id, f"nobody works on {task.run}") for task in others)
    return [(task, found) for task, found in ready if task.run == only]


