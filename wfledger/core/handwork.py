"""What a move or an edit made past the verbs means; pure (spec 50, sections 5 and 6).

A claimant and a person may do some things with `mv` and an editor. Whoever finds such a thing
compares it with the last record of the task, decides here, and records it or puts it back.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from wfledger.core.documents import Task, TaskSpec
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line

#: Members of a spec that a person may change in the file; the others say what the task may write,
#: run and be verified by, and are frozen (WFL-TASK-010).
FREE_SPEC: Final = frozenset(
    {"title", "priority", "after", "inputs", "limits", "retry", "on_failure"}
)
#: Members of a task, besides those that no program knows, that a person may change in the file.
FREE_TASK: Final = frozenset({"hold", "answers"})
#: Characters of a value that a message shows.
_SHOWN: Final = 80


class Act(StrEnum):
    """What somebody did with a task's file."""

    SOUND = "sound"
    #: Renamed to in-progress/, and nobody has said who it was; that has a grace (WFL-CLAIM-007).
    UNDECIDED = "undecided"
    CLAIM = "claim"
    HAND_IN = "hand in"
    GIVE_BACK = "give back"
    RETRY = "retry"
    CANCEL = "cancel"
    #: To be put back first, and then cancelled as the verb does it.
    END = "end"
    #: An offer that was moved away; it is promoted again, under a new number.
    WITHDRAW = "withdraw"
    EDIT = "edit"
    PUT_BACK = "put back"


#: Where a claimant who drives himself may move what he holds.
_BY_CLAIMANT: Final = {
    Status.MERGING: Act.HAND_IN, Status.WAITING: Act.GIVE_BACK, Status.BLOCKED: Act.GIVE_BACK,
}
_BY_PERSON: Final = {
    (Status.BLOCKED, Status.WAITING): Act.RETRY,
    (Status.PENDING, Status.WAITING): Act.WITHDRAW,
}


def decide(
    recorded: Status, found: Status, *, same: bool, claimed: bool, has_runtime: bool
) -> Act:
    """Say what it means that a task whose last record says *recorded* lies in *found*.

    *same*: its document is as recorded. *claimed*: somebody recorded the claim of its attempt.
    *has_runtime*: a runtime works on it, which ends it itself; nobody else hands it in.
    """
    if found is recorded:
        return _in_place(found, same=same)
    if recorded.is_final:
        return Act.PUT_BACK
    held = recorded is Status.IN_PROGRESS or (recorded is Status.PENDING and claimed)
    if found is Status.CANCELLED:
        return Act.END if held or recorded is Status.MERGING else Act.CANCEL
    if recorded is Status.PENDING and found is Status.IN_PROGRESS:
        return Act.CLAIM if claimed else Act.UNDECIDED
    if held and not has_runtime:
        return _BY_CLAIMANT.get(found, Act.PUT_BACK)
    return Act.PUT_BACK if held else _BY_PERSON.get((recorded, found), Act.PUT_BACK)


def _in_place(found: Status, *, same: bool) -> Act:
    if same:
        return Act.SOUND
    return Act.EDIT if found in {Status.WAITING, Status.BLOCKED} else Act.PUT_BACK


@dataclass(frozen=True)
class Edit:
    """What an edited document comes to."""

    #: The recorded document with what was taken in; its digest stays where a frozen member changed.
    task: Task
    #: Members that were taken in.
    taken: tuple[str, ...] = ()
    #: Members of the spec that only a verb changes, with what they were and are.
    frozen: tuple[str, ...] = ()
    #: Members that programs write; they stay as recorded.
    refused: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Say what was changed in members that are frozen."""
        return "; ".join(self.frozen)


def merge(recorded: Task, found: Task) -> Edit:
    """Return what the edit of *recorded* into *found* comes to; the number is not raised."""
    spec, taken, frozen = _merge_spec(recorded, found)
    changes: dict[str, Any] = {}
    refused = []
    for name in sorted({*_members(recorded), *_members(found)} - {"spec", "spec_sha256", "seq"}):
        old, new = _member(recorded, name), _member(found, name)
        if old == new:
            continue
        if name in FREE_TASK or name not in Task.model_fields:
            changes[name] = new
        else:
            refused.append(name)
    taken += sorted(changes)
    digest = recorded.spec_sha256 if frozen else spec.digest()
    task = recorded.but(spec=spec, spec_sha256=digest, **changes)
    return Edit(task, tuple(taken), tuple(frozen), tuple(refused))


def _merge_spec(recorded: Task, found: Task) -> tuple[TaskSpec, list[str], list[str]]:
    """Return the spec as it is to stand, and the names and sentences of what changed in it."""
    if found.spec.digest() == recorded.spec_sha256:
        return found.spec, [], []
    names = sorted({*_members(recorded.spec), *_members(found.spec)})
    changed = [n for n in names if _member(recorded.spec, n) != _member(found.spec, n)]
    frozen = [
        f"{name} was {_shown(recorded.spec, name)} and is {_shown(found.spec, name)}"
        for name in changed if name not in FREE_SPEC
    ]
    if not frozen and recorded.spec.digest() != recorded.spec_sha256:
        frozen = ["the spec is still not the one that was submitted"]
    taken = [name for name in changed if name in FREE_SPEC]
    return found.spec, [] if frozen else taken, frozen


def _members(record: Task | TaskSpec) -> set[str]:
    return {*type(record).model_fields, *(record.model_extra or {})}


def _member(record: Task | TaskSpec, name: str) -> Any:
    if name in type(record).model_fields:
        return getattr(record, name)
    return (record.model_extra or {}).get(name)


def _shown(spec: TaskSpec, name: str) -> str:
    value = spec.model_dump(mode="json").get(name)
    text = clean_line(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
