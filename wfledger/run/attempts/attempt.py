"""The runtime of one attempt: worktree, preparation, the worker, its work kept, the end recorded.

It blocks its thread. Whatever happens, the work is under a ref before the worktree goes and the
task leaves in-progress with a result; when this process dies, `attempts.recovery` does the same
later.
"""

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core.documents import Limits, Result, Task
from wfledger.core.records import canonical
from wfledger.core.states import State
from wfledger.errors import BusyError, PausedError, StaleError, WfledgerError
from wfledger.run.attempts import phases, worktrees
from wfledger.run.attempts.claims import Claim
from wfledger.run.attempts.closing import close, failure
from wfledger.run.attempts.commanding import TAG, argv_of, tag_for
from wfledger.run.attempts.envelope import read_envelope
from wfledger.run.attempts.inputs import prompt_with_inputs, write_inputs
from wfledger.run.attempts.judging import judge
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
from wfledger.run.attempts.worktrees import Place
from wfledger.run.config.roles import Filling, Fleet, argv_for
from wfledger.run.guard import fingerprints, vouching
from wfledger.run.pausing import alarm_of
from wfledger.run.processes.environment import build
from wfledger.run.processes.holders import end_holders
from wfledger.run.processes.process import Job, ProcessLimits, run_job
from wfledger.run.processes.sandbox import require, sandbox_for
from wfledger.run.refnames import keep_ref
from wfledger.run.service.exhaustion import ran_out
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


@dataclass(frozen=True)
class Desk:
    """Where the runtime and the worker exchange files; outside of the worktree."""

    folder: Path

    @property
    def inputs(self) -> Path:
        """Envelopes of the producers, and missing.json."""
        return self.folder / "inputs"

    @property
    def result(self) -> Path:
        """Where the worker may write its envelope."""
        return self.folder / "result.json"

    @property
    def prompt(self) -> Path:
        """The prompt as a file."""
        return self.folder / "prompt.txt"

    @property
    def task(self) -> Path:
        """The task's document, to read."""
        return self.folder / "task.json"


def run_attempt(
    workspace: Workspace, claim: Claim, *, live: LiveLock, stop: threading.Event, report: Report
) -> None:
    """Carry out an attempt to its recorded end. *live* is released at the end."""
    attempt = _Attempt(workspace, claim, stop, report)
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
        require(vouching.fleet(self.workspace).confinement_for(self.task.spec))
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
        self._lay_the_desk()
        self._says(State.RUNNING, "runs")
        tree = self.workspace.ledger.layout.tree(self.task.id, self.claim.attempt)
        with_tree = LiveLock(tree, inheritable=True)
        try:
            self.tenure.check()
            # Only the worker's processes keep the tree's lock: it must not live on with us when
            # we are stopped.
            ended = run_job(
                self._job(place, fleet, with_tree), stop=self.stop, clock=self.workspace.clock,
                on_beat=self.tenure.check, on_start=with_tree.release,
            )
        finally:
            with_tree.release()
        is_free = end_holders(tree, clock=self.workspace.clock)
        faults.point("attempt.ended")
        envelope = read_envelope(
            self.desk.result, task_id=self.task.id, attempt=self.claim.attempt
        )
        confined = fleet.confinement_for(self.task.spec).noted(place.isolation)
        result = judge(self.task, envelope, ended).but(confined=confined)
        if not is_free:
            alive = failure("environment", "a process of it does not end")
            return result.but(status="failed", failure=alive)
        reason = requested(self.workspace, self.task.id, self.claim.attempt)
        if ended.reason == "stopped" and reason is not None:
            return result.but(failure=failure("stopped", f"stopped: {reason}"))
        return result

    def _lay_the_desk(self) -> None:
        desk = self.desk
        desk.inputs.mkdir(parents=True, exist_ok=True)
        desk.result.unlink(missing_ok=True)
        write_inputs(self.workspace, self.task, desk.inputs)
        desk.task.write_bytes(canonical(self.task))
        if self.task.spec.prompt is not None:
            desk.prompt.write_text(prompt_with_inputs(self.task, desk.inputs), "utf-8")

    def _job(self, place: Place, fleet: Fleet, tree: LiveLock) -> Job:
        spec, desk = self.task.spec, self.desk
        own: dict[str, str] = {}
        passed: tuple[str, ...] = (*fleet.env_pass, *spec.env)
        limits = spec.limits
        if spec.command is not None:
            argv = argv_of(spec.command)
        else:
            role = fleet.role(spec.role)
            prompt = desk.prompt.read_text("utf-8")
            argv = argv_for(
                role,
                Filling(
                    prompt=prompt, prompt_file=str(desk.prompt), task=self.task.id,
                    attempt=self.claim.attempt, run=self.task.run, worktree=place.path,
                    result_file=str(desk.result), max_steps=spec.max_steps or role.max_steps,
                    agent_type=spec.agent_type,
                ),
            )
            own, passed, limits = dict(role.env), (*passed, *role.pass_names), role.limits
        tag = tag_for(self.workspace, self.name)
        bounds = self._limits(spec.limits, limits)
        extra = {**own, **self._variables(bounds), TAG: tag}
        return Job(
            argv=argv, cwd=place.folder, env=build(passed, extra, place.folder),
            output=self.workspace.ledger.layout.log(self.task.id, self.claim.attempt),
            limits=bounds, tag=tag, keep_open=(tree.descriptor,),
            sandbox=sandbox_for(
                self.workspace, fleet.confinement_for(spec), (place.folder, desk.folder)
            ),
        )

    def _limits(self, *layers: Limits) -> ProcessLimits:
        layers = (*layers, self.workspace.policy().limits)

        def first(name: str) -> float | None:
            return next((v for one in layers if (v := getattr(one, name)) is not None), None)

        return ProcessLimits(
            wall_s=first("wall_s"), idle_s=first("idle_s"), silence_s=first("silence_s"),
            halted_s=self.workspace.policy().lease_s,
            output_bytes=int(first("output_bytes") or 10 * 2**20),
        )

    def _variables(self, limits: ProcessLimits) -> dict[str, str]:
        spec, clock = self.task.spec, self.workspace.clock
        deadline = {}
        if limits.wall_s is not None:
            end = clock.now() + timedelta(seconds=limits.wall_s)
            deadline = {"WFLEDGER_DEADLINE": iso(end)}
        return {
            "WFLEDGER_DIR": str(self.workspace.ledger.layout.root),
            "WFLEDGER_RUN": self.task.run,
            "WFLEDGER_TASK": self.task.id,
            "WFLEDGER_ATTEMPT": str(self.claim.attempt),
            "WFLEDGER_TOKEN": self.claim.token,
            "WFLEDGER_TASK_FILE": str(self.desk.task),
            "WFLEDGER_INPUTS": str(self.desk.inputs),
            "WFLEDGER_RESULT_FILE": str(self.desk.result),
            "WFLEDGER_SCOPE": "\n".join(spec.write),
            **deadline,
        }

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
