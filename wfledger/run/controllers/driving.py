"""Asks the controllers that are due, and applies what they answer.

Asking may take a while and is done without the ledger lock; applying looks again under it.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.control import ControlKind
from wfledger.core.documents import Landed, Result, Task
from wfledger.core.graph import Readiness
from wfledger.core.statuses import Actor, Status
from wfledger.errors import StaleError, WfledgerError
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop, Wait
from wfledger.run.submit import new_task
from wfledger.run.workspace import Workspace
from wfledger.store.transaction import Transaction

faults.register("control.added", "control.noted", "control.result-written", "control.decided")

_BY: Final = "scheduler"
#: Kind of controller -> module of this package and its function, loaded when one is due.
KINDS: Final[Mapping[ControlKind, tuple[str, str]]] = {
    "branch_set": ("groups", "gather"),
    "sequence": ("groups", "gather"),
}

Report = Callable[[str, str], None]


def advance(
    workspace: Workspace, due: Sequence[tuple[Task, Readiness]], report: Report
) -> bool:
    """Let each controller of *due* take its next step; returns whether anything has changed.

    Durable on return.
    """
    changed = False
    for task, found in due:
        scene = Scene(workspace, workspace.ledger.run(task.run), task, found.missing)
        try:
            move = _ask(scene)
        except WfledgerError as error:
            move = Stop("control_error", error.message)
        if isinstance(move, Wait):
            continue
        try:
            changed |= _apply(scene, move)
        except StaleError:
            continue  # somebody else has gone on with it
        if isinstance(move, Decide | Stop):
            report(task.id, move.summary if isinstance(move, Decide) else move.reason)
    return changed


def _ask(scene: Scene) -> Move:
    module, name = KINDS[scene.control.kind]
    kind = getattr(import_module(f"wfledger.run.controllers.{module}"), name)
    move: Move = kind(scene)
    return move


def _apply(scene: Scene, move: Note | Start | Decide | Stop) -> bool:
    with scene.workspace.ledger.transaction(_BY) as changes:
        _require_unchanged(changes, scene.task)
        if isinstance(move, Note):
            changes.update(scene.task.id, why=move.why, control=move.state)
            faults.point("control.noted")
        elif isinstance(move, Start):
            _start(changes, scene, move)
        elif isinstance(move, Decide):
            _decide(changes, scene, move)
        else:
            _stop(changes, scene, move)
    return True


def _require_unchanged(changes: Transaction, task: Task) -> None:
    entry = changes.get(task.id)
    if entry.status is not Status.WAITING or entry.task.seq != task.seq:
        raise StaleError(f"{task.id} has changed meanwhile", task=task.id)


def _start(changes: Transaction, scene: Scene, move: Start) -> None:
    """Add what is not there yet, make it part of the run, and only then note it (WFL-CTRL-003)."""
    workspace = scene.workspace
    now = iso(workspace.clock.now())
    for task_id, spec in move.tasks:
        if workspace.ledger.find(task_id) is None:
            changes.add(new_task(task_id, spec, now), why=f"{move.why}, by {scene.task.id}")
            faults.point("control.added")
    run = workspace.ledger.run(scene.run.id)
    known = set(run.tasks)
    fresh = tuple(task_id for task_id, _ in move.tasks if task_id not in known)
    if fresh:
        changes.put_run(run.but(seq=run.seq + 1, tasks=(*run.tasks, *fresh)), why=move.why)
    changes.update(scene.task.id, why=move.why, control=move.state)
    faults.point("control.noted")


def _decide(changes: Transaction, scene: Scene, move: Decide) -> None:
    task, now = scene.task, iso(scene.workspace.clock.now())
    attempt = task.attempt + 1
    state = {} if move.state is None else {"control": move.state}
    changes.put_result(Result(
        task=task.id, attempt=attempt, status="succeeded", summary=move.summary,
        outputs=dict(move.outputs), findings=tuple(dict(one) for one in move.findings),
        synthesis=move.synthesis,
    ))  # fmt: skip
    faults.point("control.result-written")
    if move.landing is not None:
        changes.update(
            task.id, why=move.summary, accepted=move.landing, missing=move.missing, **state
        )
        return
    changes.move(
        task.id, Status.DONE, actor=Actor.SCHEDULER, why=move.summary, attempt=attempt, hold=None,
        missing=move.missing, landed=Landed(how="decided", at=now), **state,
    )  # fmt: skip
    faults.point("control.decided")


def _stop(changes: Transaction, scene: Scene, move: Stop) -> None:
    block = outcome.block(scene.task, move.code, move.reason, **dict(move.facts))
    if move.command is not None:
        block = block.but(command=move.command)
    state = {} if move.state is None else {"control": move.state}
    changes.move(
        scene.task.id, Status.BLOCKED, actor=Actor.SCHEDULER, why=move.reason, block=block,
        hold=None, **state,
    )  # fmt: skip
