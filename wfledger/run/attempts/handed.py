"""What a task is handed of those before it: their results, and who has none.

A controller that only holds others together is opened: whoever waits for a branch, a loop or an
expansion is handed what came of it, too. A choice and a reduction stand for what they were made of,
and a gate for what came of the work that it has sent back last.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from wfledger.core.documents import Result, Task
from wfledger.core.graph import Standing
from wfledger.run.workspace import Workspace

#: Kinds of controllers whose result stands for those of their members.
CLOSED: Final = frozenset({"reduce", "teacher_review"})
#: Results that one task is handed; what is beyond them is found by the envelope that names it.
MOST: Final = 1000


@dataclass
class Handed:
    """Results by task, in the order of the inputs, and the names of those that have none."""

    results: dict[str, Result] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    #: Those of `results` that only hold others together.
    groups: set[str] = field(default_factory=set)
    #: What is beyond the bound, as far as it was met.
    left_out: tuple[str, ...] = ()


def handed(workspace: Workspace, task: Task) -> Handed:
    """Return what *task* is handed; an input that is not done is missing, whatever it left."""
    named = [one for one in task.missing if one in (*task.spec.inputs, *task.spec.after)]
    return gather(workspace, task.spec.inputs, missing=named)


def gather(workspace: Workspace, names: Iterable[str], *, missing: Iterable[str] = ()) -> Handed:
    """Return the results of the tasks *names*, and of what they hold together."""
    found = Handed()
    gone: dict[str, None] = {}
    waiting = list(reversed(list(names)))
    seen: set[str] = set()
    while waiting and len(seen) < MOST:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        result = landed_result(workspace, name)
        if result is None:
            if not _is_superseded(workspace, name):
                gone[name] = None
            continue
        found.results[name] = result
        parts = _parts(workspace, name)
        if parts:
            found.groups.add(name)
            waiting += reversed(parts)
    found.missing = list(dict.fromkeys([*missing, *gone]))
    found.left_out = tuple(name for name in dict.fromkeys(reversed(waiting)) if name not in seen)
    return found


def _parts(workspace: Workspace, name: str) -> tuple[str, ...]:
    entry = workspace.ledger.find(name)
    control = entry.task.spec.control if entry is not None else None
    if entry is None or control is None or control.kind in CLOSED:
        return ()
    exits = entry.task.control.exits if entry.task.control is not None else ()
    if control.kind == "gate":
        return exits
    return tuple(dict.fromkeys((*control.members, *exits)))


def _is_superseded(workspace: Workspace, name: str) -> bool:
    """Whether something else has been done in place of a task, and is handed on in its stead."""
    entry = workspace.ledger.find(name)
    return entry is not None and Standing.of(entry.task, entry.status).is_superseded


def landed_result(workspace: Workspace, producer: str) -> Result | None:
    """Return the envelope of a producer that is done, or None."""
    entry = workspace.ledger.find(producer)
    if entry is None or entry.task.landed is None:
        return None
    accepted = entry.task.accepted
    attempt = accepted.attempt if accepted else entry.task.attempt
    return workspace.ledger.result(producer, attempt)
