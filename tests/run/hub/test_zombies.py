"""A whole machine stands still and goes on: real daemons, real workers, one remote."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import run_cli
from tests.support.repos import git
from tests.support.sharing import granting, on_hub, share, shows_the_tip, synced
from tests.support.waiting import until
from tests.support.workspaces import add_run, add_task
from wfledger.core.documents import Retry
from wfledger.core.policy import Policy
from wfledger.core.statuses import Status
from wfledger.run.workspace import Workspace

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

ID = "r1.a"
LEASE_S = 6.0


@contextmanager
def _daemon(workspace: Workspace, log: Path) -> Iterator[int]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "wfledger", "daemon"], cwd=workspace.main,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        yield process.pid
    finally:
        _signal(process.pid, signal.SIGCONT)
        process.terminate()
        process.wait(60)


def _family(pid: int) -> list[int]:
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        for path in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            queue += map(int, path.read_text().split())
    return found


def _signal(pid: int, number: int) -> None:
    """Stop or continue a machine: its daemon, and everything that it has started."""
    for one in _family(pid):
        os.kill(one, number)


def _outcomes(workspace: Workspace) -> list[str]:
    return [one.outcome for one in workspace.ledger.get(ID).task.attempts]


@pytest.mark.requirement("WFL-HUB-056", "WFL-HUB-053", "WFL-HUB-127")
def test_a_machine_that_stood_still_finds_its_work_done_and_keeps_its_own(tmp_path: Path) -> None:
    one, other = share(tmp_path, policy=Policy(lease_s=LEASE_S))
    begun, go = tmp_path / "begun", tmp_path / "go"
    add_run(one)
    work = f"mkdir -p src; pwd > src/a; touch {begun}; while [ ! -e {go} ]; do sleep 0.1; done"
    add_task(one, "a", command=work, write=("src",), retry=Retry(backoff_s=0.1))
    synced(one, other)
    synced(one, proposers=[granting])
    with _daemon(one, tmp_path / "one.log") as pid:
        until(begun.exists)
        until(lambda: f"in-progress/{ID}.json" in on_hub(one))
        token = one.ledger.layout.token(ID, 1).read_text()
        _signal(pid, signal.SIGSTOP)
        with _daemon(other, tmp_path / "other.log"):
            until(lambda: _outcomes(other)[:1] == ["lost"])
            go.touch()
            until(lambda: other.ledger.get(ID).status is Status.DONE)
            _signal(pid, signal.SIGCONT)
            until(lambda: one.ledger.get(ID).status is Status.DONE)
    late = run_cli("heartbeat", ID, "--token", token, cwd=one.main)
    assert late.status == 4, late.err
    assert "attempt 1 of r1.a is over" in late.err
    assert _outcomes(one) == ["lost", "succeeded"]
    synced(one, other)
    for workspace in (one, other):
        shows_the_tip(workspace)
    kept = git(one.main, "for-each-ref", "--format=%(objectname)", f"refs/wfledger/keep/{ID}/")
    shown = {git(one.main, "show", f"{head}:src/a") for head in kept.split()}
    assert any(f"{ID}.1" in place for place in shown), "what the zombie made is kept"
    landed = git(other.main, "show", "refs/heads/wf/r1:src/a")
    assert f"{ID}.2" in landed
