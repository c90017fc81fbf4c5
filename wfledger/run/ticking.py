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
from wfledger.run.hub import poking
from wfledger.run.hub.attending import meet_here
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.telling import Telling
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
    #: What the meeting with the remote came to; None where none was due, or there is no remote.
    remote: str | None = None

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
    met = _meet(workspace, report)
    Notifier(workspace, run_id=None, report=report).close(step)
    keep_house_if_due(workspace, report)
    outcome = met.outcome if met is not None else None
    return Ticked(len(adopted), recovered, swept, tuple(landed), promoted, committed, outcome)


def _meet(workspace: Workspace, report: Callable[[str, str], None]) -> Met | None:
    """Meet the remote where nobody else of this machine does, or poke who does."""
    if not workspace.is_shared:
        return None
    if poking.is_synced_here(workspace):
        poking.poke(workspace)
        return None
    met = meet_here(workspace, force=False)
    if met is not None:
        Telling(workspace, report).tell(met)
    return met
