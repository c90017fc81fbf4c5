"""One task whose single attempt is driven to its end, and what is then looked at."""

from typing import Any

from tests.support.engines import LIMITS, NOTHING_LEFT, drive, leftovers, statuses
from tests.support.repos import git
from tests.support.workspaces import BRANCH, RUN, add_task
from wfledger.core.documents import Result, Task
from wfledger.run.workspace import Workspace

ID = f"{RUN}.a"
KEPT = f"refs/wfledger/keep/{ID}/1"
FILES = {"src/a.txt": "a\n", "src/b.txt": "b\n", "README.md": "# sample\n"}


def run_task(workspace: Workspace, command: str | tuple[str, ...], **spec: Any) -> Task:
    """Let the task `a` run *command*, and return it when the run is over."""
    add_task(workspace, "a", **({"command": command, "limits": LIMITS} | spec))
    drive(workspace, slots=1)
    return workspace.ledger.get(ID).task


def blocked(workspace: Workspace, command: str | tuple[str, ...], code: str, **spec: Any) -> str:
    """Let *command* run, expect that it is blocked as *code* and that all is tidy; the reason."""
    task = run_task(workspace, command, **spec)
    assert statuses(workspace)[ID] == "blocked"
    assert task.block is not None
    assert task.block.code == code, task.block.reason
    assert leftovers(workspace) == NOTHING_LEFT
    assert git(workspace.main, "rev-parse", BRANCH) == git(workspace.main, "rev-parse", "main")
    return task.block.reason


def result_of(workspace: Workspace) -> Result:
    found = workspace.ledger.result(ID, 1)
    assert found is not None
    return found
