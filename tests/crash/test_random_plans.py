"""Whatever a plan of nodes holds: killed wherever it is, it comes to the same end."""

import json
import os
import re
import shutil
import signal
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support import processes
from tests.support.cli import wf_json
from tests.support.engines import NOTHING_LEFT, leftovers, noted
from tests.support.faults import kill_at, trace_to
from tests.support.invariants import check_ledger
from tests.support.randomplans import Maker
from tests.support.repos import files_at, make_repo
from tests.support.workspaces import open_workspace
from wfledger.core.statuses import Status
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.processes.process import tagged

#: Others, such as 2-200, for whoever wants to look for long.
SEEDS = os.environ.get("WFLEDGER_TEST_PLAN_SEEDS", "0")
_FROM, _, _TO = SEEDS.partition("-")
#: How often one run is killed.
DEATHS = 3
#: Exit statuses of a run that is over: succeeded, failed, degraded, waits for a person.
OVER = {0, 1, 9, 10}
#: What differs from try to try: the attempt in the name of a ref, and the commit behind it.
TRIED = re.compile(r"(?<=/)\d+(?=\")|[0-9a-f]{40}")


def submit(folder: Path, seed: int) -> tuple[Path, str]:
    """Make a repository with the run that *seed* makes; return it and the run."""
    root = make_repo(folder / "repo", {"README.md": "# sample\n"})
    wf_json(root, "init")
    path = folder / "plan.json"
    path.write_text(json.dumps(Maker(seed, folder).plan()))
    return root, wf_json(root, "run", "--yes", path, "--detach")["run"]


def work(root: Path, run: str, env: dict[str, str] | None = None) -> int:
    return processes.run_cli("run", run, "--workers", "3", "--json", cwd=root, env=env).status


def outcome(root: Path, run: str) -> dict[str, Any]:
    """Return everything that a run has come to, but its id and how often it was tried."""
    workspace = open_workspace(root)
    found: dict[str, Any] = {"tree": files_at(root, f"wf/{run}")}
    for status in Status:
        for name in workspace.ledger.names(status, run=run):
            task = workspace.ledger.get(name).task
            result = workspace.ledger.result(name, task.attempt)
            said = None
            if status is Status.DONE and result is not None:
                said = [result.status, result.summary, result.outputs, result.findings]
            text = json.dumps([status.value, task.block and task.block.code, task.missing, said])
            found[name.removeprefix(run)] = TRIED.sub("N", text.replace(run, "RUN"))
    return found


def assert_run_once(folder: Path, root: Path, run: str) -> None:
    """No task was begun after it had succeeded, nothing is left, and the ledger is whole."""
    workspace = open_workspace(root)
    begun: dict[str, list[int]] = {}
    for line in noted(folder):
        name, _, attempt = line.rpartition(" ")
        begun.setdefault(name, []).append(int(attempt))
    for name in workspace.ledger.names(Status.DONE, run=run):
        task = workspace.ledger.get(name).task
        succeeded = [one.number for one in task.attempts if one.outcome == "succeeded"]
        assert len(succeeded) <= 1, name
        numbers = begun.get(name, [])
        assert Counter(numbers).most_common(1)[0][1] == 1 if numbers else True, name
        assert max(numbers, default=0) <= task.attempt, name
    assert tagged(tag_for(workspace, "")) == {}
    assert leftovers(workspace) == NOTHING_LEFT
    for path in workspace.ledger.layout.tmp.iterdir():  # left there until it is old
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    check_ledger(workspace.ledger)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.requirement("WFL-CTRL-003")
@pytest.mark.parametrize("seed", range(int(_FROM), int(_TO or _FROM) + 1))
def test_random_plan_killed_at_random_moments_comes_to_the_same_end(
    tmp_path: Path, seed: int
) -> None:
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    calm.mkdir()
    wild.mkdir()
    root, run = submit(calm, seed)
    ended = work(root, run, trace_to(calm / "trace"))
    assert ended in OVER
    points = (calm / "trace").read_text().split()
    expected = outcome(root, run)
    assert_run_once(calm, root, run)
    other, run = submit(wild, seed)
    chance = Random(seed)
    for _ in range(DEATHS):
        at = chance.randrange(len(points) // 2)
        point, hit = points[at], points[:at].count(points[at]) + 1
        assert work(other, run, kill_at(point, hit)) in OVER | {-signal.SIGKILL}, (point, hit)
    assert work(other, run) == ended
    assert outcome(other, run) == expected
    assert_run_once(wild, other, run)
