"""What becomes of a change whose maker died or failed in the middle of it (spec 80, section 1).

The marker says what was begun. A change is completed when something of it is visible in the status
folders, else forgotten. Completing is idempotent: each step looks at what is there, and what is in
the journal already is not recorded again.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wfledger import faults
from wfledger.core import bounds
from wfledger.core.documents import Task
from wfledger.core.records import canonical, parse
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.store import atomic, claims, journal

if TYPE_CHECKING:
    from wfledger.store.transaction import Holder, Transaction

faults.register("ledger.finish.rotated", "ledger.finish.moved")

_WHY: Final = "finished after an interruption"


def finish(changes: "Transaction") -> None:
    """Complete or forget what the marker names, then wipe it. Held: the ledger lock."""
    ledger = changes.ledger
    begun = ledger.marker.get()
    if begun is None:
        return
    ledger.journal.rotate()  # a torn line may end the open file; nothing follows it
    faults.point("ledger.finish.rotated")
    if "file" in begun:
        _finish_file(changes, str(begun["file"]))
    elif "task" in begun:
        _finish_task(changes, begun)
    ledger.marker.clear()


def _recorded(ledger: "Holder") -> list[dict[str, Any]]:
    """Return the records that are still in the journal, also of files that are damaged."""
    return [record for path in ledger.journal.files() for record in journal.salvage(path)[0]]


def _finish_file(changes: "Transaction", relative: str) -> None:
    ledger = changes.ledger
    try:
        raw = atomic.read(ledger.layout.root / relative, limit=bounds.RUN_BYTES)
    except (OSError, WfledgerError):
        return
    last = [r for r in _recorded(ledger) if r["kind"] == "file" and r["path"] == relative][-1:]
    if not last or journal.file_bytes(last[0]) != raw:
        changes.record_file(relative, raw, why=_WHY)


def _finish_task(changes: "Transaction", begun: dict[str, Any]) -> None:
    ledger = changes.ledger
    task_id, target, seq = begun["task"], Status(begun["target"]), int(begun["seq"])
    source = Status(begun["source"]) if begun["source"] else None
    goal = ledger.layout.task(target, task_id)
    if source and source is not target and not goal.exists():
        start = ledger.layout.task(source, task_id)
        task = _readable(start)
        if task is None or source is Status.PENDING or task.seq < seq:
            return  # it never began
        goal.parent.mkdir(exist_ok=True)
        atomic.move(start, goal)
        faults.point("ledger.finish.moved")
    task = _readable(goal)
    if task is None or (task.seq < seq and source is not Status.PENDING):
        return  # it never began, or what is there is another thing altogether
    if "token" in begun and _is_of_another(ledger, task, str(begun["token"])):
        return  # the race for this claim was lost, and its winner has recorded it
    if task.seq < seq:
        # Renamed out of pending/, content not written: the rename decided. What the content would
        # have been is not known any more; the number rises all the same.
        task = task.next()
        atomic.replace(goal, canonical(task), tmp=ledger.layout.tmp)
    recorded = begun.get("recorded", begun["source"])  # a file adopted may lie elsewhere than said
    _record(changes, task, Status(recorded) if recorded else None, target)


def _record(
    changes: "Transaction", task: Task, source: Status | None, target: Status
) -> None:
    ledger = changes.ledger
    last = [r for r in _recorded(ledger) if r.get("task") == task.id][-1:]
    state = (task.attempt, task.seq, target.value)
    if last and (last[0]["attempt"], last[0]["seq"], last[0]["to"]) == state:
        return
    if source is Status.PENDING and target is Status.IN_PROGRESS:
        record = _claim_record(ledger, task)
        if record is not None:
            changes.record_claim(task, record, why=_WHY)
            return
    changes.record_task(task, source, target, why=_WHY)


def _is_of_another(ledger: "Holder", task: Task, token_sha256: str) -> bool:
    record = _claim_record(ledger, task)
    return record is not None and record.token_sha256 != token_sha256


def _claim_record(ledger: "Holder", task: Task) -> claims.ClaimRecord | None:
    try:
        return claims.read(ledger.layout.claim(task.id, task.attempt))
    except FileNotFoundError:
        return None


def _readable(path: Path) -> Task | None:
    try:
        return parse(Task, atomic.read(path, limit=bounds.TASK_BYTES))
    except (OSError, WfledgerError):
        return None
