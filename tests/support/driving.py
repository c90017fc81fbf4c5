"""Those who drive themselves: tasks submitted without a card, and attempts that a test holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.terminal import Terminal
from wfledger.plans.checking import check
from wfledger.run.offering import claim_next
from wfledger.run.submit import Submission, submit


class Held(NamedTuple):
    """An attempt that a test holds."""

    task: str
    token: str
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return {"WFLEDGER_TASK": self.task, "WFLEDGER_TOKEN": self.token}

    @property
    def run(self) -> str:
        return self.task.partition(".")[0]


def submit_tasks(terminal: Terminal, *tasks: Mapping[str, Any], **top: Any) -> str:
    """Put a plan of *tasks* into the ledger and return its run."""
    checked = check({"goal": "try it", **top, "tasks": list(tasks)})
    assert checked.plan is not None, checked.errors
    return submit(terminal.workspace, Submission(checked.plan, "{}", "plan.json")).id


def take(terminal: Terminal, task_id: str | None = None, *, worktree: bool = True) -> Held:
    """Claim a task from the shell."""
    option = "--worktree" if worktree else ""
    found = terminal.json(f"wfledger claim {task_id or ''} {option}")
    return Held(found["task"]["id"], found["token"], Path(found["worktree"] or "none"))


def writer(terminal: Terminal, **fields: Any) -> Held:
    """Submit a task that may write src, and take it."""
    run = submit_tasks(terminal, {"id": "one", "command": "true", "write": ["src"], **fields})
    return take(terminal, f"{run}.one")


def hold(terminal: Terminal, task_id: str, worker: str = "somebody") -> str:
    """Claim a task in this process, without a worktree; returns its token."""
    return claim_next(terminal.workspace, worker=worker, task_id=task_id).token
