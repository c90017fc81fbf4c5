"""Slots that workers lend: who waits for a run that he has started holds his own meanwhile.

So a run below a worker may use one more of each kind that this worker holds, one more for each
worker above that one, and write what they may write (WFL-AUTH-007). Else it would wait for the end
of who waits for it.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from wfledger.core.admission import Loan
from wfledger.core.documents import Task
from wfledger.core.routes import account_of
from wfledger.core.statuses import Status
from wfledger.errors import NotFoundError
from wfledger.run.config.roles import Fleet
from wfledger.run.money import meters
from wfledger.run.money.spending import above
from wfledger.run.workspace import Workspace
from wfledger.store.layout import run_of

_NONE: Final = Loan()


class Lending:
    """One look at who waits for which runs."""

    def __init__(self, workspace: Workspace, fleet: Fleet) -> None:
        self._workspace = workspace
        self._fleet = fleet
        self._of_runs: dict[str, Loan] = {}

    def to(self, task: Task) -> Loan:
        """Return what is lent to *task*."""
        if task.run not in self._of_runs:
            self._of_runs[task.run] = self._to_run(task.run)
        return self._of_runs[task.run]

    def _to_run(self, run_id: str) -> Loan:
        try:
            parent = self._workspace.ledger.run(run_id).parent
        except NotFoundError:
            return _NONE
        if parent is None:
            return _NONE
        names = (parent, *above(self._workspace, parent))
        entries = (self._workspace.ledger.find(name) for name in names if run_of(name) != run_id)
        working = [one.task for one in entries if one and one.status is Status.IN_PROGRESS]
        slots = Counter(held for task in working for held in self._held_by(task))
        return Loan(slots, frozenset(task.id for task in working))

    def _held_by(self, task: Task) -> Iterator[tuple[str, str]]:
        if task.spec.class_ is not None:
            yield "class_limit", task.spec.class_
        role = task.spec.role or self._fleet.default_role
        if task.spec.prompt is not None and role is not None:
            yield "role_limit", role
        local = self._workspace.ledger.layout.local
        meter = meters.read(meters.path_of(local, task.id, task.attempt))
        account = account_of(meter.route) if meter is not None and meter.route else None
        if account is not None:
            yield "provider", account
