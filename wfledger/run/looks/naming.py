"""What people mean by the name of a task or of a run."""

from typing import Final

from wfledger.core.documents import Run
from wfledger.core.statuses import Status
from wfledger.errors import NotFoundError
from wfledger.run.workspace import Workspace

#: Stands for the newest run of a plan, where no run is called so.
LAST: Final = "last"


def resolve(workspace: Workspace, name: str) -> str:
    """Return the full id of a task named in short.

    `build` means the task of that name in the newest run that has one; a full id stands for itself.
    """
    if _exists(workspace, name):
        return name
    for run in reversed(workspace.ledger.runs()):
        full = f"{run.id}.{name}"
        if _exists(workspace, full):
            return full
    raise NotFoundError(f"there is no task {name}", hint="wfledger list", task=name)


def _exists(workspace: Workspace, name: str) -> bool:
    try:
        return any(workspace.ledger.layout.task(status, name).exists() for status in Status)
    except ValueError:
        return False


def find_run(workspace: Workspace, name: str) -> Run:
    """Return the run with that id, or the newest of that name, or the `last` one of a plan.

    Raises `NotFoundError`.
    """
    runs = workspace.ledger.runs()
    found = [run for run in runs if run.id == name]
    found = found or [run for run in runs if run.name == name and name]
    found = found or [run for run in runs if run.plan is not None and name == LAST]
    if found:
        return found[-1]
    raise NotFoundError(f"there is no run {name}", hint="wfledger status", run=name)


def task_ids(workspace: Workspace, run: Run) -> tuple[str, ...]:
    """Return the ids of a run's tasks, also of one that tasks are added to."""
    found = {name for status in Status for name in workspace.ledger.names(status, run=run.id)}
    return (*run.tasks, *sorted(found - set(run.tasks)))
