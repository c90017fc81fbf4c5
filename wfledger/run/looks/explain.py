"""`why`: what a task waits for, who holds that, since when, and the command that ends it.

It decides as the scheduler does and changes nothing, not even what observers remember. Where one
task waits for another, the command is the one that ends the wait at its root.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from wfledger.clock import iso, parse_iso
from wfledger.core import outcome
from wfledger.core.admission import Obstacle, lacking
from wfledger.core.documents import Hold, Run
from wfledger.core.graph import Readiness, is_halted, readiness
from wfledger.core.progress import progress
from wfledger.core.statuses import Status
from wfledger.errors import NotFoundError
from wfledger.run.attempts.elsewhere import is_of_another
from wfledger.run.hub.machines import machines, offered
from wfledger.run.liveness import Observations, owner_of
from wfledger.run.looks.costs import Costs
from wfledger.run.looks.doing import Watcher, landing_waits
from wfledger.run.looks.remote import outlook, remote_view
from wfledger.run.looks.view import View
from wfledger.run.money import breakers
from wfledger.run.money.caps import capped
from wfledger.run.pausing import pause_of
from wfledger.run.presence import driven, is_driven
from wfledger.run.pressure import pressure_of
from wfledger.run.promoting import admission, window_of
from wfledger.run.reuse.earlier import REUSE
from wfledger.run.scheduler import Scheduler
from wfledger.run.slots import all_taken, count_of
from wfledger.run.workers.routing import Router
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry

#: Tasks waited for that are named.
_NAMED: Final = 10
#: Where a verifier has come to its end, and the next pass takes its verdict.
_SPOKEN: Final = frozenset({"done", "blocked", "cancelled", "unknown"})
_LIVENESS: Final = {
    "dead": "its runtime is gone; the task is handed on at the next pass",
    "expired": "its lease has run out; the task is handed on at the next pass",
    "unrecorded": "nobody has said who took it; it is taken back after a grace",
}


@dataclass(frozen=True)
class Wait:
    """A task that is waited for, and who holds it."""

    task: str
    status: str
    holder: str | None = None
    since: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `why --json` prints."""
        return {
            "task": self.task, "status": self.status, "holder": self.holder, "since": self.since,
        }  # fmt: skip


@dataclass(frozen=True)
class Why:
    """Why a task is where it is."""

    task: str
    status: Status
    #: What kind of reason: dependency, scope, contract, reserved, limit, run_limit,
    #: class_limit, role_limit, provider, pressure, slots, backoff, elsewhere,
    #: paused, run, ready, offered, working, merging, verifier, done, cancelled, or the code of a
    #: block.
    code: str
    reason: str
    since: str | None = None
    until: str | None = None
    #: Ends the wait; None where nothing has to end.
    command: str | None = None
    #: Who works on it.
    holder: str | None = None
    waits_for: tuple[Wait, ...] = ()
    #: Why the task at the root of the wait is where it is, where that is another one.
    root: "Why | None" = None
    #: What it does (WFL-STATUS-040).
    state: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `why --json` prints."""
        return {
            "task": self.task,
            "status": self.status.value,
            "state": self.state,
            "code": self.code,
            "reason": self.reason,
            "since": self.since,
            "until": self.until,
            "holder": self.holder,
            "waits_for": [wait.as_json() for wait in self.waits_for],
            "command": self.command,
            "root": self.root.as_json() if self.root else None,
            **self.facts,
        }


def explain(workspace: Workspace, task_id: str) -> Why:
    """Return why a task is where it is; raises `NotFoundError`."""
    return _Explainer(workspace).why(task_id)


class _Explainer:
    """Explains tasks of one look at the ledger."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._ledger = workspace.ledger
        scheduler = Scheduler(workspace)
        self._runs = {run.id: run for run in scheduler.open_runs()}
        self._view: View = scheduler.look(self._runs.values())
        self._standings = self._view.standings()
        self._asked: set[str] = set()
        self._drivers = driven(workspace)
        self._watcher = Watcher(workspace)

    def why(self, task_id: str) -> Why:
        """Return why a task is where it is, asking on behind it."""
        self._asked.add(task_id)
        entry = self._ledger.get(task_id)
        by_status = {
            Status.WAITING: self._waiting,
            Status.PENDING: self._pending,
            Status.IN_PROGRESS: self._in_progress,
            Status.MERGING: self._merging,
            Status.BLOCKED: self._blocked,
            Status.DONE: self._done,
            Status.CANCELLED: self._cancelled,
        }
        return by_status[entry.status](entry)

    # -- waiting ---------------------------------------------------------------------------------

    def _waiting(self, entry: Entry) -> Why:
        found = self._halted(entry) or self._dependencies(entry) or self._held_back(entry)
        found = found or self._deciding(entry)
        return found or self._unmet(entry) or self._capped(entry) or self._admission(entry)

    def _deciding(self, entry: Entry) -> Why | None:
        """Return what a controller is about to do that has nothing left to wait for."""
        task = entry.task
        if task.spec.control is None or task.accepted is not None:
            return None
        said = progress(task.spec, task.control)
        reason = f"{said}: nothing is in its way; it decides at the next pass"
        return self._say(entry, "ready", reason, f"wfledger run {task.run}")

    def _capped(self, entry: Entry) -> Why | None:
        """Return which budget is used up, and the command that goes on with more."""
        cap = capped(self._workspace, [entry.task]).get(entry.task.id)
        return None if cap is None else self._say(entry, "budget", cap.reason, cap.command)

    def _unmet(self, entry: Entry) -> Why | None:
        offers = self._workspace.fleet().offers | offered(self._workspace)
        missing = lacking(entry.task, offers)
        if not missing or entry.task.accepted is not None:
            return None
        path = self._ledger.layout.root / "fleet.toml"
        reason = f"no worker offers {', '.join(missing)}; `offers` in {path} says what they do"
        return self._say(entry, "needs", reason)

    def _halted(self, entry: Entry) -> Why | None:
        """Return why nothing of the ledger or of the run may start, if so."""
        task = entry.task
        pause = pause_of(self._workspace)
        if pause is not None:
            reason = f"dispatch is paused: {pause.reason}"
            return self._say(entry, "paused", reason, pause.command)
        run = self._runs.get(task.run) or self._closed_run(task.run)
        if run is not None and not is_halted(task, run.state):
            return None
        state = f"is {run.state}" if run else "has no document, so it was never submitted whole"
        reason = f"; {run.reason}" if run and run.reason else ""
        verb = "run" if run and run.state == "paused" else "cancel"
        name = task.run if verb == "run" else task.id
        said = f"its run {task.run} {state}{reason}"
        return self._say(entry, "run", said, f"wfledger {verb} {name}")

    def _closed_run(self, run_id: str) -> Run | None:
        try:
            return self._ledger.run(run_id)
        except NotFoundError:
            return None

    def _dependencies(self, entry: Entry) -> Why | None:
        task = entry.task
        found = readiness(task, self._standings)
        if task.accepted is not None or found.kind == "ready":
            return None
        if found.kind == "never":
            command = outcome.command_for(task.id, "dependency_cancelled")
            reason = f"it needs {found.on[0]}, which will not be done"
            return self._say(entry, "dependency_cancelled", reason, command)
        return self._behind(entry, found)

    def _behind(self, entry: Entry, found: Readiness) -> Why:
        waits = tuple(self._wait_for(name) for name in found.on[:_NAMED])
        more = f" and {len(found.on) - _NAMED} more" if len(found.on) > _NAMED else ""
        named = ", ".join(f"{wait.task} ({wait.status})" for wait in waits)
        said = progress(entry.task.spec, entry.task.control)
        waits_for = f"{said}: it waits for" if said else "it waits for"
        why = self._say(entry, "dependency", f"{waits_for} {named}{more}")
        return self._rooted(replace(why, waits_for=waits), found.on[0])

    def _rooted(self, why: Why, other: str) -> Why:
        """Return *why* with the reason of *other*, which it waits for, and with its command."""
        if other in self._asked:
            return why
        try:
            behind = self.why(other)
        except NotFoundError:
            return why
        return replace(why, root=behind.root or behind, command=behind.command)

    def _wait_for(self, name: str) -> Wait:
        entry = self._ledger.find(name)
        if entry is None:
            return Wait(name, "unknown")
        return Wait(name, entry.status.value, self._holder(entry), self._since(entry))

    def _held_back(self, entry: Entry) -> Why | None:
        hold, now = entry.task.hold, self._workspace.clock.now()
        longest = entry.task.spec.retry.backoff_max_s
        if hold is None or outcome.is_due(hold, now=now, longest_s=longest):
            return None
        reason = f"it tries again at {hold.until}: {hold.reason}"
        why = self._say(entry, "backoff", reason, f"wfledger run {entry.task.run}")
        return replace(why, until=hold.until)

    def _admission(self, entry: Entry) -> Why:
        """Return what stands in the way of an offer, by the scheduler's own rules."""
        workspace, longest = self._workspace, entry.task.spec.retry.backoff_max_s
        now = workspace.clock.now()
        ready = [
            task
            for task in self._view.tasks[Status.WAITING]
            if task.run == entry.task.run
            and (task.spec.control is None or task.accepted)
            and (task.accepted or readiness(task, self._standings).kind == "ready")
            and outcome.is_due(task.hold, now=now, longest_s=longest)
        ]
        decided = admission(
            workspace, self._view, self._runs.values(), workspace.policy(), tasks=ready,
            window=window_of(count_of(workspace)),
        )  # fmt: skip
        obstacle = decided.waits.get(entry.task.id)
        run = f"wfledger run {entry.task.run}"
        if obstacle is None:
            reason = "nothing is in its way; it is put on offer at the next pass"
            here = remote_view(workspace)
            if here is not None:
                reason = outlook(workspace, here.name, held=self._places_taken())
                reason += f" ({here.name}: {here.trouble})" if here.trouble else ""
            if entry.task.accepted is not None:
                reason = "its result was accepted and goes on to merging at the next pass"
            return self._say(entry, "ready", reason, run)
        if obstacle.kind == "provider":
            return self._unrouted(entry, obstacle)
        why = self._say(entry, obstacle.kind, str(obstacle), run)
        return self._obstructed(why, obstacle)

    def _places_taken(self) -> int:
        """Return how many tasks, on whatever machine, have been given a place."""
        held = (Status.PENDING, Status.IN_PROGRESS)
        return sum(not task.spec.manual for status in held for task in self._view.tasks[status])

    def _unrouted(self, entry: Entry, obstacle: Obstacle) -> Why:
        """Return why no model takes a task, and what lets one take it."""
        workspace = self._workspace
        router = Router(workspace, workspace.fleet())
        closed = router.needs_person(entry.task.spec)
        shut = next((one for one in breakers.shut(workspace).values()
                     if one.reason in str(obstacle)), None)  # fmt: skip
        command = closed.command if closed is not None else None
        if command is None:
            command = shut.command if shut is not None else f"wfledger run {entry.task.run}"
        why = self._say(entry, obstacle.kind, str(obstacle), command)
        return replace(why, until=shut.opened.until if shut is not None else None)

    def _obstructed(self, why: Why, obstacle: Obstacle) -> Why:
        if obstacle.holder is None:
            return why
        facts = {"witness": obstacle.witness, "mine": obstacle.left, "theirs": obstacle.right}
        waits = (self._wait_for(obstacle.holder),)
        return self._rooted(replace(why, waits_for=waits, facts=facts), obstacle.holder)

    # -- the other statuses ----------------------------------------------------------------------

    def _pending(self, entry: Entry) -> Why:
        task = entry.task
        reason = f"attempt {task.attempt} is on offer; nobody has taken it"
        if task.spec.manual:
            return self._say(entry, "offered", f"{reason}, and no runtime does: it is manual",
                             f"wfledger claim {task.id}")  # fmt: skip
        run = f"wfledger run {task.run}"
        shortage = pressure_of(self._workspace)
        if shortage is not None:
            return self._say(entry, "pressure", f"{reason}: {shortage}", run)
        if all_taken(self._workspace):
            return self._say(entry, "slots", f"{reason}: every slot of this machine is taken", run)
        return self._say(entry, "offered", reason, run)

    def _in_progress(self, entry: Entry) -> Why:
        task, workspace = entry.task, self._workspace
        if is_of_another(workspace, entry):
            return self._elsewhere(entry)
        observed = Observations.load(workspace)
        owner = owner_of(workspace, task, observed, workspace.policy().lease_s)
        holder = self._holder(entry) or "somebody"
        doing = self._watcher.look(task, entry.status)
        reason = f"{holder} works on attempt {task.attempt}"
        command = f"wfledger stop {task.id}"
        if owner != "alive":
            reason, command = f"{reason}, but {_LIVENESS[owner]}", "wfledger tick"
        else:
            reason = f"{reason}: {doing.text}"
        if doing.lease_left_s is not None:
            reason += f"; the lease ends in {doing.lease_left_s:.0f} s unless {holder} renews it"
        why = self._say(entry, "working", reason, command)
        used = Costs(self._workspace)
        if (cost := used.task(entry.task.id)):
            why = replace(why, reason=f"{why.reason}; so far: {cost}",
                          facts={**why.facts, "usage": used.as_json(entry.task.id)})  # fmt: skip
        log = self._ledger.layout.log(task.id, task.attempt)
        facts = {"owner": owner, "log": str(log), **doing.as_json()}
        return replace(why, facts=facts)

    def _elsewhere(self, entry: Entry) -> Why:
        """Return what is known of a task that another machine has, and how that machine is."""
        task, doing = entry.task, self._watcher.look(entry.task, entry.status)
        peer = next((one for one in machines(self._workspace) if one.id == doing.machine), None)
        reason = f"attempt {task.attempt} {doing.text}"
        if doing.worker is not None:
            reason += f", where {doing.worker} has it"
        if peer is not None and peer.is_gone:
            reason += "; that machine is silent, and its work is taken over at the next sync"
        elif peer is not None:
            reason += f"; that machine was last heard of {_ago(self._workspace, peer.seen)}"
        why = self._say(entry, "elsewhere", reason, f"wfledger cancel {task.id}")
        return replace(why, since=doing.since or why.since, facts=doing.as_json())

    def _merging(self, entry: Entry) -> Why:
        task = entry.task
        if is_of_another(self._workspace, entry):
            return self._elsewhere(entry)
        if task.hold is not None and task.hold.code == "verifier":
            return self._judged(entry, task.hold)
        if self._watcher.is_landed_now(task):
            merger = task.merger.owner if task.merger else "somebody"
            reason = f"{merger} lands it: {self._watcher.look(task, entry.status).text}"
        elif task.hold is not None:
            reason = landing_waits(task.hold)
        else:
            reason = "its worker is finished; nobody lands it at the moment"
        why = self._say(entry, "merging", reason, f"wfledger run {task.run}")
        return replace(why, until=task.hold.until if task.hold else None)

    def _judged(self, entry: Entry, hold: Hold) -> Why:
        """Return who gives the verdict that a result waits for, and why he has not yet."""
        waits = tuple(self._wait_for(name) for name in hold.on)
        named = ", ".join(f"{wait.task} ({wait.status})" for wait in waits)
        run = f"wfledger run {entry.task.run}"
        why = self._say(entry, "verifier", f"its result waits for the verdict of {named}", run)
        why = replace(why, waits_for=waits)
        still = next((wait.task for wait in waits if wait.status not in _SPOKEN), None)
        return self._rooted(why, still) if still is not None else why

    def _blocked(self, entry: Entry) -> Why:
        block = entry.task.block
        if block is None:
            reason = "its file does not say why"
            return self._say(entry, "unknown", reason, f"wfledger retry {entry.task.id}")
        return self._say(entry, block.code, block.reason, block.command)

    def _done(self, entry: Entry) -> Why:
        landed = entry.task.landed
        if landed is not None and landed.how == "decided":
            result = self._ledger.result(entry.task.id, entry.task.attempt)
            return self._say(entry, "done", f"it has decided: {result.summary if result else '?'}")
        last = entry.task.attempts[-1] if entry.task.attempts else None
        reused = f"; {last.message}" if last is not None and last.worker == REUSE else ""
        if landed is None or landed.commit is None:
            return self._say(entry, "done", f"it is done; there was nothing to merge{reused}")
        if landed.how == "kept":
            reason = f"it is kept as {landed.target} for {entry.task.spec.candidate_of} to choose"
            return self._say(entry, "done", f"{reason}; `wfledger diff {entry.task.id}` shows it")
        branch = (landed.target or "").removeprefix("refs/heads/")
        return self._say(entry, "done", f"it landed as {landed.commit[:12]} on {branch}{reused}")

    def _cancelled(self, entry: Entry) -> Why:
        from wfledger.run.looks.past import happenings

        last = happenings(self._workspace, task=entry.task.id, limit=1)
        by = f" by {last[0].by}: {last[0].why}" if last else ""
        return self._say(entry, "cancelled", f"it was given up{by}")

    # -- facts -----------------------------------------------------------------------------------

    def _say(self, entry: Entry, code: str, reason: str, command: str | None = None) -> Why:
        if command == f"wfledger run {entry.task.run}" and is_driven(entry.task.run, self._drivers):
            command = None  # another one beside it would wait for the same
        return Why(
            entry.task.id, entry.status, code, reason, since=self._since(entry), command=command,
            holder=self._holder(entry), state=self._watcher.state(entry.task, entry.status).value,
        )  # fmt: skip

    def _holder(self, entry: Entry) -> str | None:
        task = entry.task
        if entry.status is Status.MERGING and task.merger:
            return task.merger.owner
        if entry.status is not Status.IN_PROGRESS:
            return None
        if is_of_another(self._workspace, entry):
            return self._watcher.machine(task) or None
        record = self._ledger.claim_record(task.id, task.attempt)
        return record.worker if record else None

    def _since(self, entry: Entry) -> str | None:
        return since(self._workspace, entry)


def _ago(workspace: Workspace, moment: str | None) -> str:
    if moment is None:
        return "at no time yet"
    return f"{max((workspace.clock.now() - parse_iso(moment)).total_seconds(), 0):.0f} s ago"


def since(workspace: Workspace, entry: Entry) -> str | None:
    """Return since when a task is where it is, as far as its document and its file tell."""
    task, layout = entry.task, workspace.ledger.layout
    if entry.status is Status.DONE and task.landed is not None:
        return task.landed.at
    if entry.status is Status.MERGING and task.attempts:
        return task.attempts[-1].ended
    if entry.status is Status.IN_PROGRESS:
        if task.claim is not None and task.claim.attempt == task.attempt:
            return task.claim.since
        return _written(layout.claim(task.id, task.attempt))
    return _written(layout.task(entry.status, task.id))


def _written(path: Path) -> str | None:
    """Return when a file was last written: in most folders, when the task came there."""
    try:
        return iso(datetime.fromtimestamp(path.stat().st_mtime, UTC))
    except OSError:
        return None
