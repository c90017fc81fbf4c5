"""Handoffs: what a worker leaves for a role of its run, delivered once (spec 92, section 5).

Pure: it is told who has handed what over and what was delivered already, and says what the next
task of a role receives.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from wfledger.core.control import Delivered, Handoff
from wfledger.core.documents import Result, Task

#: How many a task receives at once; the others are for the next one.
RECEIVED: Final = 64


def same_role(one: str | None, other: str | None) -> bool:
    """Whether two roles of a plan are the same: without regard to the case of ASCII letters."""
    return one is not None and other is not None and _folded(one) == _folded(other)


def _folded(role: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in role.strip())


@dataclass(frozen=True)
class Offered:
    """A handoff with its place: the number that it has in the envelope of an attempt."""

    at: Delivered
    #: When the task was done whose worker left it.
    when: str
    handoff: Handoff


def offered(task: Task, result: Result) -> tuple[Offered, ...]:
    """Return what a task that is done has handed over."""
    when = task.landed.at if task.landed is not None else ""
    return tuple(
        Offered(Delivered(task=task.id, attempt=result.attempt, number=number), when, handoff)
        for number, handoff in enumerate(result.handoffs)
    )


def received(
    role: str, found: Iterable[Offered], taken: Collection[Delivered]
) -> tuple[Offered, ...]:
    """Return what the next task that plays *role* receives, newest first: nothing of *taken*."""
    mine = [one for one in found if same_role(one.handoff.to_role, role) and one.at not in taken]
    newest = sorted(mine, key=lambda one: (one.when, one.at.task, one.at.number), reverse=True)
    return tuple(newest[:RECEIVED])
