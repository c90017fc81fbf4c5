"""How much of what may start this machine can take now: its free places, and what it took lately.

`hub/granted.json` says what was granted, or asked for, at the last meeting; losing it costs one
meeting in which nothing is asked for ahead.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from wfledger.clock import parse_iso
from wfledger.core.documents import Task
from wfledger.core.hub import Load
from wfledger.core.policy import Policy
from wfledger.core.records import canonical_json
from wfledger.errors import WfledgerError
from wfledger.run.hub.state import folder
from wfledger.run.presence import crews
from wfledger.run.slots import held
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

_FILE: Final = "granted.json"
#: Intervals after which others have had the time to do something, and did not.
PATIENCE: Final = 2
#: Attempts by which it is judged how long they take, and the shortest time that is believed.
_SAMPLE: Final = 8
_SHORTEST_S: Final = 0.001


@dataclass(frozen=True)
class Memory:
    """What the last meeting left."""

    #: When it was, by `clock.elapsed()`, in which boot.
    at: float = 0.0
    boot: str = ""
    #: Names `<task>.<attempt>` of what was granted to this machine or asked for.
    names: frozenset[str] = frozenset()
    #: Seconds that attempts took here lately.
    took_s: float | None = None
    #: How many places are likely to free until the next grant: so many offers are not too many.
    ahead: int = 0
    #: Since when others left what they could have begun at once; None: they do not.
    left_since: float | None = None
    #: Offers that went back since nobody took them, and when.
    returned: dict[str, float] = field(default_factory=dict)


def recall(workspace: Workspace) -> Memory:
    """Return what the last meeting of this boot left."""
    try:
        facts = json.loads((folder(workspace.ledger.layout.local) / _FILE).read_bytes())
        found = Memory(**{**facts, "names": frozenset(facts["names"])})
    except (OSError, ValueError, KeyError, TypeError):
        return Memory()
    return found if found.boot == workspace.machine.boot else Memory()


def remember(workspace: Workspace, memory: Memory) -> None:
    """Keep what a meeting, or a step, leaves; under the ledger lock."""
    layout = workspace.ledger.layout
    facts = {
        "at": memory.at, "boot": workspace.machine.boot, "names": sorted(memory.names),
        "took_s": memory.took_s,
        "ahead": memory.ahead, "left_since": memory.left_since, "returned": memory.returned,
    }  # fmt: skip
    atomic.replace(folder(layout.local) / _FILE, canonical_json(facts), tmp=layout.tmp)


def load_of(
    workspace: Workspace, offers: Collection[Task], begun: Iterable[Task], memory: Memory
) -> Load:
    """Return what the workers here can take; *offers* and *begun* are what is granted to us."""
    slots = max(crews(workspace).values(), default=0)
    free = max(slots - held(workspace, "slot"), 0) if slots else 0
    at_work = {name_of(task) for task in (*offers, *begun)}
    ended = sorted(memory.names - at_work)
    lately = [took for name in ended[:_SAMPLE] if (took := _took_s(workspace, name)) is not None]
    took_s = sum(lately) / len(lately) if lately else memory.took_s
    return Load(slots, free, len(offers), took_s)


def name_of(task: Task) -> str:
    """Return how an attempt of *task* is remembered."""
    return f"{task.id}.{task.attempt}"


def stale_s(policy: Policy, interval: float) -> float:
    """Return for how long an offer may lie that nobody takes (WFL-HUB-114)."""
    return max(policy.offer_ttl_s, PATIENCE * interval)


def not_needed(workspace: Workspace, offers: Sequence[Task], stale: float) -> Sequence[Task]:
    """Return those of *offers*, all of them old, for which no place here is going to free.

    While the remote is away that is none: nobody else could have them.
    """
    memory = recall(workspace)
    if workspace.clock.elapsed() - memory.at > stale:
        return ()
    return offers[memory.ahead :]


def note_returned(workspace: Workspace, offers: Iterable[Task]) -> None:
    """Remember what went back, so that it is not asked for again at once; under the ledger lock."""
    memory, now = recall(workspace), workspace.clock.elapsed()
    returned = dict.fromkeys((task.id for task in offers), now)
    if returned:
        remember(workspace, replace(memory, returned={**memory.returned, **returned}))


def _took_s(workspace: Workspace, name: str) -> float | None:
    """Return how long an attempt took that was claimed here and is over; both by our own clock."""
    task_id, _, number = name.rpartition(".")
    try:
        claimed = workspace.ledger.layout.claim(task_id, int(number)).stat().st_mtime
        entry = workspace.ledger.find(task_id)
    except (OSError, WfledgerError):
        return None
    attempts = entry.task.attempts if entry is not None else ()
    ended = next((one.ended for one in attempts if one.number == int(number)), None)
    return None if ended is None else max(parse_iso(ended).timestamp() - claimed, _SHORTEST_S)
