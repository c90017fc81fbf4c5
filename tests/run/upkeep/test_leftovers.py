"""Goals that are over and rehearsals that were killed leave nothing for ever."""

import os
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.workspaces import make_workspace
from wfledger.clock import iso
from wfledger.core.policy import Retention
from wfledger.run.goals.state import Goal, Place
from wfledger.run.rehearsal.stage import Cast, build
from wfledger.run.upkeep.leftovers import clear_goals, clear_rehearsals
from wfledger.run.workspace import Workspace

DAY = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def workspace(tmp_path: Path, clock: FakeClock) -> Workspace:
    return make_workspace(tmp_path, clock=clock)


def goal(workspace: Workspace, name: str, *, stop: str | None) -> Place:
    """Save a goal that was written at the time of the workspace's clock."""
    place = Place(workspace, name)
    now = workspace.clock.now()
    place.save(
        Goal(id=name, text="x", created=iso(now), target="refs/heads/main", since="0" * 40,
             role="r", model="m", max_tasks=1, stop=stop)
    )  # fmt: skip
    place.write_plan(1, "goal: x\n")
    for path in (*place.folder.iterdir(), place.folder):
        os.utime(path, (now.timestamp(),) * 2)
    return place


@pytest.mark.requirement("WFL-LEDGER-063")
def test_goals_go_when_they_ended_long_ago_and_nobody_is_at_them(
    workspace: Workspace, clock: FakeClock
) -> None:
    policy = Retention(logs_s=DAY)
    places = [goal(workspace, name, stop=stop) for name, stop in (("over", "reached"), ("open", None))]
    busy = goal(workspace, "busy", stop="time")
    clock.advance(DAY / 2)
    assert clear_goals(workspace, policy) == 0
    clock.advance(DAY)
    with busy.alone():
        assert clear_goals(workspace, policy) == 1
    assert [place.folder.exists() for place in (*places, busy)] == [False, True, True]


@pytest.mark.long
@pytest.mark.requirement("WFL-LEDGER-063")
def test_stages_go_of_rehearsals_that_were_killed(workspace: Workspace, clock: FakeClock) -> None:
    below = workspace.state.parent.parent
    stages = [build(clock, Cast("codex"), (), limit_s=1, below=below) for _ in range(3)]
    for stage in stages:
        os.utime(stage.live.path, (clock.now().timestamp(),) * 2)
    alive, killed, kept = stages
    killed.live.release()
    kept.keep()
    assert clear_rehearsals(workspace) == 0
    clock.advance(DAY)
    assert clear_rehearsals(workspace) == 1
    assert [stage.folder.exists() for stage in (alive, killed, kept)] == [True, False, True]
    alive.remove()
    assert not alive.folder.exists()
