"""`pause` and `resume`: of everything and of one run, again and again, and past the verbs."""

import json
from pathlib import Path

import pytest

from tests.support.cli import wf, wf_json
from tests.support.engines import statuses
from tests.support.workspaces import RUN, add_run, add_task, make_workspace
from wfledger.core.statuses import Status
from wfledger.run.pausing import clear_alarm, raise_alarm
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long


@pytest.fixture
def offered(tmp_path: Path) -> Workspace:
    """A ledger with a task on offer in each of two runs."""
    workspace = make_workspace(tmp_path)
    add_run(workspace, "r2")
    for run in (RUN, "r2"):
        add_task(workspace, "a", run_id=run, manual=True, command=None)
    assert wf_json(workspace.main, "tick")["promoted"] == [f"{RUN}.a", "r2.a"]
    return workspace


@pytest.mark.requirement("WFL-CLAIM-060")
@pytest.mark.requirement("WFL-CLAIM-061")
def test_pause_takes_every_offer_back_and_claims_are_refused(offered: Workspace) -> None:
    root = offered.main
    assert wf_json(root, "pause", "--reason", "lunch")["changed"] is True
    assert offered.ledger.names(Status.PENDING) == []  # no raw rename can go on
    for args in (("claim",), ("claim", f"{RUN}.a")):
        refused = wf_json(root, *args, status=8)
        assert (refused["error"], refused["hint"]) == ("paused", "wfledger resume")
    wf_json(root, "tick")
    assert offered.ledger.names(Status.PENDING) == []
    assert wf_json(root, "resume")["changed"] is True
    assert wf_json(root, "claim", f"{RUN}.a")["task"]["id"] == f"{RUN}.a"


def test_pause_and_resume_may_be_said_twice(offered: Workspace) -> None:
    root = offered.main
    assert [wf_json(root, "pause", "--reason", "x")["changed"] for _ in range(2)] == [True, False]
    assert wf_json(root, "pause")["changed"] is False
    assert offered.config().paused == "x"  # giving no reason takes none away
    assert [wf_json(root, "resume")["changed"] for _ in range(2)] == [True, False]


@pytest.mark.requirement("WFL-CLAIM-062")
def test_run_that_is_paused_leaves_the_others_alone(offered: Workspace) -> None:
    root = offered.main
    assert wf_json(root, "pause", RUN)["run"] == RUN
    assert statuses(offered) == {f"{RUN}.a": "waiting", "r2.a": "pending"}
    wf_json(root, "tick")
    assert statuses(offered)[f"{RUN}.a"] == "waiting"
    assert wf_json(root, "resume", RUN)["changed"] is True
    wf_json(root, "tick")
    assert statuses(offered)[f"{RUN}.a"] == "pending"


def test_paused_may_be_written_by_hand(offered: Workspace) -> None:
    path = offered.ledger.layout.root / "ledger.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"paused": "by me"}))
    wf_json(offered.main, "tick")
    assert offered.ledger.names(Status.PENDING) == []
    path.write_text(before)
    wf_json(offered.main, "tick")
    assert len(offered.ledger.names(Status.PENDING)) == 2


def test_resume_says_what_still_holds_everything(offered: Workspace) -> None:
    raise_alarm(offered, "changed", "hooks were changed", command="wfledger trust")
    found = wf_json(offered.main, "resume", status=8)
    assert found["held"]["command"] == "wfledger trust"
    clear_alarm(offered)
    assert wf(offered.main, "resume").status == 0


def test_run_that_is_over_cannot_be_paused(offered: Workspace) -> None:
    with offered.ledger.transaction("test") as changes:
        run = offered.ledger.run(RUN)
        changes.put_run(run.but(seq=run.seq + 1, state="landed"), why="test")
    assert wf_json(offered.main, "pause", RUN, status=2)["error"] == "usage"
