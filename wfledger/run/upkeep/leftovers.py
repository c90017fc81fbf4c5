"""What goals and rehearsals leave on this machine: gone when they are over, as logs go.

A goal that was interrupted stays: it can be gone on with.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wfledger.core.policy import Retention
from wfledger.errors import NotFoundError, WfledgerError
from wfledger.run.goals.state import GOALS, Place
from wfledger.run.rehearsal.stage import REHEARSALS, is_abandoned
from wfledger.run.workspace import Workspace


def clear_goals(workspace: Workspace, policy: Retention) -> int:
    """Remove what goals have left that ended longer ago than logs are kept; returns how many."""
    oldest = workspace.clock.now().timestamp() - policy.logs_s
    removed = 0
    for folder in _folders(workspace.ledger.layout.local / GOALS):
        # What is no goal, cannot be read or is worked on is left alone.
        with suppress(OSError, WfledgerError):
            removed += _clear_goal(Place(workspace, folder.name), oldest)
    return removed


def _clear_goal(place: Place, oldest: float) -> bool:
    if place.written() >= oldest or not _is_over(place):
        return False
    with place.alone():
        shutil.rmtree(place.folder, ignore_errors=True)
    return True


def clear_rehearsals(workspace: Workspace) -> int:
    """Remove the stages of rehearsals that were killed, of any ledger; returns how many."""
    now = workspace.clock.now().timestamp()
    stages = _folders(workspace.state.parent / REHEARSALS)
    abandoned = [folder for folder in stages if is_abandoned(folder, now=now)]
    for folder in abandoned:
        shutil.rmtree(folder, ignore_errors=True)
    return len(abandoned)


def _is_over(place: Place) -> bool:
    """Whether nobody can go on with a goal; one that was never saved has come to nothing."""
    try:
        return place.load().stop is not None
    except NotFoundError:
        return True


def _folders(within: Path) -> Iterator[Path]:
    found = sorted(within.iterdir()) if within.is_dir() else []
    yield from (one for one in found if one.is_dir() and not one.is_symlink())
