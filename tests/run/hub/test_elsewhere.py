"""What another machine works on is left alone here, whatever is missing of it."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.sharing import granting, shows_the_tip, statuses
from tests.support.silence import Machines
from tests.support.workspaces import add_run, add_task
from wfledger.core.statuses import Status
from wfledger.errors import StaleError, TransitionError
from wfledger.run import people
from wfledger.run.attempts import stopping
from wfledger.run.attempts.claims import claim, held_entry
from wfledger.run.attempts.recovery import recover_lost, sweep_worktrees
from wfledger.run.attempts.tenure import Tenure
from wfledger.run.byhand.adopting import Adopter
from wfledger.run.doctor.checkup import Checkup
from wfledger.run.wholeness import redo_all
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

ID = "r1.a"


def _quiet(task_id: str, text: str) -> None:
    raise AssertionError(f"{task_id}: {text}")


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    """Two machines; the first one works on a task."""
    made = Machines(tmp_path, 2)
    add_run(made.all[0])
    add_task(made.all[0], "a")
    made.meet([0])
    made.meet([0], also=[granting])
    claim(made.all[0], worker="w", task_id=ID)
    made.meet()
    return made


def _nothing_was_done(other: Workspace) -> None:
    assert not [said for said in other.ledger.journal.records() if said["kind"] != "file"]
    shows_the_tip(other)


@pytest.mark.requirement("WFL-HUB-052", "WFL-HUB-059")
def test_no_look_repair_or_rebuild_takes_it_for_abandoned(machines: Machines) -> None:
    _, other = machines.all
    machines.pass_time(10_000)
    assert recover_lost(other, report=_quiet) == 0
    machines.pass_time(10_000)
    assert recover_lost(other, report=_quiet) == 0
    assert sweep_worktrees(other) == 0
    doctor = Checkup(other.main, other.clock, Path(os.environ["XDG_STATE_HOME"]))
    assert not [one for one in doctor.look() if one.subject == ID]
    shutil.rmtree(other.ledger.layout.root)
    doctor.fix(lambda text: None)
    assert statuses(other) == {ID: "in-progress"}
    redo_all(other, by="doctor")
    _nothing_was_done(other)


@pytest.mark.requirement("WFL-HUB-052")
@pytest.mark.parametrize("goal", [Status.WAITING, Status.MERGING, Status.BLOCKED])
def test_moving_it_by_hand_is_undone_without_a_record(machines: Machines, goal: Status) -> None:
    _, other = machines.all
    layout, adopter = other.ledger.layout, Adopter(other)
    adopter.step()
    place = layout.task(goal, ID)
    place.parent.mkdir(exist_ok=True)
    layout.task(Status.IN_PROGRESS, ID).rename(place)
    said = adopter.step()
    assert "another machine" in dict(said)[ID]
    _nothing_was_done(other)


@pytest.mark.requirement("WFL-HUB-057", "WFL-HUB-056")
@pytest.mark.parametrize("how", ["verb", "by hand"])
def test_cancelling_it_ends_the_attempt_where_it_runs(machines: Machines, how: str) -> None:
    one, other = machines.all
    tenure = Tenure(one, ID, 1)
    token = one.ledger.layout.token(ID, 1).read_text()
    if how == "verb":
        people.cancel(other, ID, reason="not wanted")
    else:
        adopter = Adopter(other)
        adopter.step()
        gone = other.ledger.layout.task(Status.CANCELLED, ID)
        gone.parent.mkdir(exist_ok=True)
        other.ledger.layout.task(Status.IN_PROGRESS, ID).rename(gone)
        adopter.step()
    assert not tenure.is_over()
    machines.meet([1, 0])
    assert tenure.is_over()
    with pytest.raises(StaleError, match=r"attempt 1 of r1\.a is over .*stopped"):
        held_entry(one, ID, token)
    for workspace in machines.all:
        shows_the_tip(workspace)
        entry = workspace.ledger.get(ID)
        assert entry.status is Status.CANCELLED
        assert [(a.number, a.outcome) for a in entry.task.attempts] == [(1, "stopped")]


@pytest.mark.requirement("WFL-HUB-057")
def test_stopping_it_says_where_that_can_be_done(machines: Machines) -> None:
    one, other = machines.all
    with pytest.raises(TransitionError, match=one.machine.id[:6]) as refused:
        stopping.stop(other, ID)
    assert refused.value.hint is not None
    assert f"wfledger cancel {ID}" in refused.value.hint
