"""Bringing the directory to what the history says already: what a meeting with the remote shows.

Nothing is recorded here, and nobody has to finish it: whoever shows something moves the branch
first and does all of it again until it is done. What somebody changed by hand and nobody has
looked at yet is kept in quarantine/ before it is overwritten.
"""

import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from wfledger import faults
from wfledger.core import bounds
from wfledger.core.documents import Task
from wfledger.core.records import parse
from wfledger.core.statuses import Status
from wfledger.errors import LedgerDamagedError, WfledgerError
from wfledger.store import atomic
from wfledger.store.layout import EDITABLE, is_id
from wfledger.store.transaction import Transaction

faults.register("showing.task.moved", "showing.task.done", "showing.file.done")

#: What a file may be without having been edited by hand; asked only where it matters.
Known = Callable[[], Collection[bytes]]

_LOOKS: Final = 3
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}\.json\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}\Z")
_REASON: Final = "changed by hand while the remote had it otherwise"


def is_document(path: str) -> bool:
    """Whether *path* is a file of a ledger that is no task, and that may be written."""
    folder, _, rest = path.partition("/")
    if path in EDITABLE:
        return True
    if folder == "runs":
        return rest.endswith(".json") and is_id(rest.removesuffix(".json"))
    if folder == "results":
        task, _, number = rest.partition("/")
        return is_id(task) and _NUMBER.match(number) is not None
    return folder == "quarantine" and _NAME.match(rest) is not None


def show_task(
    changes: Transaction, task: Task, status: Status, raw: bytes, *, known: Known
) -> bool:
    """Let the directory have *task*, whose bytes are *raw*, in *status*; whether it changed.

    Held: the ledger lock. An offer that was claimed by a rename is left to its claimant.
    """
    layout = changes.ledger.layout
    if status is Status.PENDING and os.path.lexists(layout.claim(task.id, task.attempt)):
        status = Status.IN_PROGRESS  # whoever took such an offer would lose, for ever
    for _ in range(_LOOKS):
        try:
            return _show(changes, task, status, raw, known=known)
        except FileNotFoundError:
            continue  # a claimer took it out of pending/ this moment
    raise LedgerDamagedError(f"{task.id} cannot be shown: its file keeps moving", task=task.id)


def _show(
    changes: Transaction, task: Task, status: Status, raw: bytes, *, known: Known
) -> bool:
    layout = changes.ledger.layout
    goal = layout.task(status, task.id)
    found = _only_one(changes, task.id, status)
    if found is None:
        goal.parent.mkdir(exist_ok=True)
        atomic.write_new(goal, raw, tmp=layout.tmp)
        faults.point("showing.task.done")
        return True
    path = layout.task(found, task.id)
    present = _read(path)
    if present == raw and found is status:
        return False
    if status is Status.PENDING and found is Status.IN_PROGRESS and _is_offer(present, task):
        return False
    if present != raw and present not in known():
        _keep(changes, path)
    goal.parent.mkdir(exist_ok=True)
    if found is Status.PENDING:
        # Nobody may claim what is about to change: first out of there, then the content.
        away = goal if status is not Status.PENDING else layout.task(Status.WAITING, task.id)
        away.parent.mkdir(exist_ok=True)
        atomic.move(path, away)
        path = away
        faults.point("showing.task.moved")
    if present != raw:
        atomic.replace(path, raw, tmp=layout.tmp)
    if path != goal:
        atomic.move(path, goal)
    faults.point("showing.task.done")
    return True


def _only_one(changes: Transaction, task_id: str, wanted: Status) -> Status | None:
    """Return where the task's file is; of several all but one go to quarantine/."""
    layout = changes.ledger.layout
    places = _places(changes, task_id)
    if len(places) < 2:
        return places[0] if places else None
    kept = wanted if wanted in places else places[-1]
    for status in places:
        if status is not kept:
            changes.quarantine(layout.task(status, task_id), reason=f"a second file of {task_id}")
    return kept


def _places(changes: Transaction, task_id: str) -> list[Status]:
    layout = changes.ledger.layout
    root = os.fspath(layout.root)  # ten thousand tasks may be looked for seven times each
    return [one for one in Status if os.path.lexists(f"{root}/{layout.relative(one, task_id)}")]


def _is_offer(present: bytes | None, task: Task) -> bool:
    """Whether what lies in in-progress/ is the very offer."""
    if present is None:
        return False
    try:
        found = parse(Task, present)
    except WfledgerError:
        return False
    return (found.attempt, found.seq) == (task.attempt, task.seq)


def hide_task(changes: Transaction, task_id: str, *, known: Known) -> bool:
    """Take away the file of a task that the history has not; what is not *known* is kept."""
    places = _places(changes, task_id)
    for status in places:
        path = changes.ledger.layout.task(status, task_id)
        if _read(path) not in known():
            _keep(changes, path)
        path.unlink(missing_ok=True)
    return bool(places)


def show_file(
    changes: Transaction, relative: str, raw: bytes | None, *, known: Collection[bytes | None]
) -> bool:
    """Let the directory have *raw* at a path that is no task; None: nothing."""
    layout = changes.ledger.layout
    path = layout.root / relative
    present = _read(path)
    if present == raw:
        return False
    if present not in known and os.path.lexists(path):
        _keep(changes, path)
    if raw is None:
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(exist_ok=True)
        atomic.replace(path, raw, tmp=layout.tmp)
    faults.point("showing.file.done")
    return True


def _read(path: Path) -> bytes | None:
    try:
        return atomic.read(path, limit=bounds.RUN_BYTES)
    except (OSError, WfledgerError):
        return None


def _keep(changes: Transaction, path: Path) -> None:
    """Keep what is about to be overwritten; what is no plain file moves away as it is."""
    if _read(path) is None:
        if os.path.lexists(path):
            changes.quarantine(path, reason=_REASON)
        return
    changes.set_aside(path, reason=_REASON)
