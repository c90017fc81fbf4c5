"""Two containers on one directory: neither robs, signals or doubles what the other is at."""

import json
import os
import shlex
import signal
from pathlib import Path

import pytest

from tests.support.namespaces import PYTHON, apart, can_unshare, container, wf_apart
from tests.support.waiting import until
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core.policy import Policy
from wfledger.core.statuses import Status

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not can_unshare(), reason="needs unshare and leave to make pid namespaces"),
]

WF = f"{PYTHON} -m wfledger"


@pytest.mark.requirement("WFL-HUB-063")
def test_two_containers_share_the_work_of_a_run(tmp_path: Path) -> None:
    workspace, log = make_workspace(tmp_path), tmp_path / "done.log"
    for number in range(8):
        add_task(workspace, f"t{number}", command=f"echo t{number} >> {log}", write=())
    run = f"{WF} run {RUN}"
    with (
        container(run, cwd=workspace.main, log=tmp_path / "one") as one,
        container(run, cwd=workspace.main, log=tmp_path / "two") as two,
    ):
        ends = one.wait(), two.wait()
    assert ends == (0, 0), [(tmp_path / name).read_text() for name in ("one", "two")]
    assert sorted(log.read_text().split()) == [f"t{number}" for number in range(8)]
    done = workspace.ledger.tasks(Status.DONE)
    assert [len(task.attempts) for task in done] == [1] * 8


@pytest.mark.requirement("WFL-HUB-063")
def test_a_container_is_taken_over_when_all_of_it_is_gone(tmp_path: Path) -> None:
    workspace, begun = make_workspace(tmp_path, policy=Policy(claim_grace_s=0.1)), tmp_path / "on"
    add_task(workspace, "a", command=f"touch {begun}; sleep 600", write=())
    with container(
        f"{WF} run {RUN}; sleep 600", cwd=workspace.main, log=tmp_path / "one"
    ) as one:
        until(begun.exists)
        assert _tick(workspace.main) == 0, "it lives, though none of its processes is to be seen"
        (runtime,) = one.processes(f"wfledger run {RUN}")[-1:]
        os.kill(runtime, signal.SIGKILL)
        until(lambda: _is_gone(runtime))
        assert _tick(workspace.main) == 0, "its worker has outlived it where nobody here can end it"
        assert one.processes("sleep 600")
        assert workspace.ledger.get(f"{RUN}.a").status is Status.IN_PROGRESS
    assert _tick(workspace.main) == 1
    task = workspace.ledger.get(f"{RUN}.a").task
    assert [(one.number, one.outcome) for one in task.attempts] == [(1, "lost")]


def _tick(root: Path) -> int:
    ticked = wf_apart("tick", "--json", cwd=root)
    assert ticked.status == 0, ticked.err
    return int(json.loads(ticked.out)["recovered"])


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.requirement("WFL-HUB-064", "WFL-PROC-004")
def test_a_daemon_of_another_container_is_not_signalled_by_its_number(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    up = workspace.ledger.layout.local / "live" / "daemon"
    with container(f"{WF} daemon; :", cwd=workspace.main, log=tmp_path / "one"):
        until(lambda: up.exists() and b'"pid"' in up.read_bytes())
        pid = json.loads(up.read_bytes())["pid"]
        # A stranger in this container is given that very number.
        stranger = f"while :; do sleep 600 & [ $! -lt {pid} ] || break; done"
        script = f"{stranger}; {WF} daemon stop; echo status=$?; kill -0 {pid} && echo lives"
        done = apart("sh", "-c", script, cwd=workspace.main)
        assert "status=0" not in done.out
        assert "another container" in done.err
        assert "lives" in done.out


@pytest.mark.requirement("WFL-PROC-004")
def test_the_processes_of_another_namespace_are_not_believed(tmp_path: Path) -> None:
    look = "from wfledger.run.processes.proctree import HAS_PROC; print(HAS_PROC)"
    assert apart(PYTHON, "-c", look, cwd=tmp_path, sees_own=False).out == "False\n"
    assert apart(PYTHON, "-c", look, cwd=tmp_path).out == "True\n"


@pytest.mark.requirement("WFL-HUB-140")
def test_one_process_of_all_containers_syncs(tmp_path: Path) -> None:
    workspace, held = make_workspace(tmp_path), tmp_path / "held"
    path = workspace.ledger.layout.local / "live" / "sync"
    take = "import sys, time; from pathlib import Path; from wfledger.store.locks import LiveLock; "
    take += f"lock = LiveLock(Path({str(path)!r}), within_s=0); Path({str(held)!r}).touch()"
    script = f"{PYTHON} -c {shlex.quote(f'{take}; time.sleep(600)')}"
    with container(script, cwd=workspace.main, log=tmp_path / "one"):
        until(held.exists)
        second = apart(PYTHON, "-c", take, cwd=tmp_path)
        assert second.status != 0
        assert "BusyError" in second.err
    assert apart(PYTHON, "-c", take, cwd=tmp_path).status == 0
