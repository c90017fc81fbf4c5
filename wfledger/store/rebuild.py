"""Making the files again after `.wfledger/` was removed, or after power may have been lost.

The truth of each task is settled as everywhere (`store.settling`): journal, then directory, then
branch. Task files are not made durable one by one, so after a power loss any of them may be old,
empty, undone or doubled; the journal and the branch are what was promised (WFL-REC-005).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core.documents import Accepted, Attempt, Run, Task
from wfledger.core.records import Record, parse
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.store import claiming, folders
from wfledger.store.boot import needs_redo, note_boot
from wfledger.store.evidence import Evidence, gather, read_document
from wfledger.store.layout import SUFFIX, Layout, is_id
from wfledger.store.ledger import Ledger
from wfledger.store.repair import discard, mend
from wfledger.store.settling import Origin, Settled
from wfledger.store.transaction import Transaction

__all__ = ["Rebuilt", "needs_redo", "note_boot", "redo"]

faults.register(
    "rebuild.folders", "rebuild.strays", "rebuild.tasks", "rebuild.documents",
)

_WHY: Final = "rebuilt"


@dataclass
class Rebuilt:
    """What was made again."""

    #: Tasks that were brought to where they belong.
    tasks: list[str] = field(default_factory=list)
    #: Those of them that only the branch had and that got a higher attempt number.
    raised: list[str] = field(default_factory=list)
    #: Paths of other documents.
    files: list[str] = field(default_factory=list)
    #: Paths that went to quarantine/.
    quarantined: list[str] = field(default_factory=list)


def redo(
    ledger: Ledger,
    committed_files: Iterable[tuple[str, bytes]],
    *,
    by: str = "doctor",
    only_if_needed: bool = False,
    is_shared: bool = False,
) -> Rebuilt:
    """Make the ledger's files what journal, directory and branch together say; durable on return.

    *committed_files* is every file of the branch, path and content. Done twice it changes nothing.
    An open task that only the branch has gets a higher attempt number, since what was promised
    after the last commit is gone: its offer is withdrawn, its attempt counts as lost, and a result
    that was about to land is accepted to land. One whose claim record is still on this machine goes
    on as it is. With *is_shared* nothing is raised: the branch is what a remote has confirmed, and
    the numbers are given out there (WFL-HUB-059). `.wfledger/.git` must be the right pointer
    already, and the caller keeps the journal from being committed meanwhile: what is dropped after
    the branch was read is missed.
    """
    branch = dict(committed_files)
    folders.create_local(ledger.layout)
    done = Rebuilt()
    with ledger.transaction(by, guarded=False) as changes:
        if only_if_needed and not needs_redo(ledger):
            return done
        # Under the lock: nobody may find the empty folders and believe them.
        folders.create(ledger.layout)
        faults.point("rebuild.folders")
        ledger.journal.rotate()  # what comes now must not follow a torn line
        evidence = gather(ledger, committed=branch.get)
        _clear_strays(changes, evidence, done)
        faults.point("rebuild.strays")
        # Documents first: a result is looked for when its task is rebuilt.
        for path in _documents(evidence, branch):
            _restore_document(changes, evidence, path, done)
        faults.point("rebuild.documents")
        numbers = _claimed_numbers(ledger.layout)
        for task_id in _ids(evidence, branch):
            settled = _restore_task(changes, evidence, task_id, done)
            if settled is not None and is_shared:
                changes.restore(settled.task, settled.status, source=None, why=None)
            elif settled is not None:
                _raise(ledger, changes, settled, claimed=numbers.get(task_id, 0))
                done.raised.append(task_id)
        faults.point("rebuild.tasks")
        note_boot(ledger)
    return done


def _clear_strays(changes: Transaction, evidence: Evidence, done: Rebuilt) -> None:
    for stray in evidence.survey.strays:
        if stray.code != "newer":
            discard(changes, evidence, stray)
            done.quarantined.append(str(stray.path))
    evidence.survey.strays = [item for item in evidence.survey.strays if item.code == "newer"]


# -- documents -----------------------------------------------------------------------------------


def _documents(evidence: Evidence, branch: dict[str, bytes]) -> list[str]:
    tasks = {status.value for status in Status}
    paths = set(branch) | set(evidence.replay.files)
    return sorted(p for p in paths if PurePosixPath(p).parts[0] not in tasks and _is_plain(p))


def _is_plain(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return not path.startswith("/") and not {"..", ".git"} & set(parts)


def _restore_document(
    changes: Transaction, evidence: Evidence, relative: str, done: Rebuilt
) -> None:
    told = evidence.content(relative)
    if told is None:
        return
    path = changes.ledger.layout.root / relative
    try:
        found = read_document(evidence.layout, relative)
        if not _is_behind(found, told):
            return
    except FileNotFoundError:
        pass
    except (WfledgerError, OSError) as error:
        changes.quarantine(path, reason=str(error))
        done.quarantined.append(str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    changes.put_file(relative, told, why=_WHY)
    done.files.append(relative)


def _is_behind(found: Record | bytes, told: bytes) -> bool:
    """Whether a readable document is older than what is told of it; power loss also empties."""
    if isinstance(found, bytes):
        return not found and bool(told)
    if not isinstance(found, Run):
        return False
    try:
        return parse(Run, told, limit=len(told)).seq > found.seq
    except WfledgerError:
        return False


# -- tasks ---------------------------------------------------------------------------------------


def _ids(evidence: Evidence, branch: dict[str, bytes]) -> list[str]:
    folders_of_tasks = {status.value for status in Status}
    paths = (PurePosixPath(path) for path in branch if path.endswith(SUFFIX))
    told = {path.name.removesuffix(SUFFIX) for path in paths if path.parts[0] in folders_of_tasks}
    present = set(evidence.survey.copies) | set(evidence.replay.tasks)
    newer = {stray.task_id for stray in evidence.survey.strays}
    return sorted(filter(is_id, (told | present) - newer))


def _restore_task(
    changes: Transaction, evidence: Evidence, task_id: str, done: Rebuilt
) -> Settled | None:
    """Bring a task to where it belongs; returned instead when that must be with a higher number."""
    evidence.look_again(task_id)
    settled = evidence.settled(task_id, after_power_loss=True)
    copies = evidence.survey.copies.get(task_id, [])
    if settled is None:
        for copy in copies:
            changes.quarantine(copy.path, reason="two files of one number, and no record")
            done.quarantined.append(str(copy.path))
        return None
    is_lone = settled.origin is Origin.BRANCH and not copies
    if is_lone and not settled.status.is_final and not _is_borne_out(evidence.layout, settled):
        done.tasks.append(task_id)
        return settled
    if mend(changes, evidence, settled):
        done.tasks.append(task_id)
    return None


def _claimed_numbers(layout: Layout) -> dict[str, int]:
    """Return for each task the highest attempt whose claim was recorded on this machine."""
    highest: dict[str, int] = {}
    for path in (layout.local / "claims").iterdir():
        task_id, _, number = path.name.rpartition(".")
        if number.isascii() and number.isdigit():
            highest[task_id] = max(highest.get(task_id, 0), int(number))
    return highest


def _is_borne_out(layout: Layout, settled: Settled) -> bool:
    """Whether this machine's own record says as well that the attempt is somebody's."""
    task = settled.task
    if settled.status is not Status.IN_PROGRESS:
        return False
    is_claimed = layout.claim(task.id, task.attempt).exists()
    return is_claimed and not claiming.is_taken_back(layout, task.id, task.attempt)


def _raise(ledger: Ledger, changes: Transaction, settled: Settled, *, claimed: int) -> None:
    """Put an open task that only the branch has where it can go on, with a number of its own."""
    task, status = settled.task, settled.status
    facts: dict[str, Any] = {"attempt": max(task.attempt, claimed) + 1}
    if status is Status.MERGING:
        facts["accepted"] = _accepted(ledger, task)
    elif status is Status.IN_PROGRESS:
        over = Attempt(
            number=task.attempt, worker=task.claim.worker if task.claim else "unknown",
            outcome="lost", message="the ledger was rebuilt from its branch",
            ended=iso(ledger.clock.now()),
        )
        facts |= {"claim": None, "attempts": (*task.attempts, over)}
    target = Status.BLOCKED if status is Status.BLOCKED else Status.WAITING
    changes.restore(task.next(**facts), target, source=None, why=_WHY)


def _accepted(ledger: Ledger, task: Task) -> Accepted | None:
    """Return the result that was about to land, to land without another attempt."""
    if task.accepted is not None:
        return task.accepted
    try:
        result = ledger.result(task.id, task.attempt)
    except (WfledgerError, OSError):
        return None
    if result is None or result.head is None or result.base is None:
        return None
    return Accepted(attempt=task.attempt, head=result.head, base=result.base)
