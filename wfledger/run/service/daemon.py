"""The daemon: an engine over all runs that goes on whatever happens, until it is asked to end.

It holds no truth: killed at any point, the next one takes up what it leaves. Each turn is a whole
rescan; events only say that one is worth while. Trouble with a part of the work is said once and
the part tried again later, while the others go on (spec 55).
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from wfledger import __version__
from wfledger.clock import iso
from wfledger.run.attempts.orphans import sweep_orphans
from wfledger.run.attempts.recovery import sweep_worktrees
from wfledger.run.commit import commit_journal
from wfledger.run.engine import Engine
from wfledger.run.presence import driving
from wfledger.run.processes.threads import in_thread
from wfledger.run.service.instance import Facts, Instance, own_process
from wfledger.run.service.logbook import Logbook
from wfledger.run.service.survival import Survival, describe
from wfledger.run.service.watching import Watching
from wfledger.run.upkeep.housekeeping import keep_house_if_due
from wfledger.run.wholeness import require_home
from wfledger.run.workspace import Workspace

#: Seconds between two rescans where events come, and where there are none; give or take a quarter.
RESCAN_S: Final = 1.6
POLL_S: Final = 1.0
#: Seconds between an event and the rescan, in which others may come.
DEBOUNCE_S: Final = 0.015
#: Longest pause after a turn that took long: of a busy ledger's events there is no end.
_BREATH_S: Final = 0.25
_SWEEP_EVERY_S: Final = 60.0
#: Longest time until a request to stop is heard.
_HEAR_S: Final = 0.2
#: Subjects of which it is known what was said last, and characters of what is said at once.
_REMEMBERED: Final = 10_000
_LINES: Final = 4000
#: Longest wait for the ledger's lock before its holder counts as stuck.
_STUCK_S: Final = 5.0


@dataclass(frozen=True)
class Settings:
    """How a daemon is to work."""

    #: Attempts at once.
    slots: int
    worker: str
    #: Whether to use the kernel's events.
    events: bool = True


class Daemon:
    """One daemon in this process; made by whoever holds the *instance*."""

    def __init__(
        self, workspace: Workspace, instance: Instance, settings: Settings, log: Logbook
    ) -> None:
        self._workspace = workspace
        #: Our lock; whoever made it lets it go.
        self.instance = instance
        self._settings = settings
        self._log = log
        #: Raised by a signal handler, which may run at any point: nothing else is done there.
        self.stop_requests = 0
        self._said: dict[str, str] = {}
        self._engine = Engine(
            workspace, run_id=None, slots=settings.slots, worker=settings.worker,
            report=self._report,
        )
        self._survival = Survival(workspace.clock, log.say)
        self._watching = Watching(
            workspace.ledger.layout.root, self._engine.wake.set, clock=workspace.clock,
            wanted=settings.events,
        )
        self._since = iso(workspace.clock.now())
        self._process = own_process()
        self._sweep: Future[None] | None = None
        self._swept = float("-inf")
        #: Whether another daemon may have taken our place.
        self.is_superseded = False

    def serve(self) -> bool:
        """Work until asked to stop; False where another daemon may have taken our place.

        Everything of ours has ended on return, its work kept.
        """
        engine = self._engine
        with driving(self._workspace, None, slots=engine.slots) as engine.crew:
            self._log.say(f"up: process {self._process[0]}, {engine.slots} at once")
            self._publish("up")
            try:
                while not self.stop_requests and not self.is_superseded:
                    began = self._workspace.clock.elapsed()
                    self.turn()
                    self._rest(self._workspace.clock.elapsed() - began)
            finally:
                self._leave()
        return not self.is_superseded

    def hint(self) -> None:
        """Have the next look at once."""
        self._engine.wake.set()

    # -- one turn --------------------------------------------------------------------------------

    def turn(self) -> None:
        """Do what is due now, each part by itself; raises nothing."""
        engine = self._engine
        # Before the scan: what comes while it goes on may have been missed by it.
        engine.wake.clear()
        self._survival.attempt("watching", self._watching.tend)
        self._say_how()
        for task_id, error in engine.reap():
            self._report(task_id, f"its thread failed: {describe(error)}")
        if self._survival.attempt("ledger", self._reach):
            for name, part in (*engine.parts(), ("sweep", self._sweep_due)):
                self._survival.attempt(name, part)
        self._publish("up")

    def _reach(self) -> None:
        """Raise unless the ledger is where it was and its lock can be had.

        Nothing is made here: one that was removed comes back by `doctor --fix` alone.
        """
        if self.instance.is_superseded():
            self.is_superseded = True
            self._log.say("this machine's state of the ledger was replaced: another daemon's turn")
        ledger = self._workspace.ledger
        require_home(ledger.layout.root, self._workspace.common_dir)
        with ledger.locks.hold("ledger", timeout=_STUCK_S):
            pass

    def _sweep_due(self) -> None:
        """Clear away, in a thread, what those who died have left."""
        elapsed = self._workspace.clock.elapsed()
        if self._sweep is not None and self._sweep.done():
            error, self._sweep = self._sweep.exception(), None
            if error is not None:
                self._report("sweep", f"not yet: {describe(error)}")
        if self._sweep is None and elapsed - self._swept >= _SWEEP_EVERY_S:
            self._swept = elapsed
            self._sweep = in_thread("sweep", self._clear, then=self._engine.wake.set)

    def _clear(self) -> None:
        ended, removed = sweep_orphans(self._workspace), sweep_worktrees(self._workspace)
        if ended or removed:
            self._log.say(f"swept {ended} processes and {removed} worktrees that were left over")
        keep_house_if_due(self._workspace, self._report)

    # -- between turns ---------------------------------------------------------------------------

    def _rest(self, took: float) -> None:
        """Wait for a hint or the next rescan; the longer turns take, the fewer there are."""
        engine = self._engine
        base = RESCAN_S if self._watching.how.mode == "events" else POLL_S
        left = base * (0.75 + 0.5 * int(self._workspace.clock.token()[:4], 16) / 0xFFFF)
        while left > 0 and not self.stop_requests and not engine.wake.wait(min(left, _HEAR_S)):
            left -= _HEAR_S
        if not self.stop_requests:
            self._workspace.clock.wait(min(max(took / 2, DEBOUNCE_S), _BREATH_S))

    # -- the end ---------------------------------------------------------------------------------

    def _leave(self) -> None:
        """End what runs, its work kept, and take back what nobody here will take now."""
        self._log.say("stopping: what runs is ended, its work kept")
        self._publish("stopping")
        engine = self._engine
        if engine.crew is not None:
            engine.crew.say(0)
        engine.stop()
        self._try("offers", engine.withdraw)
        self._try("attempts", engine.close)
        if self._sweep is not None:
            self._try("sweep", self._sweep.result)
        self._try("sweep", self._clear)
        self._try("history", lambda: commit_journal(self._workspace))
        self._watching.close()
        self._log.say("gone")

    def _try(self, part: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the next daemon finds it as it would after a crash
            self._log.say(f"{part}: {describe(error)}")

    # -- what is said ----------------------------------------------------------------------------

    def _report(self, subject: str, text: str) -> None:
        """Log what happens to a task, and not the same again and again."""
        if self._said.get(subject) == text:
            return
        if len(self._said) > _REMEMBERED:
            self._said.clear()
        self._said[subject] = text
        self._log.say(f"{subject}: {text[-_LINES:]}")

    def _say_how(self) -> None:
        how = self._watching.how
        self._report("watching", f"{how.mode} ({how.why})" if how.why else how.mode)

    def _publish(self, state: str) -> None:
        pulse, how = self._engine.pulse(), self._watching.how
        pid, started = self._process
        self.instance.publish(Facts(
            pid=pid, started=started, since=self._since, version=__version__, state=state,
            slots=self._engine.slots, running=len(pulse.running), landing=len(pulse.landing),
            watching=how.mode, why=how.why, setbacks=self._survival.setbacks(),
            log=str(self._log.path),
        ))  # fmt: skip
