"""What a task is doing, in one word: finer than its status, for people and programs that watch.

Pure, and nothing is decided by it. The status says where a task stands in the protocol; the state
adds what its runtime, its merger or its worker last said, and whether anybody is still there
(WFL-STATUS-040).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wfledger.core import outcome
from wfledger.core.documents import Task
from wfledger.core.statuses import Status

#: Seconds without output after which a running attempt is called silent.
SILENT_S: Final = 60.0


class State(StrEnum):
    """Every state there is; a task has exactly one."""

    #: Waits for its turn, or is on offer.
    QUEUED = "queued"
    #: Claimed; nothing more is known yet.
    LEASED = "leased"
    #: Its worktree is made and prepared.
    STARTING = "starting"
    RUNNING = "running"
    #: Runs, and has printed nothing for `SILENT_S`.
    SILENT = "silent"
    #: Reported by the worker: it waits for its model.
    MODEL_WAIT = "model_wait"
    #: Reported by the worker: a tool of its runs.
    RUNNING_TOOL = "running_tool"
    #: The worker has ended; what it made is brought under a ref.
    KEEPING = "keeping"
    VERIFYING = "verifying"
    #: Handed in: waits to be landed, or is being merged.
    MERGING = "merging"
    GATING = "gating"
    COMPLETED = "completed"
    #: Blocked by a failure.
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Blocked because somebody stopped it.
    INTERRUPTED = "interrupted"
    #: Its lease is over or its owner is gone, and nobody has taken it back yet.
    STALE = "stale"
    #: Waits for a person for another reason than a failure.
    ESCALATED = "escalated"


#: What may be said of a claimed task, and of one in merging/.
WORKING: Final = frozenset(
    {
        State.STARTING, State.RUNNING, State.MODEL_WAIT, State.RUNNING_TOOL, State.KEEPING,
    }
)  # fmt: skip
LANDING: Final = frozenset({State.VERIFYING, State.MERGING, State.GATING})
#: What a worker may say of itself.
REPORTED: Final = (State.RUNNING, State.MODEL_WAIT, State.RUNNING_TOOL)
_BY_STATUS: Final = {
    Status.WAITING: State.QUEUED,
    Status.PENDING: State.QUEUED,
    Status.DONE: State.COMPLETED,
    Status.CANCELLED: State.CANCELLED,
}


@dataclass(frozen=True)
class Seen:
    """What was seen of a task besides its document."""

    #: What was last said of the attempt (`attempts.phases`).
    said: str | None = None
    #: Whether whoever holds it is gone, or has not renewed for its lease.
    is_lost: bool = False
    #: Seconds since the last output; None where there is none.
    quiet_s: float | None = None


def state_of(task: Task, status: Status, seen: Seen) -> State:
    """Return what *task* is doing."""
    if status is Status.IN_PROGRESS:
        return State.STALE if seen.is_lost else _working(seen)
    if status is Status.MERGING:
        said = _known(seen.said)
        if task.hold is not None and task.hold.code == "verifier":
            return State.VERIFYING
        return State.STALE if seen.is_lost else said if said in LANDING else State.MERGING
    if status is Status.BLOCKED:
        return _blocked(task)
    if status is Status.PENDING and task.spec.manual:
        return State.ESCALATED
    return _BY_STATUS[status]


def _working(seen: Seen) -> State:
    said = _known(seen.said)
    if said is State.RUNNING and seen.quiet_s is not None and seen.quiet_s >= SILENT_S:
        return State.SILENT
    return said if said in WORKING else State.LEASED


def _known(said: str | None) -> State | None:
    try:
        return State(said) if said else None
    except ValueError:  # of a newer version
        return None


def _blocked(task: Task) -> State:
    code = task.block.code if task.block else ""
    if code == "stopped":
        return State.INTERRUPTED
    failed = code == "exhausted" or (code in outcome.SOURCES and code != "question")
    return State.FAILED if failed else State.ESCALATED
