"""Runs driven to their end, here and in other processes, and workers that wait for each other."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.repos import git
from tests.support.workspaces import RUN, open_workspace
from wfledger.core.documents import Attempt
from wfledger.core.statuses import Status
from wfledger.run.engine import Pulse
from wfledger.run.session import Outcome, Session, reopen
from wfledger.run.workspace import Workspace

#: Longest that a worker of a test waits; a task that reaches it fails its test.
LIMITS = {"wall_s": 40.0}
#: A retry without a pause.
AT_ONCE = {"backoff_s": 0.01, "backoff_max_s": 0.01}


@dataclass
class Listener:
    """Notes what a run says."""

    said: list[tuple[str, str]] = field(default_factory=list)
    waits: dict[str, str] = field(default_factory=dict)

    def event(self, task_id: str, text: str) -> None:
        self.said.append((task_id, text))

    def pulse(self, pulse: Pulse) -> None:
        self.waits |= pulse.step.waits

    def stopping(self, *, at_once: bool) -> None:
        self.said.append(("", "stops" if at_once else "drains"))


def drive(
    workspace: Workspace, *, run_id: str = RUN, slots: int = 2, worker: str = "worker",
    listener: Listener | None = None,
) -> Outcome:  # fmt: skip
    """Work on a run until nothing can move without a person."""
    run = reopen(workspace, workspace.ledger.run(run_id))
    session = Session(
        workspace, run, slots=slots, worker=worker, listener=listener or Listener()
    )
    return session.drive()


def drive_there(root: Path, run_id: str = RUN, slots: int = 2, worker: str = "other") -> int:
    """Do the same from a process that has just opened the ledger; returns its exit status."""
    outcome = drive(open_workspace(root), run_id=run_id, slots=slots, worker=worker)
    return outcome.verdict.exit_status


def attempts(workspace: Workspace, task_id: str) -> tuple[Attempt, ...]:
    """Return the attempts of a task that are over."""
    return workspace.ledger.get(task_id).task.attempts


def outcomes(workspace: Workspace, task_id: str) -> list[str]:
    """Return what the attempts of a task have come to."""
    return [attempt.outcome for attempt in attempts(workspace, task_id)]


def statuses(workspace: Workspace) -> dict[str, str]:
    """Return the status of every task by id."""
    return {name: status.value for status in Status for name in workspace.ledger.names(status)}


def leftovers(workspace: Workspace) -> dict[str, Any]:
    """Return what runs leave behind them when they should not."""
    folder = workspace.state
    return {
        "folders": _names(folder) if folder.is_dir() else [],
        "records": _names(workspace.ledger.layout.local / "attempts"),
        "branches": git(workspace.main, "for-each-ref", "--format=%(refname)", "refs/heads/wf-try"),
        "worktrees": git(workspace.main, "worktree", "list", "--porcelain").count("worktree ") - 2,
    }


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


NOTHING_LEFT = {"folders": [], "records": [], "branches": "", "worktrees": 0}


def note(folder: Path, line: str = "$WFLEDGER_TASK") -> str:
    """Return the piece of a shell line that adds *line* to a file which `noted` reads."""
    return f"echo {line} >> {folder / 'noted'}"


def noted(folder: Path) -> list[str]:
    """Return the lines that workers have noted."""
    path = folder / "noted"
    return path.read_text().splitlines() if path.exists() else []


def meet(folder: Path, me: str, other: str) -> str:
    """Return a shell line that ends when another worker runs the opposite one at the same time."""
    for name in (me, other):
        fifo = folder / f"{name}.fifo"
        if not fifo.exists():
            os.mkfifo(fifo)
    mine, theirs = folder / f"{me}.fifo", folder / f"{other}.fifo"
    # Opened for both, so that neither side waits in open().
    return f"exec 8<>{mine} 9<>{theirs}; echo here >&9; read -r word <&8"
