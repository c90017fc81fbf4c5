"""Asks the controllers that are due, and applies what they answer.

Asking may take a while and is done without the ledger lock; applying looks again under it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.control import ControlKind
from wfledger.core.documents import Accepted, Attempt, Hold, Landed, Result, Task
from wfledger.core.graph import Readiness
from wfledger.core.statuses import Actor, Status
from wfledger.errors import (
    BusyError,
    EnvironmentFailedError,
    InvalidDocumentError,
    NotFoundError,
    PausedError,
    StaleError,
    TransitionError,
    UsageError,
)
from wfledger.run.attempts.keeping import Kept, with_kept
from wfledger.run.controllers.admitting import admitted
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop, Wait
from wfledger.run.controllers.parts import as_it_is
from wfledger.run.controllers.patience import Patience
from wfledger.run.hub.keeping import offer, want
from wfledger.run.refnames import keep_ref
from wfledger.run.reuse.keying import Keyer
from wfledger.run.step import Step
from wfledger.run.submit import is_aside
from wfledger.run.workspace import Workspace
from wfledger.store.transaction import Transaction
from wfledger.vcs.refs import RefUpdate, swap

faults.register(
    "control.added", "control.named", "control.noted", "control.superseded", "control.kept",
    "control.result-written", "control.decided",
)  # fmt: skip

_BY: Final = "scheduler"
#: Kind of controller -> module of this package and its function, loaded when one is due.
KINDS: Final[Mapping[ControlKind, tuple[str, str]]] = {
    "branch_set": ("groups", "gather"),
    "sequence": ("groups", "gather"),
    "cond": ("choosing", "choose"),
    "loop_until": ("looping", "loop"),
    "expand": ("spreading", "spread"),
    "script": ("scripting", "go_on"),
    "reduce": ("reducing", "reduce"),
    "teacher_review": ("reviewing", "review"),
    "gate": ("gating", "gate"),
}

#: What is wrong with the plan or its fleet, and stays so until a person does something.
_LASTING: Final = (InvalidDocumentError, UsageError, NotFoundError)

#: Steps of one tick that follow from one another; the rest is for the next tick.
_ROUNDS: Final = 64
#: Problems of what was to be started that a block holds.
_SHOWN: Final = 10

Report = Callable[[str, str], None]


def step_through(
    workspace: Workspace, look: Callable[[], Step], report: Report, *, asks: bool = True,
    patience: Patience | None = None,
) -> Step:
    """Step until no controller has anything left to decide, for one may wait for another.

    Without *asks* none is asked, since whoever steps begins nothing more; see `advance` for
    *patience*.
    """
    patience = patience or Patience(workspace.clock)
    for _ in range(_ROUNDS):
        step = look()
        for name, sentence in step.adopted:
            report(name, sentence)
        due = step.controls if asks else []
        if not advance(workspace, due, report, patience) and not step.reusing:
            break
    return step


def advance(
    workspace: Workspace, due: Sequence[tuple[Task, Readiness]], report: Report,
    patience: Patience,
) -> bool:
    """Let each controller of *due* take its next step; returns whether anything has changed.

    Durable on return. One that this machine cannot ask now is reported and asked later, the others
    go on; raises `EnvironmentFailedError` where that has happened with it again and again.
    """
    changed = False
    for task, found in due:
        if not patience.allows(task.id):
            continue
        scene = Scene(workspace, workspace.ledger.run(task.run), task, found.missing)
        try:
            move, tasks = _next_of(scene)
            if isinstance(move, Wait) or _is_away(scene, move):
                continue
            _apply(scene, move, tasks)
        except (StaleError, BusyError, PausedError):
            continue  # somebody else has gone on with it, or nothing may start now
        except EnvironmentFailedError as error:
            if not patience.wait(task.id):
                raise
            report(task.id, f"it is asked again later: {error.message}")
            continue
        patience.forget(task.id)
        changed = True
        if isinstance(move, Decide | Stop):
            report(task.id, move.sentence if isinstance(move, Decide) else move.reason)
    return changed


def _is_away(scene: Scene, move: Move) -> bool:
    """Whether another machine did what was chosen, and its work is yet to be fetched."""
    chosen = move.landing if isinstance(move, Decide) else None
    workspace = scene.workspace
    if chosen is None or not workspace.is_shared or workspace.repo.has_commit(chosen.head):
        return False
    want(workspace, scene.task)
    return True


def _next_of(scene: Scene) -> tuple[Move, list[Task]]:
    """Return what comes next, and the tasks that it adds; a plan that cannot go on stops."""
    try:
        move = ask(scene)
        return move, admitted(scene, move) if isinstance(move, Start) else []
    except _LASTING as error:
        found = error.facts.get("errors") or error.facts.get("problems") or []
        return Stop("control_error", error.message, facts={"errors": found[:_SHOWN]}), []


def ask(scene: Scene) -> Move:
    """Return what a controller does next; changes nothing (replay asks the same way)."""
    if scene.state.facts.get("accepted"):
        return as_it_is(scene)
    module, name = KINDS[scene.control.kind]
    kind = getattr(import_module(f"wfledger.run.controllers.{module}"), name)
    move: Move = kind(scene)
    return move


def _apply(scene: Scene, move: Note | Start | Decide | Stop, tasks: Sequence[Task]) -> None:
    key = _key_of(scene, move) if isinstance(move, Decide) else None
    with scene.workspace.ledger.transaction(_BY) as changes:
        _require_unchanged(changes, scene.task)
        if isinstance(move, Note):
            changes.update(scene.task.id, why=move.why, control=move.state)
            faults.point("control.noted")
        elif isinstance(move, Start):
            _start(changes, scene, move, tasks)
        elif isinstance(move, Decide):
            _decide(changes, scene, move, key=key)
        else:
            _stop(changes, scene, move)


def _require_unchanged(changes: Transaction, task: Task) -> None:
    entry = changes.get(task.id)
    if entry.status is not Status.WAITING or entry.task.seq != task.seq:
        raise StaleError(f"{task.id} has changed meanwhile", task=task.id)


def _start(changes: Transaction, scene: Scene, move: Start, tasks: Sequence[Task]) -> None:
    """Add what is not there yet, make it part of the run, and only then note it (WFL-CTRL-003)."""
    ledger = scene.workspace.ledger
    there = {name for status in Status for name in ledger.names(status, run=scene.run.id)}
    for task in tasks:
        if task.id not in there:
            changes.add(task, why=f"{move.why}, by {scene.task.id}")
            faults.point("control.added")
    run = ledger.run(scene.run.id)
    known = set(run.tasks)
    fresh = [task for task in tasks if task.id not in known]
    if fresh:
        aside = tuple(task.id for task in fresh if move.asks or is_aside(task.spec))
        named = (*run.tasks, *(task.id for task in fresh))
        changes.put_run(
            run.but(seq=run.seq + 1, tasks=named, aside=(*run.aside, *aside)), why=move.why
        )
        faults.point("control.named")
    changes.update(scene.task.id, why=move.why, control=move.state)
    faults.point("control.noted")


def _key_of(scene: Scene, move: Decide) -> str | None:
    """Return the key of what is decided (WFL-REUSE-001)."""
    task = scene.task.but(control=move.state or scene.task.control)
    return Keyer(scene.workspace).key(task, missing=move.missing)


def _decide(changes: Transaction, scene: Scene, move: Decide, *, key: str | None) -> None:
    task, now = scene.task, iso(scene.workspace.clock.now())
    _supersede(changes, scene, move)
    attempt = task.attempt + 1
    state = {} if move.state is None else {"control": move.state}
    result = Result(
        task=task.id, attempt=attempt, status="succeeded", summary=move.summary,
        outputs=dict(move.outputs), findings=tuple(dict(one) for one in move.findings),
        synthesis=move.synthesis, handoffs=tuple(move.handoffs), key=key,
    )  # fmt: skip
    if move.landing is not None:
        kept = _take_over(scene, move.landing, attempt)
        result = with_kept(scene.workspace, task, result, kept)
        over = Attempt(
            number=attempt, worker=_BY, outcome="succeeded", message=move.sentence, ended=now,
            kept=kept.head,
        )  # fmt: skip
        changes.put_result(result)
        faults.point("control.result-written")
        changes.update(
            task.id, why=move.sentence, accepted=move.landing.but(attempt=attempt),
            attempt=attempt, attempts=(*task.attempts, over), missing=move.missing, **state,
        )  # fmt: skip
        return
    changes.put_result(result)
    faults.point("control.result-written")
    changes.move(
        task.id, Status.DONE, actor=Actor.SCHEDULER, why=move.sentence, attempt=attempt, hold=None,
        missing=move.missing, landed=Landed(how="decided", at=now), **state,
    )  # fmt: skip
    faults.point("control.decided")


def _supersede(changes: Transaction, scene: Scene, move: Decide) -> None:
    """Give up what failed on the way, and does not count any more."""
    for task_id in move.supersedes:
        hold = Hold(code="superseded", reason=f"{scene.task.id}: {move.sentence}")
        with suppress(StaleError, TransitionError):  # a person was faster, and tries it again
            if changes.get(task_id).status is Status.BLOCKED:
                changes.move(
                    task_id, Status.CANCELLED, actor=Actor.SCHEDULER, why="superseded",
                    block=None, hold=hold,
                )  # fmt: skip
                faults.point("control.superseded")


def _take_over(scene: Scene, chosen: Accepted, attempt: int) -> Kept:
    """Keep what was chosen as the controller's own: everything about results holds for it then.

    The ref comes first, as for any result (WFL-RESULT-010); doing it again changes nothing.
    """
    repo, ref = scene.workspace.repo, keep_ref(scene.task.id, attempt)
    update = RefUpdate(ref, chosen.head, repo.tip(ref))
    if not swap(repo, [update], reason="wfledger: chosen"):
        raise StaleError(f"{ref} was moved by another process", task=scene.task.id)
    offer(scene.workspace, ref, chosen.head)
    faults.point("control.kept")
    return Kept(chosen.base, chosen.head)


def _stop(changes: Transaction, scene: Scene, move: Stop) -> None:
    block = outcome.block(scene.task, move.code, move.reason, **dict(move.facts))
    if move.command is not None:
        block = block.but(command=move.command)
    state = {} if move.state is None else {"control": move.state}
    changes.move(
        scene.task.id, Status.BLOCKED, actor=Actor.SCHEDULER, why=move.reason, block=block,
        hold=None, **state,
    )  # fmt: skip
