"""Tasks as a controller may add them: staffed, within their bounds, below the controller.

What holds for the tasks that a worker starts holds for those that come later of what it submitted:
no more than the worker itself may (WFL-CTRL-014). Everything is refused before anything is added.
"""

from wfledger.clock import iso
from wfledger.core import bounds
from wfledger.core.documents import Task, TaskSpec
from wfledger.core.records import canonical
from wfledger.errors import InvalidDocumentError
from wfledger.run.attempts.authorities import Grounds, authority_of
from wfledger.run.attempts.bounding import bounded
from wfledger.run.controllers.moves import Scene, Start
from wfledger.run.guard import vouching
from wfledger.run.money.spending import above
from wfledger.run.staffing import unstaffed
from wfledger.run.submit import new_task, with_role


def admitted(scene: Scene, move: Start) -> list[Task]:
    """Return the tasks of *move* as they are added; changes nothing.

    Raises `InvalidDocumentError` with every excess, `PausedError` where nobody vouches for
    fleet.toml.
    """
    fleet = vouching.fleet(scene.workspace)
    _require_room(scene, move)
    named = [
        (task_id, with_role(spec, scene.task.spec.role, fleet).but(parent=scene.task.id))
        for task_id, spec in move.tasks
    ]
    problems = unstaffed(named, fleet)
    specs, excesses = _within(scene, named, Grounds(fleet, scene.run, vouching.policy(
        scene.workspace)))  # fmt: skip
    problems += excesses
    if problems:
        raise InvalidDocumentError(
            "; ".join(dict.fromkeys(problems)), hint=f"wfledger show {scene.task.id}",
            problems=problems,
        )  # fmt: skip
    now = iso(scene.workspace.clock.now())
    tasks = [new_task(task_id, spec, now) for task_id, spec in specs]
    for task in (*tasks, scene.task.next(control=move.state)):
        _require_size(task)
    return tasks


def _within(
    scene: Scene, named: list[tuple[str, TaskSpec]], grounds: Grounds
) -> tuple[list[tuple[str, TaskSpec]], list[str]]:
    """Return the specs within what the worker may that has started all this, and every excess."""
    worker = _worker_above(scene)
    if worker is None:
        return named, []
    mine = authority_of(grounds, worker.spec)
    made, problems = [], []
    for task_id, spec in named:
        inner, said = bounded(grounds, worker, spec, mine)
        made.append((task_id, inner.but(budget=spec.budget)))
        problems += [f"{task_id}: {one}" for one in said]
    return made, problems


def _worker_above(scene: Scene) -> Task | None:
    """Return the nearest task above that is somebody's work; None where a person submitted it."""
    ledger = scene.workspace.ledger
    entries = (ledger.find(name) for name in above(scene.workspace, scene.task.id))
    tasks = (entry.task for entry in entries if entry is not None)
    return next((task for task in tasks if task.spec.control is None), None)


def _require_room(scene: Scene, move: Start) -> None:
    known = set(scene.run.tasks)
    fresh = sum(1 for task_id, _ in move.tasks if task_id not in known)
    if len(known) + fresh > bounds.RUN_TASKS:
        raise InvalidDocumentError(
            f"{fresh} more tasks, and the run has {len(known)}; at most {bounds.RUN_TASKS}"
        )


def _require_size(task: Task) -> None:
    size = len(canonical(task))
    if size > bounds.TASK_BYTES:
        raise InvalidDocumentError(f"{task.id} would be {size} bytes; at most {bounds.TASK_BYTES}")
