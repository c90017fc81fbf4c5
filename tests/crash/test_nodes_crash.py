"""Plans of nodes at random, killed at random: the same results, and nothing finished is redone."""

import json
import os
import random
import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.cli import wf_json
from tests.support.engines import drive, drive_there
from tests.support.invariants import check_ledger
from tests.support.nodeplans import Nodes
from tests.support.repos import make_repo
from tests.support.waiting import until
from tests.support.workspaces import open_workspace
from wfledger.core.statuses import Status
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

#: More seeds, such as 1-200, for whoever wants to look for long.
SEEDS = os.environ.get("WFLEDGER_TEST_NODE_SEEDS", "2")
_FROM, _, _TO = SEEDS.partition("-")


def _come_to(workspace: Workspace, run: str) -> dict[str, object]:
    """Return where each task of a run stands, and what it says; by its name in the run."""
    found: dict[str, object] = {}
    for status in Status:
        for task in workspace.ledger.tasks(status, run=run):
            result = workspace.ledger.result(task.id, task.attempt) if task.attempt else None
            said = json.dumps(result.outputs if result else None).replace(f"{run}.", "")
            found[task.id.partition(".")[2]] = (status.value, said)
    return found


def _finished_once(workspace: Workspace, run: str) -> bool:
    """Whether no task was begun again after an attempt that succeeded."""
    tasks = (task for status in Status for task in workspace.ledger.tasks(status, run=run))
    ends = ([one.outcome for one in task.attempts] for task in tasks)
    return all("succeeded" not in outcomes[:-1] for outcomes in ends)


@pytest.mark.requirement("WFL-CTRL-003")
@pytest.mark.parametrize("seed", range(int(_FROM), int(_TO or _FROM) + 1))
def test_killed_run_comes_to_what_an_undisturbed_one_comes_to(tmp_path: Path, seed: int) -> None:
    root = make_repo(tmp_path / "repo", {"README.md": "# sample\n"})
    wf_json(root, "init")
    notes, plan = tmp_path / "notes", tmp_path / "plan.json"
    notes.write_text("")
    plan.write_text(json.dumps(Nodes(seed, str(notes)).plan()))
    quiet, killed = (wf_json(root, "run", "--yes", plan, "--detach")["run"] for _ in range(2))
    workspace = open_workspace(root)
    expected = drive(workspace, run_id=quiet).verdict
    chance = random.Random(seed)
    for _ in range(2):
        enough = len(notes.read_text().split()) + chance.randint(0, 2)
        child = processes.start(drive_there, root, killed, 2)
        until(partial(_has_come_to, child, notes, enough))
        child.close()
    assert drive(workspace, run_id=killed).verdict == expected
    assert _come_to(workspace, killed) == _come_to(workspace, quiet)
    assert _finished_once(workspace, killed)
    for path in workspace.ledger.layout.tmp.iterdir():  # left there until it is old
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    check_ledger(workspace.ledger)


def _has_come_to(child: processes.Worker, notes: Path, enough: int) -> bool:
    """Whether so many tasks have said something, or nothing more will be said."""
    over = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return over or len(notes.read_text().split()) >= enough
