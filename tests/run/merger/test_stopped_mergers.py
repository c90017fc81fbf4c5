"""Mergers that are stopped while they hold a target: they hold nobody up, and land nothing late."""

import os
import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.faults import Pause
from tests.support.landings import assert_landed_once, land, land_there, landed_commits
from tests.support.repos import git
from tests.support.workspaces import make_workspace, open_workspace, put_merging
from wfledger.core.documents import Task
from wfledger.core.policy import GatePolicy, Policy
from wfledger.errors import StaleError
from wfledger.run.attempts.worktrees import scratch_name
from wfledger.run.merger.landing import Deferred, Done
from wfledger.run.merger.merging import lease
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

FILES = {"src/a.py": "A = 1\n", "src/b.py": "B = 1\n"}
WAIT_S = 20.0


def _ready(tmp_path: Path, *, gate: str | None = None) -> tuple[Workspace, Task]:
    policy = Policy(lease_s=0.6, gate=GatePolicy(command=gate) if gate else None)
    workspace = make_workspace(tmp_path, FILES, policy=policy)
    return workspace, put_merging(workspace, "one", {"src/a.py": "A = 2\n"})


def land_late(root: Path, task_id: str) -> str:
    """Land from another process; say what came of it, or that it was refused."""
    workspace = open_workspace(root)
    try:
        return type(land(workspace, workspace.ledger.get(task_id).task, owner="other")).__name__
    except StaleError as error:
        return f"refused: {error.message}"


@pytest.mark.requirement("WFL-LAND-023")
@pytest.mark.requirement("WFL-LAND-024")
@pytest.mark.parametrize(
    ("point", "end"),
    [
        ("cleanroom.prepared", "Deferred"),  # its checkout is gone, and so is what it could say
        ("landing.intent-written", "refused: the landing of r1.one is over"),
        ("landing.ref-moved", "refused: the landing of r1.one is over"),
    ],
)
def test_landing_is_taken_over_from_a_merger_that_stands_still(
    tmp_path: Path, point: str, end: str
) -> None:
    workspace, task = _ready(tmp_path, gate="test -e src/a.py")
    with Pause(tmp_path, point) as pause:
        zombie = processes.start(land_late, workspace.main, task.id, env=pause.env)
        pause.wait()
        os.kill(zombie.pid, signal.SIGSTOP)
        assert isinstance(land(workspace, task, wait=WAIT_S), Done)
        commit = assert_landed_once(workspace, task)
        os.kill(zombie.pid, signal.SIGCONT)
        pause.go()
        assert zombie.result().startswith(end)
    assert assert_landed_once(workspace, task) == commit
    after = put_merging(workspace, "two", {"src/b.py": "B = 2\n"})
    assert isinstance(land(workspace, after), Done)


@pytest.mark.requirement("WFL-LAND-024")
def test_announced_landing_of_a_zombie_fails_before_its_successor_has_landed(
    tmp_path: Path,
) -> None:
    workspace, task = _ready(tmp_path)
    with Pause(tmp_path, "landing.intent-written") as held, Pause(tmp_path, "landing.candidate") as at:
        zombie = processes.start(land_late, workspace.main, task.id, env=held.env)
        held.wait()
        os.kill(zombie.pid, signal.SIGSTOP)
        successor = processes.start(
            land_there, workspace.main, task.id, WAIT_S, env=at.env
        )
        at.wait()  # the intent was dropped, and the branch is where the zombie expects it
        tip = git(workspace.main, "rev-parse", "wf/r1")
        os.kill(zombie.pid, signal.SIGCONT)
        held.go()
        assert "the landing of r1.one is over" in zombie.result()
        assert git(workspace.main, "rev-parse", "wf/r1") == tip
        assert landed_commits(workspace.main, task.id) == []
        at.go()
        assert isinstance(successor.result(), Done)
    assert_landed_once(workspace, task)


def test_merger_that_beats_is_not_taken_over(tmp_path: Path) -> None:
    workspace, task = _ready(tmp_path)
    with Pause(tmp_path, "landing.candidate") as pause:
        other = processes.start(land_there, workspace.main, task.id, env=pause.env)
        pause.wait()  # it waits; its heart does not
        assert isinstance(land(workspace, task, wait=1.5), Deferred)
        pause.go()
        assert isinstance(other.result(), Done)
    assert_landed_once(workspace, task)


def test_each_merger_has_checkouts_of_its_own(tmp_path: Path) -> None:
    workspace, task = _ready(tmp_path)
    leased = [lease(workspace, task.id, owner=owner).task for owner in ("first", "second")]
    names = [scratch_name(workspace, one, "gate") for one in leased]
    assert names == ["r1.one.1.gate", "r1.one.1.gate-2"]
