"""The engine: a tick that re-reads the ledger and does what is due.

It holds no truth of its own. Attempts and landings run in threads; each tick recovers what was
lost, lets the scheduler step, fills free slots from what is on offer, hands finished work to the
merger and brings the journal into the history. `drive` ticks until nothing can move without a
person; a daemon calls the parts of a tick one by one, so that trouble with one holds no other up.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from wfledger import faults
from wfledger.core.documents import Run, Task
from wfledger.core.graph import Verdict
from wfledger.core.statuses import Status
from wfledger.errors import (
    BusyError,
    EnvironmentFailedError,
    LedgerDamagedError,
    NothingToClaimError,
    StaleError,
    WfledgerError,
)
from wfledger.run.attempts.attempt import run_attempt
from wfledger.run.attempts.claims import claim
from wfledger.run.attempts.recovery import recover_lost, sweep_worktrees
from wfledger.run.attempts.requests import request_end, requested
from wfledger.run.beating import Heart
from wfledger.run.commit import commit_journal
from wfledger.run.controllers.driving import step_through
from wfledger.run.controllers.patience import Patience
from wfledger.run.hub.renewing import held_back, to_be_stopped
from wfledger.run.hub.syncer import Syncer
from wfledger.run.looks.notifying import Notifier
from wfledger.run.looks.view import View, run_verdict
from wfledger.run.merger.landings import Landings
from wfledger.run.money import breakers, spending
from wfledger.run.pausing import alarm_of, withdraw_offers
from wfledger.run.presence import Crew, driving
from wfledger.run.pressure import Gauge, Probe, read_machine
from wfledger.run.processes.descriptors import allow_for
from wfledger.run.processes.memory import give_back, share
from wfledger.run.processes.threads import in_thread
from wfledger.run.scheduler import Scheduler
from wfledger.run.service.instance import is_up
from wfledger.run.shares import Share, Shares
from wfledger.run.slots import Slots
from wfledger.run.step import Step
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

faults.register("engine.claimed")

#: Longest time between two ticks; whatever finishes wakes the engine at once.
PULSE_S: Final = 0.5
_RECOVER_EVERY_S: Final = 2.0
_COMMIT_EVERY_S: Final = 1.0
_TRIM_EVERY_S: Final = 5.0

Report = Callable[[str, str], None]


@dataclass
class _Running:
    """An attempt in a thread of ours."""

    task: Task
    stop: threading.Event
    share: Share
    future: "Future[None]"


@dataclass
class Pulse:
    """What one tick saw."""

    step: Step
    verdict: Verdict | None
    running: tuple[str, ...] = ()
    landing: tuple[str, ...] = ()


@dataclass
class _Due:
    """When something is to be done again."""

    every_s: float
    last: float = field(default=float("-inf"))

    def is_now(self, elapsed: float) -> bool:
        return elapsed - self.last >= self.every_s


class Engine:
    """Dispatches one run, or all of them, from this process."""

    def __init__(
        self, workspace: Workspace, *, run_id: str | None, slots: int, worker: str, report: Report,
        probe: Probe = read_machine,
    ) -> None:  # fmt: skip
        share()
        self.workspace = workspace
        #: Attempts at once.
        self.slots = allow_for(slots)
        if self.slots < slots:
            report("machine", f"{self.slots} at once and not {slots}: ulimit -n allows no more")
        self._gauge = Gauge(workspace, report=partial(report, "machine"), probe=probe)
        self.run_id = run_id
        self._worker = worker
        self._report = report
        self._heart = Heart(workspace)
        self._slots = Slots(workspace, self.slots, heart=self._heart)
        self._shut = breakers.Lookout(workspace, report)
        self._scheduler = Scheduler(workspace)
        self._patience = Patience(workspace.clock)
        self._running: dict[str, _Running] = {}
        #: Set when there may be something to do before the next tick is due.
        self.wake = threading.Event()
        self._landings = Landings(
            workspace, owner=worker, report=report, then=self.wake.set
        )
        self._recover = _Due(_RECOVER_EVERY_S)
        self._commit = _Due(_COMMIT_EVERY_S)
        self._notifier = Notifier(workspace, run_id=run_id, report=report)
        self._syncer = Syncer(workspace, report=report, woke=self.wake.set)
        #: What the last step that got through saw.
        self._step = Step(View({status: [] for status in Status}, frozenset()))
        self._trim = _Due(_TRIM_EVERY_S)
        self._has_ended = False
        #: What is said of us to whoever asks a remote for work; None while nobody drives.
        self.crew: Crew | None = None
        #: Set by the first Ctrl-C: start nothing more.
        self.draining = False

    # -- one tick --------------------------------------------------------------------------------

    def tick(self) -> Pulse:
        """Do what is due now; returns at once, work goes on in threads.

        Raises what a part of it, or a thread since the last tick, has failed with.
        """
        for _, error in self.reap():
            raise error
        for _, part in self.parts():
            part()
        return self.pulse()

    def parts(self) -> tuple[tuple[str, Callable[[], object]], ...]:
        """Return what a tick does, by name and in order; each may fail without the others."""
        return (
            ("recovery", self._recover_due),
            ("dispatch", self._dispatch),
            ("landing", self._land_due),
            ("history", self._commit_due),
            ("remote", self._syncer.tend),
            ("notify", lambda: self._notifier.look(self._step)),
        )

    def pulse(self) -> Pulse:
        """Return what is going on."""
        verdict = self._verdict(self._step)
        return Pulse(self._step, verdict, tuple(self._running), self._landings.now())

    def reap(self) -> list[tuple[str, BaseException]]:
        """Let go of what threads have finished; returns the tasks whose threads failed, and why."""
        failed = self._landings.reap()
        for task_id, running in list(self._running.items()):
            if running.future.done():
                del self._running[task_id]
                running.share.release()
                error = running.future.exception()
                failed += [(task_id, error)] if error is not None else []
                self._has_ended = True
        elapsed = self.workspace.clock.elapsed()
        if self._has_ended and self._trim.is_now(elapsed):
            self._has_ended, self._trim.last = False, elapsed
            give_back()
        return [one for one in failed if not isinstance(one[1], (StaleError, BusyError))]

    def _recover_due(self) -> None:
        elapsed = self.workspace.clock.elapsed()
        if self._recover.is_now(elapsed):
            spending.ensure(self.workspace)
            recover_lost(self.workspace, report=self._report)
            self._recover.last = elapsed  # what failed is due still

    def _dispatch(self) -> None:
        """Let the scheduler step, end what is to end and start what is on offer."""
        self._step = self._step_through()
        self._shut.look()
        self._stop_aborted(self._step)
        self._stop_requested()
        self._stop_unrenewed()
        held = held_back(self.workspace)
        if self.workspace.is_shared and self.crew is not None:
            starts = not self.draining and held is None and self._gauge.reason() is None
            self.crew.say(self.slots if starts else 0)
        if held is not None:
            self._step.waits |= dict.fromkeys((one.id for one in self._offers()), held)
        elif not self.draining:
            self._fill()

    def _step_through(self) -> Step:
        look = partial(self._scheduler.step, slots=self._slots.count, only=self.run_id)
        return step_through(
            self.workspace, look, self._report, asks=not self.draining, patience=self._patience
        )

    def _land_due(self) -> None:
        self._landings.start(self._scheduler.tasks(Status.MERGING, run=self.run_id))

    def _commit_due(self) -> None:
        """Commit the journal; trouble with that stops nobody's work, the journal is durable."""
        elapsed = self.workspace.clock.elapsed()
        if not self._commit.is_now(elapsed):
            return
        self._commit.last = elapsed
        try:
            self._commit_journal()
        except (EnvironmentFailedError, OSError) as error:
            self._report("ledger", f"the history could not be written yet: {error}")

    def _commit_journal(self) -> None:
        try:
            commit_journal(self.workspace)
        except LedgerDamagedError as error:
            # Somebody has moved the branch: a person is told of it when the attempts that run have
            # been looked at, and decides (WFL-REC-032).
            if alarm_of(self.workspace) is None and not self._running:
                raise
            self._report("ledger", f"the history waits for trust: {error}")

    def _verdict(self, step: Step) -> Verdict | None:
        run = self._run()
        return run_verdict(step.view, run, waiting_on_person=step.on_person) if run else None

    def _run(self) -> Run | None:
        return self.workspace.ledger.run(self.run_id) if self.run_id else None

    def _stop_requested(self) -> None:
        for running in self._running.values():
            task = running.task
            reason = requested(self.workspace, task.id, task.attempt)
            if reason is None and task.run in self._step.ended:
                said = self._step.ended[task.run]
                reason = request_end(
                    self.workspace, task.id, task.attempt, reason=said, cancel=False
                )
            if reason is not None and not running.stop.is_set():
                self._report(running.task.id, f"is stopped: {reason}")
                running.stop.set()

    def _stop_unrenewed(self) -> None:
        """End what runs where policy says so of a machine that its remote has not heard of."""
        reason = to_be_stopped(self.workspace) if self._running else None
        for running in self._running.values() if reason is not None else ():
            if not running.stop.is_set():
                self._report(running.task.id, f"is stopped: {reason}")
                running.stop.set()

    def _stop_aborted(self, step: Step) -> None:
        for running in self._running.values():
            if running.task.run in step.aborted and not running.stop.is_set():
                self._report(running.task.id, "stopped: the run aborts")
                running.stop.set()

    def _fill(self) -> None:
        if not self._slots.has_room():
            return
        self._heart.start()
        shares = Shares(
            self.workspace, self.workspace.fleet(), heart=self._heart, most=self._slots.count
        )
        for task in self._offers():
            shortage = self._gauge.reason()
            if shortage is not None:
                self._step.waits |= dict.fromkeys((one.id for one in self._offers()), shortage)
                return
            slot = self._slots.take()
            if slot is None:
                return
            share = shares.take(task, slot)
            started = False
            try:
                started = share is not None and self._start(task, share)
            finally:
                if not started:
                    (share or Share((slot,), None)).release()

    def _offers(self) -> list[Task]:
        offers = self._scheduler.tasks(Status.PENDING, run=self.run_id)
        ordered = sorted(offers, key=lambda task: (-task.spec.priority, task.created, task.id))
        return [task for task in ordered if not task.spec.manual]

    def _start(self, task: Task, share: Share) -> bool:
        """Claim *task* and give it a thread; the live lock comes before the claim.

        So a claim of ours is never seen without the lock that says whether we live.
        """
        try:
            live = LiveLock(self.workspace.ledger.layout.live(task.id, task.attempt))
        except BusyError:
            return False
        if not live.is_at(live.path):
            live.release()  # whoever had it before us has lost the race and removed it
            return False
        try:
            self._heart.sign(live)
            claimed = claim(
                self.workspace, worker=self._worker, task_id=task.id, dispatches=True
            )
            faults.point("engine.claimed")
        except (StaleError, NothingToClaimError):
            # Who claimed it may drive himself, and has no lock.
            live.path.unlink(missing_ok=True)
            live.release()
            return False
        except BaseException:
            live.release()  # whoever recovers must not take us for alive
            raise
        stop = threading.Event()
        work = partial(
            run_attempt, self.workspace, claimed, live=live, stop=stop, report=self._report,
            route=share.route,
        )  # fmt: skip
        try:
            future = in_thread(f"attempt-{task.id}", work, then=self.wake.set)
        except RuntimeError as error:
            live.release()  # it is recovered as a lost one
            raise EnvironmentFailedError(f"no thread for {task.id}: {error}") from error
        self._running[task.id] = _Running(claimed.task, stop, share, future)
        return True

    # -- until nothing moves ---------------------------------------------------------------------

    def drive(self, on_pulse: Callable[[Pulse], None]) -> Verdict:
        """Tick until the run has a verdict; returns it. Everything of ours has ended then.

        Raises `EnvironmentFailedError` when the ledger or its history cannot be written.
        """
        try:
            with driving(self.workspace, self.run_id, slots=self.slots) as self.crew:
                return self._drive(on_pulse)
        except OSError as error:
            raise EnvironmentFailedError(
                f"the ledger cannot be read or written: {error}", hint="wfledger doctor --fix"
            ) from error

    def _drive(self, on_pulse: Callable[[Pulse], None]) -> Verdict:
        sweep_worktrees(self.workspace)
        try:
            pulse = self._until_over(on_pulse)
            # What somebody who died had begun may have been finished only since we began.
            sweep_worktrees(self.workspace)
            if self.draining and not is_up(self.workspace):
                self.withdraw()
        finally:
            self.close()
        verdict = self._verdict(pulse.step)
        if verdict is None:
            raise WfledgerError("an engine without a run has no verdict")
        return verdict

    def _until_over(self, on_pulse: Callable[[Pulse], None]) -> Pulse:
        while True:
            self.wake.clear()
            pulse = self.tick()
            on_pulse(pulse)
            if self._is_over(pulse):
                return pulse
            self.wake.wait(PULSE_S)

    def _is_over(self, pulse: Pulse) -> bool:
        if self._running or self._landings.now():
            return False
        if self.draining:
            return True
        return pulse.verdict is not None and pulse.verdict.state != "running"

    def withdraw(self) -> None:
        """Take back what is on offer and will not be taken from here."""
        with self.workspace.ledger.transaction("scheduler") as changes:
            withdraw_offers(
                self.workspace, changes, run=self.run_id, reason="its workers have left",
                to_people=False,
            )

    def drain(self) -> None:
        """Start nothing more; what runs goes on to its end."""
        self.draining = True
        self.wake.set()

    def stop(self) -> None:
        """End the attempts that run, their work kept."""
        self.draining = True
        for running in list(self._running.values()):
            running.stop.set()
        self._landings.stop()
        self.wake.set()

    def close(self) -> None:
        """Wait for the threads and bring the rest of the journal into the history."""
        if any(not running.future.done() for running in self._running.values()):
            self.stop()
        self._landings.stop()
        self._landings.wait()
        wait([running.future for running in self._running.values()])
        for running in self._running.values():
            running.share.release()
        self._running.clear()
        self._heart.close()
        try:
            self._commit_journal()
        finally:
            self._syncer.close()
        self._notifier.close(self._step)
