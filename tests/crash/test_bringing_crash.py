"""`land` killed between its steps: what happened is found, and can be taken back."""

import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.checkups import USUAL
from tests.support.cli import wf, wf_json
from tests.support.engines import drive
from tests.support.faults import kill_at
from tests.support.repos import git
from tests.support.workspaces import RUN, add_task, make_workspace, open_workspace
from wfledger.run.merger.bringing import bring, prepare_landing
from wfledger.run.workspace import Workspace


def land_run(root: Path) -> None:
    """Land the run as the verb does."""
    workspace = open_workspace(root)
    bring(workspace, prepare_landing(workspace, RUN))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"})
    add_task(workspace, "one", write=("src",), command="echo A = 2 > src/a.py")
    assert drive(workspace).verdict.state == "succeeded"
    return workspace


def _killed(workspace: Workspace, point: str) -> None:
    child = processes.start(land_run, workspace.main, env=kill_at(point))
    assert child.wait() == -signal.SIGKILL
    child.close()


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-045")
def test_land_killed_after_the_branch_moved_can_be_taken_back(workspace: Workspace) -> None:
    before = git(workspace.main, "rev-parse", "main")
    _killed(workspace, "land.moved")
    assert git(workspace.main, "show", "main:src/a.py") == "A = 2"
    wf(workspace.main, "land", RUN, "--undo", "--yes")
    assert git(workspace.main, "rev-parse", "main") == before
    assert (workspace.main / "src/a.py").read_text() == "A = 1\n"
    run = workspace.ledger.run(RUN)
    assert (run.landed, run.bringing) == (None, None)


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-045")
def test_land_killed_before_the_branch_moved_is_forgotten_and_done_anew(
    workspace: Workspace,
) -> None:
    before = git(workspace.main, "rev-parse", "main")
    _killed(workspace, "land.announced")
    assert git(workspace.main, "rev-parse", "main") == before
    found = wf_json(workspace.main, "doctor", status=0)
    assert {one["code"] for one in found["findings"]} - USUAL == {"land-unfinished"}
    land_run(workspace.main)
    run = workspace.ledger.run(RUN)
    assert run.bringing is None
    assert run.landed is not None
    assert run.landed.commit == git(workspace.main, "rev-parse", "main") != before
