"""Tasks that judge another's result: which they are, whether they have spoken, who wants them.

Asked at every step and look, so git stays shut here; `merger.verifying` makes them.
"""

from contextlib import suppress
from typing import Final

from wfledger.core import verification as rules
from wfledger.core.documents import Task
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.attempts.requests import request_end, requested
from wfledger.run.workspace import Workspace

#: Where a verifier stands that has not spoken yet.
_OPEN: Final = (Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.MERGING)


def have_spoken(workspace: Workspace, verifiers: tuple[str, ...]) -> bool:
    """Whether each of *verifiers* has come to its end; what is open is told by names alone."""
    layout = workspace.ledger.layout
    if any(layout.task(status, name).exists() for name in verifiers for status in _OPEN):
        return False
    entries = (workspace.ledger.find(name) for name in verifiers)
    return all(
        entry is None or rules.has_spoken(entry.status, entry.task.block) for entry in entries
    )


def is_verifier(workspace: Workspace, status: Status, task_id: str) -> bool:
    """Whether the task of that name in a folder is a verifier; most names say that it is none."""
    if not rules.may_be_verifier(task_id):
        return False
    try:
        return workspace.ledger.load(status, task_id).task.spec.verifies is not None
    except (OSError, WfledgerError, ValueError):
        return False


def is_wanted(workspace: Workspace, verifier: Task) -> bool:
    """Whether the result that *verifier* judges still waits for that."""
    about = verifier.spec.verifies
    if about is None:
        return True
    entry = workspace.ledger.find(about.task)
    if entry is None or entry.status is not Status.MERGING:
        return False
    accepted = entry.task.accepted
    if accepted is not None:
        return (accepted.attempt, accepted.head) == (about.attempt, about.head)
    return entry.task.attempt == about.attempt


def end_unwanted(workspace: Workspace, task: Task, reason: str) -> None:
    """Ask for the end of a running task, such as a verifier, that nobody waits for any longer."""
    with suppress(WfledgerError):
        if requested(workspace, task.id, task.attempt) is None:
            request_end(workspace, task.id, task.attempt, reason=reason, cancel=True)


def is_own(workspace: Workspace, task_id: str, worker: str) -> bool:
    """Whether the task verifies a result of *worker*; only what is named so is read."""
    entry = workspace.ledger.find(task_id) if rules.may_be_verifier(task_id) else None
    about = entry.task.spec.verifies if entry is not None else None
    subject = workspace.ledger.find(about.task) if about is not None else None
    if about is None or subject is None:
        return False
    known = subject.task.attempts
    return any(one.number == about.attempt and one.worker == worker for one in known)
