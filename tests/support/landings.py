"""Landing in tests, here and in other processes, and what must hold of it afterwards."""

import threading
from collections.abc import Callable
from pathlib import Path

from tests.support.repos import git
from tests.support.workspaces import BRANCH, open_workspace
from wfledger.core.documents import Accepted, Intent, Merger, Task
from wfledger.core.statuses import Actor, Status
from wfledger.run.merger.landing import Landing, land_task
from wfledger.run.workspace import Workspace


def land(
    workspace: Workspace,
    task: Task,
    *,
    owner: str = "lander",
    stop: threading.Event | None = None,
    report: Callable[[str], None] = lambda _: None,
    wait: float = 0.0,
) -> Landing:
    """Land *task* and return what came of it."""
    return land_task(
        workspace, task.id, owner=owner, stop=stop or threading.Event(), report=report,
        wait_for_target=wait,
    )  # fmt: skip


def land_there(root: Path, task_id: str, wait: float = 0.0) -> Landing:
    """Land a task from a process that has just opened the ledger of *root*."""
    workspace = open_workspace(root)
    return land(workspace, workspace.ledger.get(task_id).task, owner="other", wait=wait)


def landed_commits(root: Path, task_id: str) -> list[str]:
    """Return the commits on the run's branch that say they are the task's."""
    lines = git(
        root, "log", "--format=%H %(trailers:key=Wfledger-Task,valueonly,separator=%x2C)", BRANCH
    )
    return [line.split()[0] for line in lines.splitlines() if line.split()[1:] == [task_id]]


def places(workspace: Workspace, task_id: str) -> list[Status]:
    """Return every status folder that has the task."""
    layout = workspace.ledger.layout
    return [status for status in Status if layout.task(status, task_id).exists()]


def assert_landed_once(workspace: Workspace, task: Task) -> str:
    """Check everything that a landing promises; return the commit."""
    root, entry = workspace.main, workspace.ledger.get(task.id)
    commits = landed_commits(root, task.id)
    assert len(commits) == 1
    assert places(workspace, task.id) == [Status.DONE]
    assert entry.task.landed is not None
    assert entry.task.landed.commit == commits[0]
    assert entry.task.intent is None
    assert git(root, "rev-parse", f"refs/wfledger/landed/{task.id}") == commits[0]
    kept = git(root, "rev-parse", f"refs/wfledger/keep/{task.id}/{task.attempt}")
    assert f"Wfledger-Head: {kept}" in git(root, "log", "-1", "--format=%B", commits[0])
    return commits[0]


def accept(workspace: Workspace, task: Task, accepted: Accepted) -> Task:
    """Do what the verb `accept` and the promotion after it do."""
    with workspace.ledger.transaction("test") as changes:
        changes.move(
            task.id, Status.WAITING, actor=Actor.PERSON, why="accepted", accepted=accepted,
            block=None,
        )  # fmt: skip
        return changes.move(task.id, Status.MERGING, actor=Actor.SCHEDULER, why="land-only")


def outcomes(workspace: Workspace, task: Task) -> list[str]:
    return [attempt.outcome for attempt in workspace.ledger.get(task.id).task.attempts]


def announce(workspace: Workspace, task: Task) -> Intent:
    """Bring *task* to where a merger has recorded its intent and then died."""
    root, tip = workspace.main, git(workspace.main, "rev-parse", BRANCH)
    tree = git(root, "rev-parse", f"refs/wfledger/keep/{task.id}/1^{{tree}}")
    message = f"{task.id}\n\nWfledger-Task: {task.id}\nWfledger-Attempt: 1\n"
    head = git(root, "rev-parse", f"refs/wfledger/keep/{task.id}/1")
    message += f"Wfledger-Head: {head}\n"
    made = git(root, "commit-tree", tree, "-p", tip, "-m", message)
    intent = Intent(round=1, target=BRANCH, tip=tip, candidate=made, tree=tree, epoch=1)
    with workspace.ledger.transaction("test") as changes:
        merger = Merger(owner="dead", epoch=1)
        changes.update(task.id, why="intent", merger=merger, intent=intent)
    return intent
