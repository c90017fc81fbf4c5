"""The scheduler's step: fold claims in, settle dependencies, withdraw, promote.

Any process may do it; it re-reads the ledger each time and decides by `core.admission`. What it
changes it looks at again under the lock. Nothing here starts or ends a process.
"""

from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from wfledger.clock import iso
from wfledger.core import bounds, outcome
from wfledger.core.admission import Admission, Claimed, Room, admit, in_order, lacking
from wfledger.core.documents import ClaimNote, Hold, Run, Task
from wfledger.core.graph import (
    Readiness,
    Standing,
    aborts,
    is_halted,
    is_lifted,
    readiness,
)
from wfledger.core.policy import Policy
from wfledger.core.routes import NoRoute
from wfledger.core.scopes import parse_all
from wfledger.core.statuses import Actor, Status
from wfledger.errors import InvalidPatternError, LedgerDamagedError, StaleError, TransitionError
from wfledger.run.byhand.editing import adopt_edits
from wfledger.run.delivering import Deliveries
from wfledger.run.guard import vouching
from wfledger.run.lending import Lending
from wfledger.run.liveness import Observations
from wfledger.run.looks.view import Cache, View
from wfledger.run.merger.verifiers import end_unwanted, is_wanted
from wfledger.run.money.caps import Cap, capped
from wfledger.run.pausing import alarm_of, pause_of
from wfledger.run.stuck import waiting_on_person
from wfledger.run.workers.routing import Router
from wfledger.run.workspace import Workspace
from wfledger.store.transaction import Transaction

if TYPE_CHECKING:
    from wfledger.run.byhand.adopting import Adopter
    from wfledger.run.reuse.taking import Reuser

_BY: Final = "scheduler"
_HOT: Final = (Status.PENDING, Status.IN_PROGRESS, Status.MERGING)


@dataclass
class Step:
    """What one step did and saw."""

    view: View
    promoted: list[str] = field(default_factory=list)
    #: Waiting task -> why it waits, for `why` and `status`.
    waits: dict[str, str] = field(default_factory=dict)
    #: Of these, who stands in the way of a task over a path or a label.
    obstacles: dict[str, str] = field(default_factory=dict)
    #: Waiting tasks that cannot start before a person decides something.
    on_person: frozenset[str] = frozenset()
    #: Runs that abort: what runs of them is to be stopped.
    aborted: set[str] = field(default_factory=set)
    #: What was done by files and taken in: name and sentence.
    adopted: tuple[tuple[str, str], ...] = ()
    #: Controllers that have nothing left to wait for.
    controls: list[tuple[Task, Readiness]] = field(default_factory=list)
    #: Tasks that were given an earlier result, or for which one is to be looked for.
    reusing: list[str] = field(default_factory=list)
    #: Seconds until the next backoff ends, if one is all there is to wait for.
    next_due_s: float | None = None


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
            one = _Pass(
                self._workspace, changes, policy=config.policy, observations=observations,
                view=hot, runs=runs,
            )  # fmt: skip
            pause = pause_of(self._workspace)
            one.paused = pause is not None
            if any(run.reuses for run in runs):
                one.reuser = self._reuser
            one.deliveries = self._deliveries
            one.deliveries.look_again()
            adopt_edits(self._workspace, changes)
            one.fold_claims()
            one.abort_runs()
            one.drop_unwanted()
            ready = one.settle()
            one.promote(_offered_here(one, ready, only), slots=slots)
            observations.save("offer")
        step = one.finished
        step.controls = [due for due in step.controls if only in {None, due[0].run}]
        step.adopted = adopted
        step.view = self.look(runs)
        self._cache.forget_others()
        step.on_person = waiting_on_person(
            step.view, self.open_runs(), pause=pause, offers=one.offers,
            router=Router(self._workspace, one.fleet),
            over_budget=capped(self._workspace, step.view.tasks[Status.WAITING]),
        )  # fmt: skip
        return step

    def _hot_again(self, view: View) -> View:
        tasks = dict(view.tasks)
        for status in _HOT:
            tasks[status] = list(self._cache.tasks(self._workspace.ledger, status))
        return View(tasks, view.done)


class _Pass:
    """One step under the lock."""

    def __init__(
        self, workspace: Workspace, changes: Transaction, *, policy: Policy,
        observations: Observations, view: View, runs: list[Run],
    ) -> None:
        self._workspace = workspace
        self._policy = policy
        self._changes = changes
        self._observations = observations
        self._view = view
        self._runs = {run.id: run for run in runs}
        self._standings = view.standings()
        self._now = workspace.clock.now()
        self.paused = False
        self.deliveries = Deliveries(workspace.ledger)
        self.reuser: Reuser | None = None
        self.fleet = workspace.fleet()
        #: What workers here can do.
        self.offers = self.fleet.offers
        self.finished = Step(view)

    def fold_claims(self) -> None:
        """Write who holds a task into its document (WFL-CLAIM-008)."""
        ledger = self._workspace.ledger
        for task in self._view.tasks[Status.IN_PROGRESS]:
            if task.claim and task.claim.attempt == task.attempt:
                continue
            record = ledger.claim_record(task.id, task.attempt)
            if record is None:
                continue
            note = ClaimNote(
                attempt=task.attempt, worker=record.worker, machine=record.machine,
                token_sha256=record.token_sha256, since=iso(self._now),
            )
            self._try_update(task.id, why="claim folded in", claim=note)

    def _try_update(self, task_id: str, *, why: str, **values: object) -> None:
        try:
            self._changes.update(task_id, why=why, **values)
        except TransitionError:
            return  # moved on since we looked

    def _try_move(self, task_id: str, target: Status, *, why: str, **values: object) -> bool:
        try:
            self._changes.move(task_id, target, actor=Actor.SCHEDULER, why=why, **values)
        except (StaleError, TransitionError):
            return False  # claimed, or moved by somebody else since we looked
        return True

    def abort_runs(self) -> None:
        """Give up what is left of a run one of whose tasks aborts it (WFL-STATUS-028).

        What runs is stopped by its runtime, its work kept; then it is given up as well. What a
        person has decided on since goes on all the same.
        """
        for run in list(self._runs.values()):
            if run.state in {"open", "paused"} and self._is_to_abort(run):
                aborted = run.but(seq=run.seq + 1, state="aborted", reason="a task failed")
                self._changes.put_run(aborted, why="aborted")
                self._runs[run.id] = run = aborted  # noqa: PLW2901
            if run.state == "aborted":
                self.finished.aborted.add(run.id)
                self._give_up(run)

    def _is_to_abort(self, run: Run) -> bool:
        standings = self._standings.items()
        return aborts(found for name, found in standings if name.partition(".")[0] == run.id)

    def _give_up(self, run: Run) -> None:
        tasks = self._view.tasks
        stopped = [t for t in tasks[Status.BLOCKED] if t.block and t.block.code == "stopped"]
        for task in (*tasks[Status.WAITING], *tasks[Status.PENDING], *stopped):
            if task.run == run.id and not is_lifted(task):
                self._try_move(
                    task.id, Status.CANCELLED, why="the run aborts", block=None, hold=None
                )

    def drop_unwanted(self) -> None:
        """Give up what nobody waits for any longer.

        That are verifiers (WFL-RESULT-047), what a cancelled controller has started
        (WFL-CTRL-017), and what one has asked that is done (WFL-CTRL-022).
        """
        cancelled = self._view.tasks[Status.CANCELLED]
        gone = {task.id for task in cancelled if task.spec.control is not None}
        for status in (Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.BLOCKED):
            for task in list(self._view.tasks[status]):
                why = self._unwanted(task, gone)
                if why is None:
                    continue
                hold = Hold(code="superseded", reason=why) if self._is_decided(task) else None
                if status is Status.IN_PROGRESS:
                    end_unwanted(self._workspace, task, why)
                elif self._try_move(task.id, Status.CANCELLED, why=why, block=None, hold=hold):
                    self._view.tasks[status].remove(task)

    def _unwanted(self, task: Task, gone: Collection[str]) -> str | None:
        """Return why nobody waits for *task* any longer, or None; *gone* are controllers."""
        run = self._runs.get(task.run)
        # What has failed says why the run aborts.
        tells = task.block is not None and run is not None and run.state == "aborted"
        for above in (task.spec.parent, task.spec.candidate_of):
            if above in gone and not tells:
                return f"{above} was cancelled"
        if self._is_decided(task):
            return f"{task.spec.parent} is decided"
        if task.spec.verifies is None or is_wanted(self._workspace, task):
            return None
        return "its result needs no verdict"

    def _is_decided(self, task: Task) -> bool:
        """Whether *task* was only asked for a decision that has been made without it."""
        run, parent = self._runs.get(task.run), task.spec.parent
        if run is None or parent is None or parent not in self._view.done:
            return False
        return task.spec.control is None and task.id in run.aside

    def settle(self) -> list[tuple[Task, Readiness]]:
        """Return the waiting tasks whose dependencies are settled; block those that never can."""
        ready = []
        for task in self._view.tasks[Status.WAITING]:
            run = self._runs.get(task.run)
            if run is None or is_halted(task, run.state):
                self.finished.waits[task.id] = f"the run is {run.state if run else 'unknown'}"
                continue
            found = readiness(task, self._standings)
            if found.kind == "never" or (found.kind == "ready" and found.missing):
                found = readiness(task, self._look_again((*found.on, *found.missing)))
            if found.kind == "never" and task.accepted is None:
                reason = f"it needs {found.on[0]}, which will not be done"
                block = outcome.block(task, "dependency_cancelled", reason)
                self._try_move(task.id, Status.BLOCKED, why="can never start", block=block)
            elif found.kind == "waits" and task.accepted is None:
                self.finished.waits[task.id] = f"waits for {', '.join(found.on[:3])}"
            elif task.spec.control is not None and task.accepted is None:
                self.finished.controls += [] if self.paused else [(task, found)]
            elif not self._backs_off(task) and not self._lacks(task) and self._has_scope(task):
                ready.append((task, found))
        return ready

    def _has_scope(self, task: Task) -> bool:
        """Block a task whose scope cannot be read; only one that was put in by hand has such."""
        try:
            parse_all(task.spec.write)
        except InvalidPatternError as error:
            block = outcome.block(task, "invalid_scope", error.message)
            self._try_move(task.id, Status.BLOCKED, why="can never start", block=block)
            return False
        return True

    def _look_again(self, names: Iterable[str]) -> Mapping[str, Standing]:
        """Return where tasks stand, and *names* as they stand under the lock.

        The view was taken without it: a task that went back meanwhile (a retry) may be in none of
        its folders, and a block may have been lifted.
        """
        entries = ((name, self._workspace.ledger.find(name)) for name in names)
        fresh = {name: Standing.of(one.task, one.status) for name, one in entries if one}
        return ChainMap(fresh, self._standings)

    def _backs_off(self, task: Task) -> bool:
        longest = task.spec.retry.backoff_max_s
        if outcome.is_due(task.hold, now=self._now, longest_s=longest):
            return False
        until = task.hold.until if task.hold else None
        self.finished.waits[task.id] = f"tries again at {until}"
        return True

    def _lacks(self, task: Task) -> bool:
        missing = lacking(task, self.offers)
        if missing and task.accepted is None:
            self.finished.waits[task.id] = f"no worker offers {', '.join(missing)}"
            return True
        return False

    def promote(self, ready: list[tuple[Task, Readiness]], *, slots: int) -> None:
        """Put on offer what may start, up to the window; withdraw what stands in the way."""
        offered = self._view.tasks[Status.PENDING]
        caps = capped(self._workspace, (*offered, *(task for task, _ in ready)))
        self._withdraw_unfit(offered, caps)
        if self.paused:
            return
        ready = [
            (task, found) for task, found in ready
            if not self._is_reusing(task, found) and not self._is_capped(task, caps)
        ]
        absent = {task.id: found.missing for task, found in ready}
        decided = admission(
            self._workspace, self._view, self._runs.values(), self._policy,
            tasks=[task for task, _ in ready], slots=slots,
        )  # fmt: skip
        for task in decided.promote:
            self._promote_one(task, absent[task.id])
        for task_id, obstacle in decided.waits.items():
            self.finished.waits[task_id] = str(obstacle)
            if obstacle.holder is not None:
                self.finished.obstacles[task_id] = str(obstacle)
        for task_id, times in decided.overtaken.items():
            past = next(t for t, _ in ready if t.id == task_id).overtaken + times
            self._try_update(task_id, why="overtaken", overtaken=past)
        self._withdraw_stale_offers(decided)

    def _withdraw_unfit(self, offered: Iterable[Task], caps: Mapping[str, Cap]) -> None:
        """Take back what nobody should start any more.

        Whether a provider's key is here is no reason: another process may have it.
        """
        router = Router(self._workspace, self.fleet, with_keys=False)
        for task in offered:
            run = self._runs.get(task.run)
            missing = lacking(task, self.offers)
            route = router.route(task.spec)
            if self.paused or (run is not None and run.state == "paused"):
                self._withdraw(task, "paused")
            elif missing:
                self._withdraw(task, f"no worker offers {', '.join(missing)} any more")
            elif isinstance(route, NoRoute):
                self._withdraw(task, route.message)
            elif task.id in caps:
                self._withdraw(task, caps[task.id].reason)

    def _is_reusing(self, task: Task, found: Readiness) -> bool:
        """Give *task* an earlier result, if there is one; whether it does not go on offer now."""
        if self.reuser is None or not self._runs[task.run].reuses:
            return False
        from wfledger.run.reuse.taking import take

        offer = self.reuser.decide(task, found, self.deliveries.for_task(task))
        if offer is False:
            return False
        if offer is not True and not take(self._workspace, self._changes, offer):
            return False
        self.finished.reusing.append(task.id)
        return True

    def _is_capped(self, task: Task, caps: Mapping[str, Cap]) -> bool:
        """Whether a budget keeps *task* from starting; its own blocks it (WFL-MONEY-010)."""
        cap = caps.get(task.id)
        if cap is None:
            return False
        self.finished.waits[task.id] = cap.reason
        if cap.is_of_task:
            block = outcome.block(task, "budget", cap.reason).but(command=cap.command)
            self._try_move(task.id, Status.BLOCKED, why="its budget is used up", block=block)
        return True

    def _note_start(self, run_id: str) -> None:
        """Note when a run of limited time has begun."""
        run = self._runs[run_id]
        if run.time_s is not None and run.started is None:
            self._runs[run_id] = begun = run.but(seq=run.seq + 1, started=iso(self._now))
            self._changes.put_run(begun, why="its time runs")

    def _promote_one(self, task: Task, missing: tuple[str, ...]) -> None:
        if task.spec.digest() != task.spec_sha256:
            block = outcome.block(task, "spec_changed", "its spec was changed past the verbs")
            self._try_move(task.id, Status.BLOCKED, why="not what was submitted", block=block)
            return
        if task.accepted is not None:
            self._try_move(task.id, Status.MERGING, why="land-only: accepted", hold=None)
            return
        values = {"attempt": task.attempt + 1, "hold": None, "claim": None, "block": None,
                  "received": self.deliveries.for_task(task)}  # fmt: skip
        if self._try_move(
            task.id, Status.PENDING, why="promoted", missing=missing, overtaken=0, **values
        ):
            self.finished.promoted.append(task.id)
            self._note_start(task.run)

    def _withdraw_stale_offers(self, decided: Admission) -> None:
        in_the_way = {o.holder for o in decided.waits.values() if o.kind in {"scope", "contract"}}
        for task in self._view.tasks[Status.PENDING]:
            age = self._observations.age(f"offer:{task.id}", task.attempt)
            if task.id in in_the_way and age > self._policy.offer_ttl_s:
                self._withdraw(task, "nobody claimed it and others wait for its scope")

    def _withdraw(self, task: Task, reason: str) -> None:
        hold = Hold(code="withdrawn", reason=reason)
        self._try_move(task.id, Status.WAITING, why=f"withdrawn: {reason}", hold=hold)


def _offered_here(
    one: _Pass, ready: list[tuple[Task, Readiness]], only: str | None
) -> list[tuple[Task, Readiness]]:
    if only is None:
        return ready
    others = (task for task, _ in ready if task.run != only)
    one.finished.waits.update((task.id, f"nobody works on {task.run}") for task in others)
    return [(task, found) for task, found in ready if task.run == only]


def admission(
    workspace: Workspace, view: View, runs: Iterable[Run], policy: Policy, *,
    tasks: Iterable[Task], slots: int,
) -> Admission:  # fmt: skip
    """Return which of *tasks*, whose dependencies are settled, may go on offer; changes nothing."""
    fleet, window = workspace.fleet(), max(bounds.WINDOW_MIN, 4 * slots)
    router = Router(workspace, fleet)
    room = Room(
        window, runs={run.id: run.max_concurrent for run in runs if run.max_concurrent is not None},
        classes=dict(policy.classes), manual=window, default_role=fleet.default_role,
        roles={role.name: role.slots for role in fleet.roles if role.slots is not None},
        accounts=router.room(), route=router.account_for, lent=Lending(workspace, fleet).to,
    )  # fmt: skip
    for task in view.tasks[Status.PENDING]:
        room.take(task)
    for task in view.tasks[Status.IN_PROGRESS]:
        room.take_limits(task)
    held = [Claimed.of(task) for status in _HOT for task in view.tasks[status]]
    return admit(
        in_order(tasks), held, room=room, overtake=policy.overtake, fold=workspace.folds_case
    )
