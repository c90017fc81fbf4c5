"""One step under the ledger lock: who claimed, what is given up, and what may start.

On a shared ledger each machine decides about the runs whose home it is, and about what it was
granted; of everything else it only says what it waits for (WFL-HUB-014).
"""

from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.admission import lacking
from wfledger.core.documents import ClaimNote, Hold, Run, Task
from wfledger.core.graph import Readiness, Standing, aborts, is_halted, is_lifted, readiness
from wfledger.core.hub import is_elsewhere
from wfledger.core.scopes import parse_all
from wfledger.core.statuses import Actor, Status
from wfledger.errors import InvalidPatternError, StaleError, TransitionError
from wfledger.run.hub.renewing import is_arriving
from wfledger.run.looks.view import View
from wfledger.run.merger.verifiers import end_unwanted, is_wanted
from wfledger.run.step import Step
from wfledger.run.workspace import Workspace
from wfledger.store.transaction import Transaction

_ARRIVING: Final = "what the remote has is being taken in"


class Pass:
    """One look at the ledger under its lock, with the changes that follow from it.

    Without *changes* none is made: whoever asks the remote for offers decides as the step does.
    """

    def __init__(
        self, workspace: Workspace, changes: Transaction | None, *, view: View, runs: Iterable[Run]
    ) -> None:
        self.workspace = workspace
        self.view = view
        self.runs = {run.id: run for run in runs}
        self.finished = Step(view)
        self.paused = False
        self.fleet = workspace.fleet()
        #: What workers here can do.
        self.offers = self.fleet.offers
        #: Whether some task needs more than that.
        self.unmet = False
        #: This machine, where the ledger is shared.
        self.here = workspace.machine.id if workspace.is_shared else None
        self.changes = changes
        #: Whether the directory is just being brought to what the remote has, some at a time: what
        #: is not there, or has no result, may come the next moment.
        self._arriving = changes is not None and is_arriving(workspace)
        self._standings = view.standings()
        self._now = workspace.clock.now()

    def is_home(self, run_id: str) -> bool:
        """Whether this machine decides what no worker does of a run (WFL-HUB-014)."""
        run = self.runs.get(run_id)
        return self.here is None or (run is not None and run.home == self.here)

    def may_move(self, task: Task, status: Status) -> bool:
        """Whether a decision about *task* is this machine's: by its grant, or by its run."""
        if self.here is not None and status.holds_scope:
            return not is_elsewhere(task, self.here)
        return self.is_home(task.run)

    def try_update(self, task_id: str, *, why: str, **values: object) -> None:
        """Change a document, unless the task has moved on since we looked."""
        if self.changes is None:
            return
        try:
            self.changes.update(task_id, why=why, **values)
        except TransitionError:
            return

    def try_move(self, task_id: str, target: Status, *, why: str, **values: object) -> bool:
        """Move a task; False where it was claimed, or moved by somebody else since we looked."""
        if self.changes is None:
            return False
        try:
            self.changes.move(task_id, target, actor=Actor.SCHEDULER, why=why, **values)
        except (StaleError, TransitionError):
            return False
        return True

    def put_run(self, run: Run, *, why: str) -> None:
        """Change the document of a run."""
        if self.changes is not None:
            self.changes.put_run(run, why=why)
            self.runs[run.id] = run

    def fold_claims(self) -> None:
        """Write who holds a task into its document (WFL-CLAIM-008)."""
        ledger = self.workspace.ledger
        for task in self.view.tasks[Status.IN_PROGRESS]:
            if task.claim and task.claim.attempt == task.attempt:
                continue
            if not self.may_move(task, Status.IN_PROGRESS):
                continue  # who claimed it is known there
            record = ledger.claim_record(task.id, task.attempt)
            if record is None:
                continue
            note = ClaimNote(
                attempt=task.attempt, worker=record.worker, machine=record.machine,
                token_sha256=record.token_sha256, since=iso(self._now),
            )
            self.try_update(task.id, why="claim folded in", claim=note)

    def abort_runs(self) -> None:
        """Give up what is left of a run one of whose tasks aborts it (WFL-STATUS-028).

        What runs is stopped by its runtime, its work kept; then it is given up as well. What a
        person has decided on since goes on all the same.
        """
        for run in [] if self._arriving else list(self.runs.values()):
            if run.state in {"open", "paused"} and self.is_home(run.id) and self._is_to_abort(run):
                aborted = run.but(seq=run.seq + 1, state="aborted", reason="a task failed")
                self.put_run(aborted, why="aborted")
                run = aborted  # noqa: PLW2901
            if run.state == "paused" and run.ends:
                self.finished.ended[run.id] = run.reason
            if run.state == "aborted":
                self.finished.aborted.add(run.id)
                self._give_up(run)

    def _is_to_abort(self, run: Run) -> bool:
        standings = self._standings.items()
        return aborts(found for name, found in standings if name.partition(".")[0] == run.id)

    def _give_up(self, run: Run) -> None:
        tasks = self.view.tasks
        stopped = [t for t in tasks[Status.BLOCKED] if t.block and t.block.code == "stopped"]
        idle = [(Status.WAITING, tasks[Status.WAITING]), (Status.PENDING, tasks[Status.PENDING])]
        for status, found in (*idle, (Status.BLOCKED, stopped)):
            for task in found:
                if task.run == run.id and not is_lifted(task) and self.may_move(task, status):
                    self.try_move(
                        task.id, Status.CANCELLED, why="the run aborts", block=None, hold=None
                    )

    def drop_unwanted(self) -> None:
        """Give up what nobody waits for any longer.

        That are verifiers (WFL-RESULT-047), what a cancelled controller has started
        (WFL-CTRL-017), and what one has asked that is done (WFL-CTRL-022).
        """
        if self._arriving:
            return
        cancelled = self.view.tasks[Status.CANCELLED]
        gone = {task.id for task in cancelled if task.spec.control is not None}
        for status in (Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.BLOCKED):
            for task in list(self.view.tasks[status]):
                if not self.may_move(task, status):
                    continue
                why = self._unwanted(task, gone)
                if why is None:
                    continue
                hold = Hold(code="superseded", reason=why) if self._is_decided(task) else None
                if status is Status.IN_PROGRESS:
                    end_unwanted(self.workspace, task, why)
                elif self.try_move(task.id, Status.CANCELLED, why=why, block=None, hold=hold):
                    self.view.tasks[status].remove(task)

    def _unwanted(self, task: Task, gone: Collection[str]) -> str | None:
        """Return why nobody waits for *task* any longer, or None; *gone* are controllers."""
        run = self.runs.get(task.run)
        # What has failed says why the run aborts.
        tells = task.block is not None and run is not None and run.state == "aborted"
        for above in (task.spec.parent, task.spec.candidate_of):
            if above in gone and not tells:
                return f"{above} was cancelled"
        if self._is_decided(task):
            return f"{task.spec.parent} is decided"
        if task.spec.verifies is None or is_wanted(self.workspace, task):
            return None
        return "its result needs no verdict"

    def _is_decided(self, task: Task) -> bool:
        """Whether *task* was only asked for a decision that has been made without it."""
        run, parent = self.runs.get(task.run), task.spec.parent
        if run is None or parent is None or parent not in self.view.done:
            return False
        return task.spec.control is None and task.id in run.aside

    def settle(self) -> list[tuple[Task, Readiness]]:
        """Return the waiting tasks whose dependencies are settled; block those that never can."""
        ready = []
        for task in self.view.tasks[Status.WAITING]:
            run = self.runs.get(task.run)
            if run is None or is_halted(task, run.state):
                self.finished.waits[task.id] = f"the run is {run.state if run else 'unknown'}"
                continue
            found = readiness(task, self._standings)
            if found.kind == "never" or (found.kind == "ready" and found.missing):
                # Of what comes from other machines many tasks are done in one moment.
                needed = (*task.spec.after, *(task.control.on if task.control else ()))
                unknown = [name for name in needed if name not in self._standings]
                found = readiness(task, self._look_again((*found.on, *found.missing, *unknown)))
            if found.kind == "never" and task.accepted is None:
                reason = f"it needs {found.on[0]}, which will not be done"
                self._block(task, "dependency_cancelled", reason)
            elif found.kind == "waits" and task.accepted is None:
                self.finished.waits[task.id] = f"waits for {', '.join(found.on[:3])}"
            elif task.spec.control is not None and task.accepted is None:
                self._due(task, found)
            elif not self._backs_off(task) and not self._lacks(task) and self._has_scope(task):
                ready.append((task, found))
        return ready

    def _has_scope(self, task: Task) -> bool:
        """Block a task whose scope cannot be read; only one that was put in by hand has such."""
        try:
            parse_all(task.spec.write)
        except InvalidPatternError as error:
            self._block(task, "invalid_scope", error.message)
            return False
        return True

    def _block(self, task: Task, code: str, reason: str) -> None:
        if self._arriving:
            self.finished.waits[task.id] = _ARRIVING
        elif self.is_home(task.run):
            block = outcome.block(task, code, reason)
            self.try_move(task.id, Status.BLOCKED, why="can never start", block=block)
        else:
            self.finished.waits[task.id] = f"{reason}; {self._decider(task)} blocks it"

    def _due(self, task: Task, found: Readiness) -> None:
        if not self.is_home(task.run):
            self.finished.waits[task.id] = f"{self._decider(task)} decides what comes next"
        elif self._arriving:
            self.finished.waits[task.id] = _ARRIVING
        elif not self.paused:
            self.finished.controls.append((task, found))

    def _decider(self, task: Task) -> str:
        run = self.runs.get(task.run)
        home = run.home if run is not None else None
        return f"the machine {home}" if home else "whichever machine dispatches first"

    def _look_again(self, names: Iterable[str]) -> Mapping[str, Standing]:
        """Return where tasks stand, and *names* as they stand under the lock.

        The view was taken without it: a task that went back meanwhile (a retry) may be in none of
        its folders, and a block may have been lifted.
        """
        entries = ((name, self.workspace.ledger.find(name)) for name in names)
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
        if task.accepted is not None:
            return False
        missing, role = lacking(task, self.offers), self._foreign_role(task)
        if missing:
            self.unmet = True
            self.finished.waits[task.id] = f"no worker offers {', '.join(missing)}"
        elif role is not None:
            self.finished.waits[task.id] = f"there is no role {role} on this machine"
        return bool(missing) or role is not None

    def _foreign_role(self, task: Task) -> str | None:
        """Return the role that a prompt is for where only another machine may have it."""
        spec = task.spec
        is_here = self.here is None or spec.prompt is None or spec.control is not None
        if is_here or spec.role is None or any(one.name == spec.role for one in self.fleet.roles):
            return None
        return spec.role

