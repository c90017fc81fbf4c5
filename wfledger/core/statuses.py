"""The statuses and the one table that says what may follow what (spec 30).

The folder that a task's file lies in is its status. No other module names an arrow; `spec/` prints
this table and a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wfledger.errors import TransitionError


class Status(StrEnum):
    """Where a task stands; the value is the name of its folder."""

    #: May not start yet: a dependency is open, a scope is held, a retry backs off.
    WAITING = "waiting"
    #: On offer; may be claimed now, by one rename and nothing else.
    PENDING = "pending"
    #: Claimed; by whom is in the claim record.
    IN_PROGRESS = "in-progress"
    #: The worker is finished; scope check, verification, gate and merge are due.
    MERGING = "merging"
    #: Landed, or accepted where the task writes nothing.
    DONE = "done"
    #: Needs a decision; the file says which, and the command that gives it.
    BLOCKED = "blocked"
    #: Will not be done.
    CANCELLED = "cancelled"

    @property
    def is_cold(self) -> bool:
        """Whether the folder has a sub-folder for each run."""
        return self in {Status.WAITING, Status.DONE, Status.CANCELLED}

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in {Status.DONE, Status.CANCELLED}

    @property
    def holds_scope(self) -> bool:
        """Whether a task here has its write scope reserved (spec 40)."""
        return self in {Status.PENDING, Status.IN_PROGRESS, Status.MERGING}


class Actor(StrEnum):
    """Who may move a task along an arrow."""

    AUTHOR = "author"
    SCHEDULER = "scheduler"
    WORKER = "worker"
    FINDER = "finder"
    MERGER = "merger"
    PERSON = "person"


#: Who may move a file with no more than `mv`.
_FREE: Final = frozenset({Actor.WORKER, Actor.PERSON})


@dataclass(frozen=True)
class Arrow:
    """One allowed transition: who may make it, and why it exists."""

    actors: frozenset[Actor]
    why: str


def _arrow(why: str, *actors: Actor) -> Arrow:
    return Arrow(frozenset(actors), why)


_W, _P, _I, _M = Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.MERGING
_D, _B, _C = Status.DONE, Status.BLOCKED, Status.CANCELLED
_CANCEL: Final = _arrow("will not be done", Actor.PERSON, Actor.SCHEDULER)

#: Every transition there is. Whatever is absent is refused.
TRANSITIONS: Final[Mapping[tuple[Status, Status], Arrow]] = {
    (_W, _P): _arrow("promotion: may start now; the attempt number rises first", Actor.SCHEDULER),
    (_W, _M): _arrow("land-only: a kept result was accepted", Actor.SCHEDULER),
    (_W, _D): _arrow(
        "a controller has decided, or a report was reused; no worker is needed", Actor.SCHEDULER
    ),
    (_W, _B): _arrow("can never start", Actor.SCHEDULER),
    (_W, _C): _CANCEL,
    (_P, _I): _arrow("the claim: one rename", Actor.WORKER),
    (_P, _W): _arrow("offer withdrawn", Actor.SCHEDULER),
    (_P, _C): _CANCEL,
    (_I, _M): _arrow("the worker is finished; its result is recorded", Actor.WORKER),
    (_I, _W): _arrow("released, failed retryably, or lost", Actor.WORKER, Actor.FINDER),
    (_I, _B): _arrow("question, not retryable, or attempts used up", Actor.WORKER, Actor.FINDER),
    (_I, _C): _CANCEL,
    (_M, _D): _arrow("merged and proved reachable, or nothing to merge", Actor.MERGER),
    (_M, _B): _arrow("out of scope, verification, conflict, gate", Actor.MERGER),
    (_M, _W): _arrow("failed in a way that the plan retries", Actor.MERGER),
    (_M, _C): _CANCEL,
    (_B, _W): _arrow("answered, retried, or accepted", Actor.PERSON),
    (_B, _C): _CANCEL,
}


def check(task_id: str, source: Status, target: Status) -> Arrow:
    """Return the arrow from *source* to *target*, or raise `TransitionError`."""
    arrow = TRANSITIONS.get((source, target))
    if arrow is None:
        raise TransitionError(
            f"{task_id} is {source.value}; from there it cannot become {target.value}",
            task=task_id,
            source=source.value,
            target=target.value,
        )
    return arrow


def may_move_freely(source: Status, target: Status | None) -> bool:
    """Whether a claimant or a person may make this move with `mv`, and leave no record of it."""
    arrow = None if target is None else TRANSITIONS.get((source, target))
    return arrow is not None and bool(arrow.actors & _FREE)
