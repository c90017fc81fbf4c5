"""Controllers put into a ledger by hand, and what came of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.landings import land
from tests.support.repos import git
from tests.support.workspaces import BRANCH, add_task, hand_in, open_workspace
from wfledger.core.control import Condition, Control
from wfledger.core.documents import Result, Task
from wfledger.core.statuses import Status
from wfledger.run.attempts.claims import claim
from wfledger.run.controllers.driving import step_through
from wfledger.run.scheduler import Scheduler
from wfledger.run.workspace import Workspace


def leaf(node: str, command: str, **spec: Any) -> dict[str, Any]:
    """Return a node of a plan that runs *command*."""
    return {"kind": "leaf", "spec": {"id": node, "command": command, **spec}}


def sequence(node: str, *children: dict[str, Any]) -> dict[str, Any]:
    """Return a node whose *children* run one after the other."""
    return {"kind": "sequence", "spec": {"id": node, "children": list(children)}}


def controller(
    workspace: Workspace, node: str, *, after: tuple[str, ...] = (),
    on_failure: str = "skip_continue", condition: str | Condition | None = None, **control: Any,
) -> Task:  # fmt: skip
    """Put a controller into waiting/; a text is an expression."""
    asked = Condition(expression=condition) if isinstance(condition, str) else condition
    made = Control(**control, condition=asked)
    task = add_task(
        workspace, node, command=None, control=made, after=after, on_failure=on_failure
    )
    with workspace.ledger.transaction("test") as changes:
        run = workspace.ledger.run(task.run)
        known = run.but(seq=run.seq + 1, tasks=(*run.tasks, task.id), aside=(*run.aside, task.id))
        changes.put_run(known, why="submitted")
    return task


def decided(workspace: Workspace, task_id: str) -> Result:
    """Return the result of a controller that is over."""
    task = workspace.ledger.get(task_id).task
    result = workspace.ledger.result(task_id, task.attempt)
    assert result is not None, task.block
    return result


def look(workspace: Workspace) -> None:
    """Step until no controller has anything left to decide; nobody works."""
    scheduler = Scheduler(workspace)
    step_through(workspace, lambda: scheduler.step(slots=2), lambda *_: None)


def work_through(
    root: Path, work: Callable[[Workspace, Task], None], *, one_by_one: bool = False
) -> None:
    """Step and let *work* do what is on offer, claimed, until there is nothing.

    *one_by_one*: only the last one between two looks of the controllers.
    """
    workspace = open_workspace(root)
    while True:
        look(workspace)
        offers = sorted(workspace.ledger.names(Status.PENDING))
        if not offers:
            return
        for task_id in offers[-1:] if one_by_one else offers:
            claimed = claim(workspace, worker="worker", task_id=task_id, dispatches=True)
            work(workspace, claimed.task)


def finish(workspace: Workspace, task: Task, **result: Any) -> None:
    """Hand a claimed task in, and land it where it has not failed."""
    base = git(workspace.main, "rev-parse", BRANCH)
    hand_in(workspace, task, {}, base=base, **result)
    if result.get("status") != "failed":
        land(workspace, workspace.ledger.get(task.id).task)


def work_on_loop(workspace: Workspace, task: Task) -> None:
    """End a task of the controller `loop`: the first test fails, the first question is answered no."""
    first = ".loop.1." in task.id or ".loop.ask-1." in task.id
    if first and task.id.endswith("test"):
        finish(workspace, task, status="failed", failure={"class": "task", "source": "task"})
    else:
        finish(workspace, task, outputs={"verdict": not first})
