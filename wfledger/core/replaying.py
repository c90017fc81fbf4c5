"""Whether what this machine did still fits what the remote says; pure (spec 97, section 3).

Records of the journal are judged one after the other on the remote's tip and on what was taken
before them. What fits is taken as it is; a cancellation is made anew on whatever the task has
become; everything else is lost, with the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core.documents import Attempt, Run, Task
from wfledger.core.hub import is_elsewhere, shown
from wfledger.core.records import canonical_json, parse, plain
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError

#: A record of the journal as `store.journal` reads it.
Entry = Mapping[str, Any]
#: Which of two states of a run that were decided on at once is the one that holds.
_WEIGHT: Final = {"open": 0, "paused": 1, "landed": 2, "aborted": 3}
_UNITED: Final = ("tasks", "aside", "reuses")
#: What people decide of a run.
_DECIDED: Final = ("state", "ends", "name", "goal", "max_concurrent", "budget", "time_s", "gate")


@dataclass(frozen=True)
class Seen:
    """A task as the remote has it, with what was taken so far."""

    task: Task
    status: Status

    def at(self, here: str) -> Status:
        """Return in which folder the machine *here* has it."""
        return shown(self.task, self.status, here)


@dataclass(frozen=True)
class Taken:
    """It becomes part of the history, as *after*."""

    record: dict[str, Any]
    after: Seen


@dataclass(frozen=True)
class There:
    """It is in the history already."""


@dataclass(frozen=True)
class Lost:
    """It does not fit."""

    because: str


@dataclass(frozen=True)
class Over:
    """It was a note about a landing, and the task is over: nobody has to hear of it."""


Verdict = Taken | There | Lost | Over


def judge(record: Entry, seen: Seen | None, *, here: str) -> Verdict:
    """Say what becomes of a record about a task, which the remote has as *seen*."""
    if record["kind"] == "claim":
        return _judge_claim(record, seen, here=here)
    try:
        task = parse(Task, canonical_json(record["content"]))
    except InvalidDocumentError as error:
        return Lost(f"it cannot be read: {error.message}")
    if record["from"] is None:
        return _judge_new(record, task, seen)
    if seen is None:
        return Lost("the remote has no such task")
    return _judge_change(record, task, seen, here=here)


def _judge_change(record: Entry, task: Task, seen: Seen, *, here: str) -> Verdict:
    target = Status(record["to"])
    if seen.task == task and seen.at(here) is target:
        return There()
    works_there = target is Status.IN_PROGRESS and is_elsewhere(seen.task, here)
    if _is_next(record, seen, here=here) and not works_there:
        return Taken(dict(record), Seen(task, target))
    if target is Status.CANCELLED and _may_be_cancelled(seen):
        return _cancelled(record, seen)
    return Over() if _is_of_a_landing(record, seen) else Lost(_has(seen, here))


def _is_of_a_landing(record: Entry, seen: Seen) -> bool:
    """Whether a lander noted for itself how far it was with what is over on the remote.

    A push whose answer was lost has landed it, or somebody has cancelled it.
    """
    is_note = record["from"] == record["to"] == Status.MERGING.value
    return is_note and seen.status.is_final and seen.task.attempt == record["attempt"]


def _is_next(record: Entry, seen: Seen, *, here: str) -> bool:
    """Whether the remote has the task exactly as it was when the record was made."""
    if Status(record["to"]) is Status.CANCELLED and seen.at(here) is not seen.status:
        return False  # written anew, so that the history says what it was there
    if seen.task.seq != record["seq"] - 1:
        return False
    if seen.status is Status.PENDING and record["from"] == Status.IN_PROGRESS.value:
        return not is_elsewhere(seen.task, here)  # claimed by a rename that nobody had recorded
    return bool(seen.at(here).value == record["from"])


def _judge_claim(record: Entry, seen: Seen | None, *, here: str) -> Verdict:
    if seen is None:
        return Lost("the remote has no such task")
    if (seen.task.attempt, seen.task.seq) == (record["attempt"], record["seq"]) and not (
        is_elsewhere(seen.task, here)
    ):
        if seen.status is Status.PENDING:
            return Taken(dict(record), Seen(seen.task, Status.IN_PROGRESS))
        if seen.status is Status.IN_PROGRESS:
            return There()
    return Lost(_has(seen, here))


def _judge_new(record: Entry, task: Task, seen: Seen | None) -> Verdict:
    if seen is None:
        return Taken(dict(record), Seen(task, Status(record["to"])))
    same = (task.spec_sha256, task.created) == (seen.task.spec_sha256, seen.task.created)
    return There() if same else Lost("another task has that id")


def _may_be_cancelled(seen: Seen) -> bool:
    landing = seen.status is Status.MERGING and seen.task.intent is not None
    return not seen.status.is_final and not landing


def _cancelled(record: Entry, seen: Seen) -> Taken:
    """Cancel the task as the remote has it."""
    task, attempts = seen.task, seen.task.attempts
    if seen.status in {Status.IN_PROGRESS, Status.MERGING} and task.attempt > len(attempts):
        worker = task.claim.worker if task.claim else "unknown"
        over = Attempt(number=task.attempt, worker=worker, outcome="stopped",
                       message=record["why"] or "cancelled", ended=record["at"])  # fmt: skip
        attempts = (*attempts, over)
    new = task.next(
        attempts=attempts, block=None, hold=None, grant=None, claim=None, merger=None, intent=None
    )
    changed = {**record, "from": seen.status.value, "seq": new.seq, "attempt": new.attempt,
               "content": plain(new)}  # fmt: skip
    return Taken(changed, Seen(new, Status.CANCELLED))


def _has(seen: Seen, here: str) -> str:
    task = seen.task
    where = f" on {task.grant.machine}" if task.grant and is_elsewhere(task, here) else ""
    return f"the remote has it as {seen.status.value}{where}, attempt {task.attempt}"


def merge_runs(base: Run | None, ours: Run, theirs: Run) -> Run:
    """Return the document of a run that both sides changed since *base*.

    Lists are united; a field that one side changed is as that side has it; where both did, it is
    the remote's, but for the state, of which the heavier one holds.
    """
    changes: dict[str, Any] = {}
    for name in Run.model_fields:
        if name in {"seq", "state", "reason", "ends", *_UNITED}:
            continue
        mine, other = getattr(ours, name), getattr(theirs, name)
        if base is not None and mine != getattr(base, name) == other:
            changes[name] = mine
    for name in _UNITED:
        present = getattr(theirs, name)
        added = tuple(one for one in getattr(ours, name) if one not in present)
        if added:
            changes[name] = (*present, *added)
    if _state_is_ours(base, ours, theirs):
        changes |= {"state": ours.state, "reason": ours.reason, "ends": ours.ends}
    elif ours.state == theirs.state:
        changes["ends"] = ours.ends or theirs.ends
    changes = {name: value for name, value in changes.items() if value != getattr(theirs, name)}
    return theirs.but(seq=theirs.seq + 1, **changes) if changes else theirs


def overruled(base: Run | None, ours: Run, merged: Run) -> tuple[str, ...]:
    """Return what was decided here of a run since *base*, and is otherwise in what was *merged*."""
    if base is None:
        return ()
    changed = (name for name in _DECIDED if getattr(ours, name) != getattr(base, name))
    return tuple(name for name in changed if getattr(ours, name) != getattr(merged, name))


def _state_is_ours(base: Run | None, ours: Run, theirs: Run) -> bool:
    mine, other = (ours.state, ours.ends), (theirs.state, theirs.ends)
    if base is not None and (base.state, base.ends) in {mine, other}:
        return mine != (base.state, base.ends)
    return (_WEIGHT[ours.state], ours.ends) > (_WEIGHT[theirs.state], theirs.ends)
