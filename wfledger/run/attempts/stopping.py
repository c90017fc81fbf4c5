"""`stop`: a person ends an attempt that runs somewhere on this machine; its work is kept.

The request is a file that the attempt's runtime looks for. Where no runtime lives, the attempt is
ended from here, the way a lost one is.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from wfledger.core.documents import Result, Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Actor, Status
from wfledger.errors import BusyError, StaleError, TransitionError
from wfledger.run.attempts import elsewhere, worktrees
from wfledger.run.attempts.attempt import clear_if_able
from wfledger.run.attempts.closing import close, failure
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.attempts.keeping import keep_what_is_left, with_kept
from wfledger.run.attempts.requests import request_end
from wfledger.run.beating import signed_by
from wfledger.run.liveness import look_for_stopped
from wfledger.run.pausing import pause_run
from wfledger.run.processes.holders import end_holders
from wfledger.run.processes.process import sweep
from wfledger.run.workspace import Workspace
from wfledger.store.locks import is_alive

#: Longest wait for a runtime to end its attempt.
WAIT_S: Final = 30.0
_LOOK_S: Final = 0.1
_GRACE_S: Final = 5.0


def stop(
    workspace: Workspace, task_id: str, *, reason: str = "", cancel: bool = False
) -> Task:
    """End the present attempt of a task; returns the task as it is when that has happened.

    With *cancel* the task is given up in the same step.
    Raises `TransitionError` when nobody works on it, or another machine does, and `BusyError` when
    its runtime does not answer.
    """
    entry = workspace.ledger.get(task_id)
    if entry.status is not Status.IN_PROGRESS:
        raise TransitionError(
            f"{task_id} is {entry.status.value}; nothing of it runs", task=task_id,
            hint=f"wfledger why {task_id}",
        )
    if elsewhere.is_of_another(workspace, entry):
        elsewhere.refuse_to_stop(workspace, entry.task)
    task, live = entry.task, workspace.ledger.layout.live(task_id, entry.task.attempt)
    said = request_end(workspace, task_id, task.attempt, reason=reason, cancel=cancel)
    deadline = workspace.clock.elapsed() + WAIT_S
    while workspace.clock.elapsed() < deadline:
        alive = is_alive(live)  # looked at first: a runtime lets go after it has moved the task
        now = workspace.ledger.get(task_id)
        if now.status is not Status.IN_PROGRESS or now.task.attempt != task.attempt:
            return now.task
        if not alive or _stands_still(workspace, live):
            with suppress(StaleError):  # somebody else has just ended it
                end_from_here(workspace, task, said)
            return workspace.ledger.get(task_id).task
        workspace.clock.wait(_LOOK_S)
    raise BusyError(
        f"the runtime of {task_id} has not ended it within {WAIT_S:g} s",
        hint="if it stands still, its lease ends by itself, and then: wfledger tick", task=task_id,
    )


def _stands_still(workspace: Workspace, live: Path) -> bool:
    runtime = signed_by(live)
    return runtime is not None and runtime in look_for_stopped(workspace, remember=False)


def end_from_here(workspace: Workspace, task: Task, reason: str) -> None:
    """End an attempt that no runtime looks after: its processes, then the attempt; work is kept."""
    name = workspace.ledger.layout.attempt_name(task.id, task.attempt)
    sweep(tag_for(workspace, name), grace_s=_GRACE_S)
    tree = workspace.ledger.layout.tree(task.id, task.attempt)
    if not end_holders(tree, clock=workspace.clock):
        raise BusyError(f"a process of {task.id} does not end", hint="try again", task=task.id)
    result = Result(
        task=task.id, attempt=task.attempt, status="failed",
        failure=failure("stopped", f"stopped: {reason}"),
    )
    place = worktrees.find(workspace, name)
    if place is not None:
        kept = keep_what_is_left(workspace, place, task_id=task.id, attempt=task.attempt)
        result = with_kept(workspace, task, result, kept)
        result = result.but(confined=worktrees.confined(workspace, place, task))
    close(workspace, result, by="person", actor=Actor.FINDER)
    if place is not None:
        clear_if_able(workspace, place)


def stop_run(workspace: Workspace, run_id: str, *, reason: str = "") -> list[str]:
    """Let a run start nothing more and end what runs of it; returns the tasks that were ended.

    Other machines end what they run of it when they hear of that. `run RUN` goes on with it.
    """
    pause_run(workspace, run_id, reason=reason, why="stopped", ends=workspace.is_shared)
    ended = []
    for task_id in workspace.ledger.names(Status.IN_PROGRESS, run=run_id):
        try:
            stop(workspace, task_id, reason=reason)
        except TransitionError:
            continue  # it ended by itself meanwhile, or another machine ends it
        ended.append(task_id)
    return ended


def elsewhere_of(workspace: Workspace, run_id: str) -> list[str]:
    """Return the tasks of a run that other machines work on."""
    here = workspace.ledger.layout.machine
    found = workspace.ledger.tasks(Status.IN_PROGRESS, run=run_id)
    return [task.id for task in found if is_elsewhere(task, here)]


def reopen_run(workspace: Workspace, run_id: str) -> None:
    """Let a stopped run go on."""
    with workspace.ledger.transaction("person") as changes:
        run = workspace.ledger.run(run_id)
        if run.state == "paused":
            opened = run.but(seq=run.seq + 1, state="open", reason="", ends=False)
            changes.put_run(opened, why="goes on")
