"""One `run` from this process: a plan or a run in, a verdict and what people have to do out.

What is glue between plan, ledger and engine, without a terminal. Stopping is asked for by one
assignment, which a signal handler may make at any point; the engine hears of it at its next tick.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from wfledger.core.documents import Run
from wfledger.core.graph import Verdict
from wfledger.core.statuses import Status
from wfledger.errors import BudgetError, WfledgerError
from wfledger.run.attempts.stopping import reopen_run
from wfledger.run.engine import Engine, Pulse
from wfledger.run.looks.naming import task_ids
from wfledger.run.looks.needs import Need, needs, obstacles
from wfledger.run.looks.view import is_apart
from wfledger.run.people import retry
from wfledger.run.refnames import HEADS
from wfledger.run.reuse.earlier import reused_in
from wfledger.run.submit import follow_target
from wfledger.run.upkeep.housekeeping import keep_house_if_due
from wfledger.run.workspace import Workspace


class Listener(Protocol):
    """Who is told how a run goes on. Called from several threads."""

    def event(self, task_id: str, text: str) -> None:
        """Take note of what happens to a task."""

    def pulse(self, pulse: Pulse) -> None:
        """Take note of what a tick saw."""

    def stopping(self, *, at_once: bool) -> None:
        """Take note that stopping was asked for and is under way."""


@dataclass(frozen=True)
class Outcome:
    """What a run has come to."""

    run: Run
    verdict: Verdict
    #: Ids of all its tasks.
    tasks: tuple[str, ...]
    needs: tuple[Need, ...]
    cancelled: tuple[str, ...]
    #: Whether somebody stopped it before it had a verdict.
    interrupted: bool = False
    #: Commits on the run's branch that its target lacks.
    unlanded: int = 0
    #: Tasks whose results were taken from earlier runs.
    reused: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `run --json` prints."""
        return {
            "run": self.run.id,
            "name": self.run.name,
            "tasks": list(self.tasks),
            "verdict": self.verdict.state,
            "done": self.verdict.done,
            "total": self.verdict.total,
            "coverage": self.verdict.coverage(),
            "branch": self.run.branch.removeprefix(HEADS),
            "target": self.run.target.removeprefix(HEADS),
            "interrupted": self.interrupted,
            "needs": [need.as_json() for need in self.needs],
            "cancelled": list(self.cancelled),
            "unlanded": self.unlanded,
            "reused": self.reused,
            "next": list(self.next_commands),
        }

    @property
    def exit_status(self) -> int:
        """The exit status of `run` (spec 80): a budget that is used up has one of its own."""
        waits = self.verdict.state == "waits" and any(one.code == "budget" for one in self.needs)
        return BudgetError.exit_status if waits else self.verdict.exit_status

    @property
    def next_commands(self) -> tuple[str, ...]:
        """What to type next, ready to paste."""
        target, branch = (name.removeprefix(HEADS) for name in (self.run.target, self.run.branch))
        commands = [need.command for need in self.needs]
        if self.interrupted:
            commands.append(f"wfledger run {self.run.id}")
        if self.unlanded:
            commands += [f"git log {target}..{branch}", f"wfledger land {self.run.id}"]
        return tuple(dict.fromkeys(commands))


class Session:
    """Drives one run to its verdict, or to where somebody stops it."""

    def __init__(
        self, workspace: Workspace, run: Run, *, slots: int, worker: str, listener: Listener
    ) -> None:
        self._workspace = workspace
        self._listener = listener
        self.run = run
        #: How often stopping was asked for: 1 drains, 2 ends what runs, its work kept.
        self.stop_requests = 0
        self._heard = 0
        self._engine = Engine(
            workspace, run_id=run.id, slots=slots, worker=worker, report=listener.event
        )

    def drive(self) -> Outcome:
        """Work until nothing can move without a person; everything of ours has ended then."""
        verdict = self._engine.drive(self._on_pulse)
        self._keep_house()
        return conclude(
            self._workspace, self.run.id, verdict, interrupted=self.stop_requests > 0
        )

    def _keep_house(self) -> None:
        """Tidy up if it is time; trouble with that is no trouble of the run."""
        if self.stop_requests:
            return
        try:
            keep_house_if_due(self._workspace, self._listener.event)
        except (WfledgerError, OSError) as error:
            self._listener.event("ledger", f"housekeeping was put off: {error}")

    def _on_pulse(self, pulse: Pulse) -> None:
        asked = self.stop_requests
        if asked >= 2 > self._heard:
            self._engine.stop()
            self._listener.stopping(at_once=True)
        elif asked == 1 > self._heard:
            self._engine.drain()
            self._listener.stopping(at_once=False)
        self._heard = asked
        self._listener.pulse(pulse)


def reopen(workspace: Workspace, run: Run) -> Run:
    """Let a stopped run go on, with the tasks that were stopped; any other is left as it is.

    A standing run goes on from where its target is now, unless something unlanded is on it.
    """
    follow_target(workspace, run)
    if run.state != "paused":
        return run
    reopen_run(workspace, run.id)
    for task in workspace.ledger.tasks(Status.BLOCKED, run=run.id):
        if task.block is not None and task.block.code == "stopped":
            retry(workspace, task.id)
    return workspace.ledger.run(run.id)


def conclude(
    workspace: Workspace, run_id: str, verdict: Verdict, *, interrupted: bool = False
) -> Outcome:
    """Return what a run of that verdict leaves to do."""
    ledger = workspace.ledger
    run = ledger.run(run_id)
    cancelled = [
        task.id for task in ledger.tasks(Status.CANCELLED, run=run_id) if not is_apart(task)
    ]  # fmt: skip
    wanted = needs(workspace, run_id)
    if verdict.state == "waits":
        wanted += obstacles(workspace, run_id)
    if verdict.state == "succeeded" and any(
        task.missing for task in ledger.tasks(Status.DONE, run=run_id)
    ):
        verdict = replace(verdict, state="degraded")  # something was done without its input
    return Outcome(
        run, verdict, task_ids(workspace, run), wanted, tuple(cancelled),
        interrupted=interrupted and verdict.state == "running",
        unlanded=_unlanded(workspace, run), reused=reused_in(workspace, run),
    )  # fmt: skip


def _unlanded(workspace: Workspace, run: Run) -> int:
    repo = workspace.repo
    tip, target = repo.tip(run.branch), repo.tip(run.target)
    if tip is None or target is None or repo.is_ancestor(tip, target):
        return 0
    return sum(1 for _ in repo.walk(tip, since=target))


