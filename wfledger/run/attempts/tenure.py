"""Whether an attempt is still its runtime's, as the runtime itself finds out.

A runtime that was stopped for longer than its lease is a zombie when it goes on: its attempt was
ended, and perhaps another one runs. It ends what is left of its own and touches nothing else. What
it finds out here may be over a moment later; what it then still does is refused at each door
(WFL-CLAIM-023).
"""

from datetime import UTC, datetime, timedelta

from wfledger.clock import parse_iso
from wfledger.core.documents import Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Status
from wfledger.errors import StaleError, WfledgerError
from wfledger.run.workspace import Workspace
from wfledger.store.locks import is_alive


class Tenure:
    """One attempt, from its claim to its end."""

    def __init__(self, workspace: Workspace, task_id: str, attempt: int) -> None:
        self._workspace = workspace
        self._task_id = task_id
        self._attempt = attempt
        #: The task's file when it was last read: as long as it is that one, nothing was decided.
        self._seen: tuple[int, int] | None = None

    def is_over(self) -> bool:
        """Whether somebody has ended the attempt or is about to; cheap to ask every second."""
        layout = self._workspace.ledger.layout
        if is_alive(layout.reap(self._task_id, self._attempt)):
            return True
        try:
            facts = layout.task(Status.IN_PROGRESS, self._task_id).stat()
        except FileNotFoundError:
            return not self._is_ours()  # moved on, or about to be moved under our eyes
        seen = (facts.st_ino, facts.st_mtime_ns)
        if seen != self._seen:
            if not self._is_ours():
                return True
            self._seen = seen
        return False

    def check(self) -> None:
        """Raise `StaleError` when the attempt is over."""
        if self.is_over():
            raise StaleError(
                f"attempt {self._attempt} of {self._task_id} is over: it was handed on while this "
                "process stood still", hint=f"wfledger why {self._task_id}", task=self._task_id,
            )  # fmt: skip

    def _is_ours(self) -> bool:
        try:
            entry = self._workspace.ledger.find(self._task_id)
        except (WfledgerError, OSError, ValueError):
            return True  # nobody can tell; the doors decide
        if entry is None:
            return True
        if is_elsewhere(entry.task, self._workspace.ledger.layout.machine):
            return False
        return entry.status is Status.IN_PROGRESS and entry.task.attempt == self._attempt


def deadline_of(workspace: Workspace, task: Task) -> datetime | None:
    """Return when the wall time of the present attempt of *task* is over; None: never.

    It counts from the claim, as the document or else the claim record's file tells.
    """
    wall_s = task.spec.limits.wall_s or workspace.policy().limits.wall_s
    if wall_s is None:
        return None
    claim = task.claim if task.claim and task.claim.attempt == task.attempt else None
    if claim is not None:
        return parse_iso(claim.since) + timedelta(seconds=wall_s)
    try:
        written = workspace.ledger.layout.claim(task.id, task.attempt).stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(written, UTC) + timedelta(seconds=wall_s)
