"""One pass over everything that is due, for those who work without `run` or a daemon."""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from wfledger.core.statuses import Status
from wfledger.run.commit import commit_journal
from wfledger.run.housekeeping import keep_house_if_due
from wfledger.run.landing import Done, is_landable, land_task
from wfledger.run.recovery import recover_lost, sweep_worktrees
from wfledger.run.scheduler import Scheduler
from wfledger.run.slots import count_of
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Ticked:
    """What one pass did."""

    recovered: int
    swept: int
    landed: tuple[str, ...]
    promoted: tuple[str, ...]
    committed: int

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `tick --json` prints."""
        return asdict(self)


def tick_once(
    workspace: Workspace, *, owner: str, report: Callable[[str, str], None]
) -> Ticked:
    """Recover, land, promote, commit; each part leaves the ledger sound."""
    recovered = recover_lost(workspace, report=report)
    swept = sweep_worktrees(workspace)
    landed = []
    now = workspace.clock.now()
    for task in workspace.ledger.tasks(Status.MERGING):
        if not is_landable(task, now=now):
            continue
        landing = land_task(
            workspace, task.id, owner=owner, stop=threading.Event(),
            report=partial(report, task.id),
        )
        if isinstance(landing, Done):
            landed.append(task.id)
    step = Scheduler(workspace).step(slots=count_of(workspace, None))
    committed = commit_journal(workspace)
    keep_house_if_due(workspace, report)
    return Ticked(recovered, swept, tuple(landed), tuple(step.promoted), committed)
