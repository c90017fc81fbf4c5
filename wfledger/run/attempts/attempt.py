"""The runtime of one attempt: worktree, preparation, the worker, its work kept, the end recorded.

It blocks its thread. Whatever happens, the work is under a ref before the worktree goes and the
task leaves in-progress with a result; when this process dies, `attempts.recovery` does the same
later.
"""

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from wfledger import faults
from wfledger.core.documents import Result, Task
from wfledger.core.records import canonical
from wfledger.core.routes import Routed
from wfledger.core.states import State
from wfledger.errors import (
    BusyError,
    EnvironmentFailedError,
    PausedError,
    StaleError,
    WfledgerError,
)
from wfledger.run.attempts import phases, worktrees
from wfledger.run.attempts.claims import Claim
from wfledger.run.attempts.closing import close, failure
from wfledger.run.attempts.desk import Desk
from wfledger.run.attempts.inputs import prompt_with_inputs, write_inputs
from wfledger.run.attempts.keeping import (
    UnkeepableError,
    WorkGoneError,
    keep,
    keep_commits,
    with_kept,
)
from wfledger.run.attempts.preparation import PreparationFailed
from wfledger.run.attempts.ready import make_ready
from wfledger.run.attempts.requests import requested
from wfledger.run.attempts.tenure import Tenure
from wfledger.run.attempts.working import Watch, work
from wfledger.run.attempts.worktrees import Place
from wfledger.run.config.roles import Fleet
from wfledger.run.guard import fingerprints, vouching
from wfledger.run.money.caps import Caps
from wfledger.run.pausing import alarm_of
from wfledger.run.processes.sandbox import require
from wfledger.run.refnames import keep_ref
from wfledger.run.reuse.keying import Keyer
from wfledger.run.service.exhaustion import ran_out
from wfledger.run.workers.confining import confinement_of
from wfledger.run.workers.launch import Assignment
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

faults.register("attempt.placed", "attempt.ended", "attempt.kept", "attempt.closed")

#: Times that recording an end is tried again; each waits for the ledger's lock.
_CLOSE_TRIES = 20

#: Attempts of one process that are begun or ended at once. That is git's work, for which a machine
#: has not more hands; were hundreds at it together, all would take as long as the last.
_TURNS: Final = threading.BoundedSemaphore(2 * max(2, os.cpu_count() or 1))

#: Told what an attempt does now: (task, phase).
Report = Callable[[str, str], None]


def run_attempt(
    workspace: Workspace, claim: Claim, *, live: LiveLock, stop: threading.Event, report: Report,
    route: Routed | None = None,
) -> None:  # fmt: skip
    """Carry out an attempt to its recorded end. *live* is released at the end.

    *route* says which model works on it, where it needs one.
    """
    attempt = _Attempt(workspace, claim, stop, report)
    attempt.route = route
    try:
        attempt.carry_out()
    except StaleError as error:
        report(claim.task.id, f"too late: {error.message}")
    finally:
        live.release()


class _Attempt:
    def __init__(
        self, workspace: Workspace, claim: Claim, stop: threading.Event, report: Report
    ) -> None:
        self.workspace = workspace
        self.claim = claim
        self.task: Task = claim.task
        self.stop = stop
        self.report = report
        self.route: Routed | None = None
        self.name = workspace.ledger.layout.attempt_name(self.task.id, claim.attempt)
        self.tenure = Tenure(workspace, self.task.id, claim.attempt)
        self.desk = Desk(workspace.state / f"{self.name}.desk")

    def carry_out(self) -> None:
        """Do everything, in order; what fails outside of the worker is `environment`."""
        try:
            with _TURNS:
                if self.stop.is_set():
                    self._close_unbegun()
                    return
                fingerprints.begin(self.workspace, self.name)
                place = self._place()
        except PausedError as error:
            self._close(self._failed("stopped", error.message), left=True)
            return
        except (WfledgerError, OSError) as error:
            self._close(self._hindered(error))
            return  # what there is of a worktree is swept later
        faults.point("attempt.placed")
        try:
            result = self._work(place)
        except PausedError as error:  # an alarm came before the worker: it says nothing of the task
            result = self._failed("stopped", error.message)
        except (WfledgerError, OSError) as error:
            # The worker may have worked already: what it did is kept all the same.
            result = self._hindered(error)
        with _TURNS:
            self._finish(place, result)

    def _close_unbegun(self) -> None:
        """Record that it was stopped before anything was made for it."""
        reason = requested(self.workspace, self.task.id, self.claim.attempt)
        said = f"stopped: {reason}" if reason is not None else "stopped before it was started"
        result = self._failed("stopped", said)
        self._say_end(result, self._close(result, left=self._left(result)))

    def _finish(self, place: Place, result: Result) -> None:
        """Keep the work, record the end and clear away, in this order."""
        try:
            result = self._keep(place, result)
        except (WfledgerError, OSError) as error:
            ref = keep_ref(self.task.id, self.claim.attempt)
            self._close(self._hindered(
                error, f"; the worktree stays at {place.path} until it is kept as {ref}"
            ))  # fmt: skip
            return
        faults.point("attempt.kept")
        self._say_end(result, self._close(result, left=self._left(result)))
        faults.point("attempt.closed")
        try:
            clear_away(self.workspace, place)
        except (WfledgerError, OSError) as error:
            # The attempt is over and its work is kept; whoever sweeps next tries again.
            self.report(self.task.id, f"its worktree could not be removed yet: {error}")

    def _close(self, result: Result, *, left: bool = False) -> Task:
        """Record the end; a busy ledger is waited for, since the work would be done again."""
        for _ in range(_CLOSE_TRIES):
            try:
                return close(self.workspace, result, by=self._by, left=left)
            except BusyError as error:
                self.report(self.task.id, f"its end is not recorded yet: {error.message}")
        return close(self.workspace, result, by=self._by, left=left)

    def _left(self, result: Result) -> bool:
        """Whether the attempt ended because this process goes, and not by anybody's decision."""
        if result.failure is None or result.failure.failure_class != "stopped":
            return False
        if requested(self.workspace, self.task.id, self.claim.attempt) is not None:
            return False
        return self.workspace.ledger.run(self.task.run).state != "aborted"

    def _say_end(self, result: Result, task: Task) -> None:
        if result.failure is None:
            return
        said = f"{result.failure.failure_class}: {result.failure.message}"
        if task.hold is not None and task.hold.until is not None:
            said += f"; tries again at {task.hold.until}"
        self.report(self.task.id, said)

    @property
    def _by(self) -> str:
        return f"worker:{self.claim.worker}"

    def _hindered(self, error: WfledgerError | OSError, more: str = "") -> Result:
        """Return the failure of something around the work; raises where the machine has run out.

        Recovery then ends the attempt as a lost one, when there is enough again.
        """
        if isinstance(error, UnkeepableError):
            return self._failed("out_of_scope", f"{error}{more}")
        if ran_out(self.workspace, error):
            raise error
        return self._failed("environment", f"{error}{more}")

    def _failed(self, failure_class: str, message: str) -> Result:
        return Result(
            task=self.task.id, attempt=self.claim.attempt, status="failed",
            failure=failure(failure_class, message),
        )

    def _says(self, state: State, text: str) -> None:
        """Say what the attempt does now, to who listens and to who looks."""
        phases.note(self.workspace, self.task.id, self.claim.attempt, state, text=text)
        self.report(self.task.id, text)

    def _place(self) -> Place:
        self._says(State.STARTING, "makes a worktree")
        require(confinement_of(vouching.fleet(self.workspace), self.task.spec))
        return worktrees.make_for(self.workspace, self.task, self.claim.attempt)

    def _work(self, place: Place) -> Result:
        if self.task.spec.digest() != self.task.spec_sha256:
            return self._failed("spec_changed", "its spec was changed past the verbs")
        fleet = vouching.fleet(self.workspace)
        log = self.workspace.ledger.layout.local / "logs" / f"{self.name}.setup.log"
        ready = make_ready(self.workspace, place, log=log, stop=self.stop)
        if isinstance(ready, PreparationFailed):
            return self._failed(ready.failure_class, ready.message)
        for said in ready.notes:
            self.report(self.task.id, said)
        worktrees.excluding(self.workspace, place, ready.excluded)
        self._lay_the_desk(fleet)
        self._says(State.RUNNING, "runs")
        # Before it runs: the fleet may be another one when it is over.
        key = Keyer(self.workspace, fleet).key(
            self.task, missing=self.task.missing, started=place.base
        )
        result = work(self._assignment(place, fleet), self._watch())
        faults.point("attempt.ended")
        confined = confinement_of(fleet, self.task.spec).noted(place.isolation)
        reason = requested(self.workspace, self.task.id, self.claim.attempt)
        if result.failure is not None and result.failure.failure_class == "stopped" and reason:
            result = result.but(failure=failure("stopped", f"stopped: {reason}"))
        return result.but(confined=confined, key=key)

    def _assignment(self, place: Place, fleet: Fleet) -> Assignment:
        log = self.workspace.ledger.layout.log(self.task.id, self.claim.attempt)
        return Assignment(
            self.workspace, self.task, self.claim.attempt, place.folder, self.desk, fleet, log,
            self.route, Caps(self.workspace).left(self.task, fleet, self.route),
        )  # fmt: skip

    def _watch(self) -> Watch:
        def says(text: str) -> None:
            self._says(State.RUNNING, text)

        return Watch(self.name, self.claim.token, self.tenure, self.stop, says)

    def _lay_the_desk(self, fleet: Fleet) -> None:
        desk = self.desk
        desk.inputs.mkdir(parents=True, exist_ok=True)
        desk.result.unlink(missing_ok=True)
        write_inputs(self.workspace, self.task, desk.inputs)
        desk.task.write_bytes(canonical(self.task))
        if self.task.spec.prompt is not None:
            preamble = fleet.role(self.task.spec.role).preamble
            prompt = prompt_with_inputs(self.task, desk.inputs, preamble=preamble)
            desk.prompt.write_text(prompt, "utf-8")

    def _keep(self, place: Place, result: Result) -> Result:
        # Before any git of ours: what the worker has planted is known from here on (WFL-REC-030).
        known = alarm_of(self.workspace)
        alarm = fingerprints.end(self.workspace, self.name)
        if alarm is not None and known is None:
            self.report(self.task.id, f"alarm: {alarm.reason}; {alarm.command}")
        place = worktrees.find(self.workspace, self.name) or place
        number = self.claim.attempt
        phases.note(self.workspace, self.task.id, number, State.KEEPING, text="its work is kept")
        try:
            kept = keep(
                self.workspace, place, task_id=self.task.id, attempt=number,
                is_over=self.tenure.is_over,
            )
        except WorkGoneError as error:
            kept = keep_commits(self.workspace, place, task_id=self.task.id, attempt=number)
            if result.failure is None:
                result = result.but(status="failed", failure=failure("task", error.message))
        if kept.late is not None:
            self.report(self.task.id, f"what it did too late is kept as {kept.late}")
        return with_kept(self.workspace, self.task, result, kept)


def clear_away(workspace: Workspace, place: Place) -> None:
    """Remove a worktree whose work is kept, and its desk. Repeating it is harmless."""
    shutil.rmtree(workspace.state / f"{place.name}.desk", ignore_errors=True)
    worktrees.discard(workspace, place)


def clear_if_able(workspace: Workspace, place: Place) -> bool:
    """Remove a worktree whose attempt is over; where it stays, whoever sweeps next tries again.

    A git that was killed leaves locks on refs, which hold this up for a while and nothing else.
    """
    with suppress(EnvironmentFailedError, BusyError, OSError):
        clear_away(workspace, place)
        return True
    return False
