"""Branches of runs that landed long ago go from the remote, and with them nothing that anybody lacks."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.cli import wf, wf_json
from tests.support.clock import FakeClock
from tests.support.landings import land
from tests.support.repos import git
from tests.support.sharing import granting, share, synced
from tests.support.workspaces import BRANCH, add_run, add_task, hand_in, open_workspace
from wfledger.run.attempts.claims import claim
from wfledger.run.hub import landing
from wfledger.run.looks.remote import remote_view
from wfledger.run.upkeep.housekeeping import keep_house
from wfledger.run.workspace import Workspace

MONTH_S = 31 * 86_400.0
HOUR_S = 3601.0

Fleet = tuple[FakeClock, Workspace, Workspace]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Two machines, and a run of the first one's that has landed there, and that all know of."""
    clock = FakeClock(datetime.now(UTC))
    one, other = share(tmp_path, clock=clock)
    run = add_run(one)
    with one.ledger.transaction("test") as changes:
        changes.put_run(run.but(seq=2, plan="{}", home=one.machine.id), why="of a plan")
    _meet(one, other)
    add_task(one, "a", write=("a",))
    synced(one, proposers=[granting])
    task = claim(one, worker="w", task_id="r1.a").task
    hand_in(one, task, {"a": "1\n"}, base=git(one.main, "rev-parse", BRANCH))
    land(one, one.ledger.get(task.id).task)
    synced(one, proposers=[landing.propose])
    synced(other)
    done = wf(one.main, "land", "r1", "--yes")
    assert done.status == 0, done.err
    assert open_workspace(one.main).ledger.run("r1").state == "landed"
    clock.advance(MONTH_S)
    return clock, one, other


def _hub(workspace: Workspace) -> Path:
    hub = workspace.hub
    assert hub is not None
    return Path(hub.url)


def _meet(*machines: Workspace) -> None:
    """Have a meeting of each in which something goes out."""
    for workspace in machines:
        add_run(workspace, f"x{workspace.clock.short_id(6)}")
        assert [met.outcome for met in synced(workspace)] == ["ok"]


def _branches(workspace: Workspace) -> list[str]:
    found = git(_hub(workspace), "for-each-ref", "--format=%(refname)", "refs/heads/wf/r1")
    return found.splitlines()


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-084")
def test_a_branch_goes_from_the_remote_once_its_target_there_has_all_of_it(fleet: Fleet) -> None:
    clock, one, other = fleet
    _meet(one)
    assert _branches(one) == [BRANCH], "the target was never pushed"
    git(one.main, "push", "--quiet", str(_hub(one)), "main")
    clock.advance(HOUR_S)
    _meet(other)
    assert _branches(one) == [BRANCH], "another machine is the run's home"
    _meet(one)
    assert _branches(one) == []
    for workspace in (one, other):
        keep_house(workspace)
        _meet(workspace)
        assert not git(workspace.main, "for-each-ref", "refs/heads/wf/r1", "refs/wfledger/hub/heads/wf/r1")
        found = {one["code"] for one in wf_json(workspace.main, "doctor")["findings"]}
        assert found <= {"index-lags"}  # notes of a directory that nobody has in view


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-084", "WFL-HUB-035")
def test_a_server_that_keeps_its_branches_costs_nothing_but_a_line(fleet: Fleet) -> None:
    clock, one, _ = fleet
    git(one.main, "push", "--quiet", str(_hub(one)), "main")
    git(_hub(one), "config", "receive.denyDeletes", "true")
    for _ in range(2):
        _meet(one)
        view = remote_view(one)
        assert view is not None
        assert [note for note in view.notes if "does not let go of a branch whose run has" in note]
    git(_hub(one), "config", "receive.denyDeletes", "false")
    _meet(one)
    assert _branches(one) == [BRANCH], "it is asked once in an hour"
    clock.advance(HOUR_S)
    _meet(one)
    assert _branches(one) == []
    _meet(one)
    view = remote_view(one)
    assert view is not None
    assert view.notes == ()


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-084")
def test_what_somebody_has_pushed_to_the_branch_since_keeps_it_there(fleet: Fleet) -> None:
    clock, one, _ = fleet
    git(one.main, "push", "--quiet", str(_hub(one)), "main")
    git(one.main, "checkout", "--quiet", "--detach", BRANCH)
    (one.main / "b").write_text("2\n")
    git(one.main, "add", "b")
    git(one.main, "commit", "--quiet", "-m", "more")
    git(one.main, "push", "--quiet", str(_hub(one)), f"HEAD:{BRANCH}")
    for _ in range(2):
        _meet(one)
        clock.advance(HOUR_S)
    assert _branches(one) == [BRANCH]


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-084")
def test_what_nobody_can_read_keeps_no_meeting_back(fleet: Fleet) -> None:
    clock, one, _ = fleet
    git(one.main, "push", "--quiet", str(_hub(one)), "main")
    run = one.ledger.run("r1")
    assert run.landed is not None
    with one.ledger.transaction("test") as changes:
        unclear = run.but(seq=run.seq + 1, landed=run.landed.but(at="some day"))
        changes.put_run(unclear, why="of another program")
    _meet(one)
    clock.advance(HOUR_S)
    (one.main / ".wfledger/ledger.json").write_text("{")
    assert synced(one)[0].outcome in {"ok", "quiet"}
    assert _branches(one) == [BRANCH]
