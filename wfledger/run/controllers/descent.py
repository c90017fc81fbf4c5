"""What a controller has started, at any depth: its tasks name it, or one that names it, as parent.

A group has started nothing; what it is made of goes with it, as do the candidates of a choice.
"""

from collections.abc import Iterable, Iterator

from wfledger.core.documents import Task
from wfledger.core.ids import child_id
from wfledger.core.statuses import Status
from wfledger.run.controllers.moves import Scene
from wfledger.run.workspace import Workspace

_GROUPS = frozenset({"branch_set", "sequence"})


def failures_below(scene: Scene, *, besides: str) -> tuple[str, ...]:
    """Return the blocked tasks below a controller that do not belong to its step *besides*."""
    task_id = scene.task.id
    last = child_id(task_id, f"{besides}.x").removesuffix("x")
    blocked = scene.workspace.ledger.tasks(Status.BLOCKED, run=scene.run.id)
    found = []
    for task in blocked:
        chain = [task.id, *_chain(scene.workspace, task, until=task_id)]
        if chain[-1] == task_id and len(chain) > 1 and not chain[-2].startswith(last):
            found.append(task.id)
    return tuple(found)


def _chain(workspace: Workspace, task: Task, *, until: str) -> Iterator[str]:
    """Yield the tasks that *task* belongs to, nearest first, up to *until*."""
    parent = task.spec.parent
    seen = {task.id}
    while parent is not None and parent not in seen:
        yield parent
        if parent == until:
            return
        seen.add(parent)
        entry = workspace.ledger.find(parent)
        parent = entry.task.spec.parent if entry is not None else None


def open_below(workspace: Workspace, task_id: str) -> tuple[str, ...]:
    """Return the tasks that go when *task_id* is cancelled and are not over; none of most."""
    ledger = workspace.ledger
    root = ledger.get(task_id).task
    if root.spec.control is None:
        return ()
    found = (task for status in Status if not status.is_final
             for task in ledger.tasks(status, run=root.run))  # fmt: skip
    return tuple(task.id for task in _belonging((root, *found), root.id))


def _belonging(tasks: Iterable[Task], root: str) -> list[Task]:
    """Return those of *tasks* that go when the controller *root* goes, without itself."""
    every = list(tasks)
    groups = {task.id: task.spec.control.members for task in every
              if task.spec.control is not None and task.spec.control.kind in _GROUPS}  # fmt: skip
    gone, fresh = {root}, {root}
    while fresh:
        members = {name for one in fresh for name in groups.get(one, ())}
        fresh = {
            task.id for task in every
            if task.id in members or fresh & {task.spec.parent, task.spec.candidate_of}
        } - gone  # fmt: skip
        gone |= fresh
    return [task for task in every if task.id in gone and task.id != root]
