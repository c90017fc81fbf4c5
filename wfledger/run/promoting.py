"""What goes on offer, and what is taken back: the last part of a step.

On a ledger that several machines share nothing is put on offer here: which task goes to which
machine is asked of the remote, by the same rules (`hub.granting`).
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from wfledger.core import bounds, outcome
from wfledger.core.admission import Admission, Claimed, Room, admit, in_order, lacking
from wfledger.core.documents import Hold, Run, Task
from wfledger.core.graph import Readiness
from wfledger.core.hub import is_elsewhere
from wfledger.core.policy import Policy
from wfledger.core.routes import NoRoute
from wfledger.core.statuses import Status
from wfledger.run.delivering import Deliveries
from wfledger.run.hub import clocks
from wfledger.run.lending import Lending
from wfledger.run.liveness import Observations
from wfledger.run.looks.view import View
from wfledger.run.money.caps import Cap, capped
from wfledger.run.settling import Pass
from wfledger.run.workers.routing import Router
from wfledger.run.workspace import Workspace

if TYPE_CHECKING:
    from wfledger.run.reuse.taking import Reuser

#: A task whose dependencies are settled, and what they say.
Ready = tuple[Task, Readiness]
#: The folders whose tasks hold their scopes.
HOT: Final = (Status.PENDING, Status.IN_PROGRESS, Status.MERGING)
#: Hold of a task for which the home of its run has found no earlier result to take.
ANEW: Final = "anew"


def window_of(slots: int) -> int:
    """Return how many tasks are on offer at once on a ledger of this machine alone."""
    return max(bounds.WINDOW_MIN, 4 * slots)


def admission(
    workspace: Workspace, view: View, runs: Iterable[Run], policy: Policy, *,
    tasks: Iterable[Task], window: int,
) -> Admission:  # fmt: skip
    """Return which of *tasks*, whose dependencies are settled, may go on offer; changes nothing.

    No more than *window* are on offer at once. What other machines have begun counts where all
    share a limit, and not where it is of this machine.
    """
    fleet = workspace.fleet()
    router = Router(workspace, fleet)
    room = Room(
        window, runs={run.id: run.max_concurrent for run in runs if run.max_concurrent is not None},
        classes=dict(policy.classes), manual=max(window, bounds.WINDOW_MIN),
        default_role=fleet.default_role,
        roles={role.name: role.slots for role in fleet.roles if role.slots is not None},
        accounts=router.room(), route=router.account_for, lent=Lending(workspace, fleet).to,
    )  # fmt: skip
    for task in view.tasks[Status.PENDING]:
        room.take(task)
    here = workspace.machine.id if workspace.is_shared else ""
    for task in view.tasks[Status.IN_PROGRESS]:
        room.take_limits(task, here=not here or not is_elsewhere(task, here))
    held = [Claimed.of(task) for status in HOT for task in view.tasks[status]]
    return admit(
        in_order(tasks), held, room=room, overtake=policy.overtake, fold=workspace.folds_case
    )


def promoted(task: Task, missing: tuple[str, ...], deliveries: Deliveries) -> dict[str, Any]:
    """Return what changes in a task that goes on offer: its attempt is another one."""
    return {
        "attempt": task.attempt + 1, "hold": None, "claim": None, "block": None, "overtaken": 0,
        "missing": missing, "received": deliveries.for_task(task),
    }  # fmt: skip


class Promoter:
    """Decides which tasks of a pass go on offer, and takes back what should not be."""

    def __init__(
        self, one: Pass, policy: Policy, *, deliveries: Deliveries, reuser: "Reuser | None" = None
    ) -> None:
        self._pass = one
        self._policy = policy
        self._deliveries = deliveries
        self._reuser = reuser
        #: Tasks that a budget holds back; None before anybody has looked.
        self._caps: Mapping[str, Cap] | None = None

    def promote(self, ready: list[Ready], *, slots: int) -> Admission | None:
        """Put on offer what may start, up to the window; None while the ledger is paused.

        On a shared ledger it only says what that would be.
        """
        self._withdraw_unfit([task for task, _ in ready])
        if self._pass.paused:
            return None
        ready = self.startable(ready)
        decided = admission(
            self._pass.workspace, self._pass.view, self._pass.runs.values(), self._policy,
            tasks=[task for task, _ in ready], window=window_of(slots),
        )  # fmt: skip
        for task_id, obstacle in decided.waits.items():
            self._pass.finished.waits[task_id] = str(obstacle)
            if obstacle.holder is not None:
                self._pass.finished.obstacles[task_id] = str(obstacle)
        if self._pass.here is None:
            self._put_on_offer(ready, decided)
        else:
            self._wait_for_grants(decided)
        return decided

    def startable(self, ready: Iterable[Ready]) -> list[Ready]:
        """Return those of *ready* that neither a budget holds back nor an earlier result ends."""
        found = list(ready)
        caps = self._capped([task for task, _ in found])
        return [
            (task, one) for task, one in found
            if not self._is_reusing(task, one) and not self._is_capped(task, caps)
        ]  # fmt: skip

    def _capped(self, ready: Iterable[Task]) -> Mapping[str, Cap]:
        if self._caps is None:
            offered = self._pass.view.tasks[Status.PENDING]
            self._caps = capped(self._pass.workspace, (*offered, *ready))
        return self._caps

    def _put_on_offer(self, ready: list[Ready], decided: Admission) -> None:
        absent = {task.id: found.missing for task, found in ready}
        for task in decided.promote:
            self._promote_one(task, absent[task.id])
        for task_id, times in decided.overtaken.items():
            past = next(t for t, _ in ready if t.id == task_id).overtaken + times
            self._pass.try_update(task_id, why="overtaken", overtaken=past)

    def _wait_for_grants(self, decided: Admission) -> None:
        """Say of what could go on offer that the remote has not granted it yet."""
        hub = self._pass.workspace.hub
        name = hub.name if hub is not None else "the remote"
        for task in decided.promote:
            if not self.is_changed(task):
                self._pass.finished.waits[task.id] = f"waits for the next meeting with {name}"

    def _withdraw_unfit(self, ready: Iterable[Task]) -> None:
        """Take back what nobody should start any more.

        Whether a provider's key is here is no reason: another process may have it.
        """
        offered = self._pass.view.tasks[Status.PENDING]
        caps = self._capped(ready)
        router = Router(self._pass.workspace, self._pass.fleet, with_keys=False)
        for task in offered:
            run = self._pass.runs.get(task.run)
            missing = lacking(task, self._pass.offers)
            route = router.route(task.spec)
            if self._pass.paused or (run is not None and run.state == "paused"):
                self.withdraw(task, "paused")
            elif missing:
                self.withdraw(task, f"no worker offers {', '.join(missing)} any more")
            elif isinstance(route, NoRoute):
                self.withdraw(task, route.message)
            elif task.id in caps:
                self.withdraw(task, caps[task.id].reason)

    def _is_reusing(self, task: Task, found: Readiness) -> bool:
        """Give *task* an earlier result, if there is one; whether it does not go on offer now.

        On a shared ledger the run's home looks, and says so in the task where there is none.
        """
        if not self._pass.runs[task.run].reuses:
            return False
        from wfledger.run.reuse.taking import may_take, take

        changes = self._pass.changes
        if self._reuser is None or changes is None or not self._pass.is_home(task.run):
            return may_take(task) and not _is_anew(task)
        offer = self._reuser.decide(task, found, self._deliveries.for_task(task))
        if offer is False:
            if self._pass.here is not None and may_take(task) and not _is_anew(task):
                hold = Hold(code=ANEW, reason="no earlier result fits")
                self._pass.try_update(task.id, why=hold.reason, hold=hold)
            return False
        if offer is not True and not take(self._pass.workspace, changes, offer):
            return False
        self._pass.finished.reusing.append(task.id)
        return True

    def _is_capped(self, task: Task, caps: Mapping[str, Cap]) -> bool:
        """Whether a budget keeps *task* from starting; its own blocks it (WFL-MONEY-010)."""
        cap = caps.get(task.id)
        if cap is None:
            return False
        self._pass.finished.waits[task.id] = cap.reason
        if cap.is_of_task and self._pass.is_home(task.run):
            block = outcome.block(task, "budget", cap.reason).but(command=cap.command)
            self._pass.try_move(task.id, Status.BLOCKED, why="its budget is used up", block=block)
        return True

    def _promote_one(self, task: Task, missing: tuple[str, ...]) -> None:
        if self.is_changed(task):
            return
        if task.accepted is not None:
            self._pass.try_move(task.id, Status.MERGING, why="land-only: accepted", hold=None)
            return
        values = promoted(task, missing, self._deliveries)
        if self._pass.try_move(task.id, Status.PENDING, why="promoted", **values):
            self._pass.finished.promoted.append(task.id)
            begun = started(self._pass, task.run)
            if begun is not None:
                self._pass.put_run(begun, why="its time runs")

    def is_changed(self, task: Task) -> bool:
        """Block a task whose spec was changed past the verbs; whether it was."""
        if task.spec.digest() == task.spec_sha256:
            return False
        if self._pass.is_home(task.run):
            block = outcome.block(task, "spec_changed", "its spec was changed past the verbs")
            self._pass.try_move(task.id, Status.BLOCKED, why="not what was submitted", block=block)
        return True

    def withdraw_stale(self, decided: Admission, observations: Observations) -> None:
        """Take back what nobody has claimed for long while others wait for its scope.

        On a shared ledger also what no place here frees for: another machine may have one.
        """
        in_the_way = {o.holder for o in decided.waits.values() if o.kind in {"scope", "contract"}}
        stale = [
            task for task in self._pass.view.tasks[Status.PENDING]
            if observations.age(f"offer:{task.id}", task.attempt) > self._policy.offer_ttl_s
        ]  # fmt: skip
        if stale and self._pass.here is not None:
            self._return_unused(stale, observations)
        for task in stale:
            if task.id in in_the_way:
                self.withdraw(task, "nobody claimed it and others wait for its scope")

    def _return_unused(self, stale: Iterable[Task], observations: Observations) -> None:
        from wfledger.run.hub import room
        from wfledger.run.hub.machines import interval_of

        workspace = self._pass.workspace
        limit = room.stale_s(self._policy, interval_of(workspace))
        unused = [
            task for task in in_order(stale)
            if not task.spec.manual and observations.age(f"offer:{task.id}", task.attempt) > limit
        ]  # fmt: skip
        back = room.not_needed(workspace, unused, limit)
        for task in back:
            self.withdraw(task, "no place frees for it here")
        room.note_returned(workspace, back)

    def withdraw(self, task: Task, reason: str) -> None:
        """Take an offer back, unless it was claimed meanwhile."""
        hold = Hold(code="withdrawn", reason=reason)
        self._pass.try_move(task.id, Status.WAITING, why=f"withdrawn: {reason}", hold=hold)


def started(one: Pass, run_id: str) -> Run | None:
    """Return the document of a run of limited time that begins now; None where nothing changes."""
    run = one.runs[run_id]
    if run.time_s is None or run.started is not None:
        return None
    return run.but(seq=run.seq + 1, started=clocks.there(one.workspace, run.home))


def _is_anew(task: Task) -> bool:
    return task.hold is not None and task.hold.code == ANEW
