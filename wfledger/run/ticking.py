"""One pass over everything that is due, for those who work without `run` or a daemon."""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from wfledger.core.statuses import Status
from wfledger.run.attempts.recovery import recover_lost, sweep_worktrees
from wfledger.run.commit import commit_journal
from wfledger.run.controllers.driving import step_through
from wfledger.run.looks.notifying import Notifier
from wfledger.run.merger.landing import Done, is_landable, land_task
from wfledger.run.scheduler import Scheduler
from wfledger.run.slots import count_of
from wfledger.run.step import Step
from wfledger.run.upkeep.housekeeping import keep_house_if_due
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Ticked:
    """What one pass did."""

    #: Files of tasks that were moved, edited or added by hand and taken in.
    adopted: int
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
    """Take in, recover, land, promote, commit; each part leaves the ledger sound."""
    scheduler = Scheduler(workspace)
    adopted = scheduler.take_in()
    recovered = recover_lost(workspace, report=report)
    swept = sweep_worktrees(workspace)
    landed = []
    now = workspace.clock.now()
    for task in workspace.ledger.tasks(Status.MERGING):
        if not is_landable(workspace, task, now=now):
            continue
        landing = land_task(
            workspace, task.id, owner=owner, stop=threading.Event(),
            report=partial(report, task.id),
        )
        if isinstance(landing, Done):
            landed.append(task.id)
    for name, sentence in adopted:
        report(name, sentence)
    seen: list[Step] = []

    def look() -> Step:
        seen.append(scheduler.step(slots=count_of(workspace, None)))
        return seen[-1]

    step = step_through(workspace, look, report)
    adopted += tuple(one for found in seen for one in found.adopted)
    promoted = tuple(name for found in seen for name in found.promoted)
    committed = commit_journal(workspace)
    Notifier(workspace, run_id=None, report=report).close(step)
    keep_house_if_due(workspace, report)
    return Ticked(len(adopted), recovered, swept, tuple(landed), promoted, committed)
