"""Several machines, one remote: how often they meet there, and what each of them shows.

Pure. The remote's ledger ref is the only arbiter; it grants tasks to machines, and the rename
grants them to workers (spec 97).
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

from wfledger.core.documents import Task
from wfledger.core.policy import RemotePolicy
from wfledger.core.statuses import Status

#: Pushes a minute for one repository that operators of forges publish as their recommended most.
PUBLISHED: Final = {"github.com": 6.0, "gitlab.com": 6.0, "bitbucket.org": 6.0,
                    "codeberg.org": 6.0, "dev.azure.com": 6.0}  # fmt: skip
#: Shortest interval, for a server of one's own.
LEAST_INTERVAL_S: Final = 1.0
#: Attempts that take so many intervals are long: nothing is asked for ahead of them.
_LONG: Final = 8
#: A lease is no shorter than so many intervals (WFL-HUB-041).
INTERVALS_PER_LEASE: Final = 6


def pushes_per_minute(policy: RemotePolicy, host: str | None) -> float | None:
    """Return how many pushes all machines together may make; None: nobody limits them."""
    return policy.pushes_per_minute or PUBLISHED.get(host or "")


def interval_s(policy: RemotePolicy, host: str | None, machines: int) -> float:
    """Return seconds between two pushes of one of *machines* (WFL-HUB-040)."""
    wanted = LEAST_INTERVAL_S if policy.interval_s is None else policy.interval_s
    limit = pushes_per_minute(policy, host)
    return wanted if limit is None else max(wanted, max(machines, 1) * 60 / limit)


def least_lease_s(interval: float) -> float:
    """Return the shortest lease that is sound with an *interval* between pushes (WFL-HUB-041)."""
    return INTERVALS_PER_LEASE * interval


def shown(task: Task, status: Status, here: str) -> Status:
    """Return in which folder the machine *here* has a task that is *status* on the remote.

    What is on offer to another machine lies where nobody here can claim it (WFL-HUB-012).
    """
    if status is Status.PENDING and task.grant is not None and task.grant.machine != here:
        return Status.IN_PROGRESS
    return status


def is_elsewhere(task: Task, here: str) -> bool:
    """Whether another machine than *here* alone may move *task* on, while it holds its scope."""
    return task.grant is not None and task.grant.machine != here


@dataclass(frozen=True)
class Load:
    """What the workers of one machine can take, and how long what they take keeps them."""

    #: Attempts at once, and how many of these places are free.
    slots: int
    free: int
    #: Tasks that were granted to it and that nobody has begun.
    offers: int = 0
    #: Seconds that attempts lately took here; None where none has ended yet.
    took_s: float | None = None


def ahead(load: Load, *, interval: float, most: int) -> int:
    """Return how many tasks to have granted beyond what is free: for places that free meanwhile.

    That is as many as end here until the next grant comes, by how long they took lately, so that no
    place waits for it; never more than *most*. Nothing before any has ended, nor where an interval
    is short beside an attempt: a task kept for a busy machine would wait for longer than a place
    does, though another machine may be free by then (WFL-HUB-112).
    """
    if load.took_s is None or load.took_s >= _LONG * interval:
        return 0
    if load.took_s * most <= load.slots * interval:
        return most
    return ceil(load.slots * interval / load.took_s)


def part_ahead(load: Load, more: int, *, supply: int, elsewhere: int, places: int) -> int:
    """Return how many of *more* to ask for ahead: no more than this machine's part.

    *supply* tasks may start, *elsewhere* of them at once on other machines, which have *places* in
    all. Who asks first would else have what keeps all of them busy (WFL-HUB-113).
    """
    left = max(supply - load.free - elsewhere, 0)
    return min(more, ceil(left * load.slots / max(load.slots + places, 1)))


def portion(load: Load, more: int, *, ready: int, elsewhere: int) -> int:
    """Return how many of *ready* tasks this machine asks for now, *more* beyond what is free.

    *elsewhere* is how many the other machines could begin at once. Where there are not enough for
    all, each takes its part; what another one could begin at once is not taken ahead (WFL-HUB-113).
    """
    wanted = max(load.free + more - load.offers, 0)
    at_once = min(max(load.free - load.offers, 0), wanted)
    left = ready - at_once - elsewhere
    if left >= 0:
        return min(wanted, at_once + left)
    return min(ceil(ready * at_once / (at_once + elsewhere)), ready)
