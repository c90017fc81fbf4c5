"""The daemon as a user has it: in the background, asked, stopped, and as a unit."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.cli import plan, wf, wf_json
from tests.support.daemons import all_done, detached, serving, status_of
from tests.support.engines import LIMITS, NOTHING_LEFT, leftovers, note, noted, statuses
from tests.support.processes import PATIENCE_S, run_cli
from tests.support.repos import files_at, make_repo
from tests.support.waiting import until
from tests.support.workspaces import RUN, add_task, make_workspace, open_workspace
from wfledger.run.processes.process import tagged
from wfledger.run.service.instance import Instance, facts_of, is_up
from wfledger.run.workspace import Workspace


@pytest.mark.long
@pytest.mark.requirement("WFL-DAEMON-010")
@pytest.mark.requirement("WFL-DAEMON-011")
def test_detached_plan_is_finished_by_the_daemon_alone(repo: Path) -> None:
    wf(repo, "init")
    with detached(repo) as pid:
        found = wf_json(repo, "run", "--yes", plan(repo, {"a": {"command": "echo 1 > a", "write": ["a"]}}), "--detach")
        workspace = open_workspace(repo)
        again = run_cli("daemon", cwd=repo)
        assert (again.status, again.out) == (0, f"already running (pid {pid})\n")
        until(lambda: all_done(workspace, 1))
        status = status_of(repo)
        assert (status["pid"], status["state"], status["setbacks"]) == (pid, "up", [])
    assert files_at(repo, f"refs/heads/wf/{found['run']}")["a"] == "1"
    assert leftovers(workspace) == NOTHING_LEFT
    assert wf(repo, "daemon", "status").status == 3
    assert wf_json(repo, "daemon", "stop") == {"stopped": False, "pid": None}


@pytest.mark.requirement("WFL-DAEMON-011")
@pytest.mark.long
def test_daemons_that_begin_at_once_are_one(repo: Path) -> None:
    wf(repo, "init")
    argv = [sys.executable, "-m", "wfledger", "daemon"]
    daemons = [subprocess.Popen(argv, cwd=repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(4)]
    until(lambda: sum(one.poll() is None for one in daemons) == 1)
    (left,) = (one for one in daemons if one.poll() is None)
    until(lambda: facts_of(open_workspace(repo)) is not None)
    assert status_of(repo)["pid"] == left.pid
    assert wf_json(repo, "daemon", "stop") == {"stopped": True, "pid": left.pid}
    assert [one.wait(PATIENCE_S) for one in daemons] == [0, 0, 0, 0]


@pytest.mark.requirement("WFL-DAEMON-041")
@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_the_daemon_and_every_process_of_its_attempts(
    tmp_path: Path, number: signal.Signals
) -> None:
    workspace = make_workspace(tmp_path)
    strays = f"(setsid sleep 60 &); echo half > half; {note(tmp_path)}; sleep 60"
    add_task(workspace, "a", command=strays, write=("half",), limits=LIMITS)
    with subprocess.Popen([sys.executable, "-m", "wfledger", "daemon", "--quiet"], cwd=workspace.main) as daemon:
        until(lambda: len(noted(tmp_path)) == 1)
        daemon.send_signal(number)
        assert daemon.wait(PATIENCE_S) == 0
    assert tagged(str(workspace.ledger.layout.local)) == {}
    assert statuses(workspace) == {f"{RUN}.a": "waiting"}
    assert files_at(workspace.main, f"refs/wfledger/keep/{RUN}.a/1")["half"] == "half"
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.requirement("WFL-DAEMON-012")
@pytest.mark.long
def test_daemon_that_is_stopped_by_the_system_is_not_waited_for_for_ever(repo: Path) -> None:
    wf(repo, "init")
    with detached(repo) as pid:
        os.kill(pid, signal.SIGSTOP)
        done = run_cli("daemon", "stop", "--timeout", "0.2", cwd=repo)
        assert (done.status, f"kill -9 {pid}" in done.err) == (75, True)
        os.kill(pid, signal.SIGCONT)


@pytest.mark.requirement("WFL-DAEMON-012")
@pytest.mark.long
def test_what_a_daemon_said_does_not_outlive_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    with serving(workspace):
        until(lambda: facts_of(workspace) is not None)
    assert facts_of(workspace) is None
    second = Instance(workspace)
    assert is_up(workspace)
    assert facts_of(workspace) is None  # nothing of the one before it
    second.release()


@pytest.mark.requirement("WFL-DAEMON-013")
@pytest.mark.long
def test_daemon_leaves_when_its_lock_was_replaced(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    lock = workspace.ledger.layout.local / "live" / "daemon"
    with serving(workspace) as daemon:
        until(lambda: facts_of(workspace) is not None)
        lock.rename(lock.with_name("old"))
        lock.touch()
        daemon.hint()
        until(lambda: daemon.is_superseded)


@pytest.mark.long
def test_stop_and_status_work_where_the_ledger_is_gone(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    with detached(workspace.main):
        shutil.rmtree(workspace.ledger.layout.root)
        until(lambda: bool(status_of(workspace.main)["setbacks"]))
        assert "not the worktree" in wf(workspace.main, "daemon", "status").out
    assert not workspace.ledger.layout.root.exists()


def _unit(place: Path) -> tuple[Workspace, str]:
    make_repo(place, {"README.md": "x\n"})
    assert wf(place, "init").status == 0
    done = wf(place, "daemon", "unit", "--workers", "3")
    assert done.status == 0
    return open_workspace(place), done.out


@pytest.mark.long
def test_unit_quotes_what_systemd_would_take_apart(tmp_path: Path) -> None:
    place = tmp_path / 'my "own" 100% $HOME repo'
    _, text = _unit(place)
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    assert settings["WorkingDirectory"] == str(place).replace("%", "%%")
    words = shlex.split(settings["ExecStart"].replace("$$", "$").replace("%%", "%"))
    assert words == [sys.executable, "-m", "wfledger", "-C", str(place), "daemon", "--workers", "3"]
    assert (settings["KillMode"], settings["Restart"]) == ("mixed", "on-failure")


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
def test_unit_is_one_for_systemd(tmp_path: Path) -> None:
    _, text = _unit(tmp_path / "my repo")
    path = tmp_path / "wfledger.service"
    path.write_text(text)
    done = processes.run(
        "systemd-analyze", "verify", "--user", path, cwd=tmp_path,
        env={"XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert str(path.name) not in done.err
