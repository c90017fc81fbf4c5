"""A worker in bubblewrap changes its own place alone, and everything of it dies with its runtime."""

import os
import socket
import threading
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.attempts import FILES, ID, blocked, result_of, run_task
from tests.support.confining import BOXED, fleet, needs_bwrap, trying
from tests.support.engines import NOTHING_LEFT, leftovers, statuses
from tests.support.jobs import Leash, Running, leash, shell
from tests.support.jobs import job as make_job
from tests.support.repos import git
from tests.support.waiting import until
from tests.support.workspaces import BRANCH, make_workspace
from wfledger.errors import EnvironmentFailedError
from wfledger.run.config.confinement import Confinement
from wfledger.run.processes.process import Job, ProcessLimits, sweep, tagged
from wfledger.run.processes.sandbox import Sandbox, require, sandbox_for, trouble, unavailable
from wfledger.run.workspace import Workspace

pytestmark = needs_bwrap


def landed(workspace: Workspace, path: str) -> str:
    """Return a file of what has landed on the run's branch."""
    return git(workspace.main, "show", f"{BRANCH}:{path}")


@pytest.mark.requirement("WFL-PROC-010")
@pytest.mark.requirement("WFL-PROC-011")
@pytest.mark.requirement("WFL-PROC-016")
def test_sandboxed_worker_changes_nothing_but_its_own(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES, fleet=BOXED)
    common, ledger, state = workspace.common_dir, workspace.ledger.layout.root, workspace.state
    local = workspace.ledger.layout.local
    attempts = (
        f"echo x >> {common}/config",
        f"touch {common}/hooks/post-checkout",
        f"touch {common}/info/attributes",
        f"touch {common}/refs/heads/evil",
        f"touch {common}/objects/evil",
        f"touch {ledger}/waiting/evil.json",
        f"mv {ledger} {ledger}.gone",
        f"touch {state}/evil",
        f"touch {workspace.main}/src/evil",
        f"touch {Path.home()}/evil",
        f"cat {local}/tokens/*",
        f"cat {local}/locks/*",
        f"touch {local}/locks/evil",
        f"cat {local}/live/*",
    )
    work = "echo new > src/new.txt && git add src/new.txt && git commit -qm work && echo x >> src/a.txt"
    task = run_task(workspace, trying(*attempts, "touch /tmp/mine", then=work), write=("src",))
    assert task.block is None
    assert landed(workspace, "src/can") == "touch /tmp/mine"
    assert (landed(workspace, "src/new.txt"), landed(workspace, "src/a.txt")) == ("new", "a\nx")
    confined = result_of(workspace).confined
    assert confined is not None
    assert (confined.sandbox, confined.network, confined.isolation) == ("bwrap", True, "clone")
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-019")
def test_sandboxed_worker_sees_its_own_desk_and_no_other(tmp_path: Path) -> None:
    # All of it is shown, as a home is.
    workspace = make_workspace(tmp_path, FILES, fleet=fleet(readable=[str(tmp_path)]))
    state = workspace.state
    login, foreign = state / "other.1.desk/home/auth.json", state.parent / "else/x.1.desk/home/auth.json"
    for path in (login, foreign):
        path.parent.mkdir(parents=True)
        path.write_text("login")
    seen = (
        "grep -q . $WFLEDGER_TASK_FILE", "touch $WFLEDGER_RESULT_FILE.x", "test -e ../*.desk",
        "git log -1 --oneline HEAD",
    )  # fmt: skip
    unseen = (
        f"cat {login}", f"cat {foreign}", "ls ../other.1.desk", "touch ../evil", f"touch {state.parent}/evil",
    )  # fmt: skip
    task = run_task(workspace, trying(*seen, *unseen), write=("src",))
    assert task.block is None
    assert landed(workspace, "src/can").splitlines() == list(seen)
    assert login.exists()
    assert not (state / "evil").exists()


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-012")
def test_network_is_off_where_it_is_asked_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
        for number, network in enumerate((True, False)):
            folder = tmp_path / str(number)
            folder.mkdir()
            workspace = make_workspace(folder, FILES, fleet=fleet(network=network))
            run_task(workspace, ("bash", "-c", trying(reach)), write=("src",))
            assert landed(workspace, "src/can") == (reach if network else "")
            confined = result_of(workspace).confined
            assert confined is not None
            assert confined.network is network


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-010")
def test_listed_paths_are_writable_and_hidden_ones_unreadable(tmp_path: Path, home: Path) -> None:
    for name in (".ssh", "cache", "deep/secret"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / ".ssh/id").write_text("key")
    (home / "deep/secret/x").write_text("key")
    (home / "seen").write_text("plain")
    (home / "token").write_text("key")
    rules = fleet(writable=["~/cache"], hidden=["~/deep/secret", "~/token", "~/absent"])
    workspace = make_workspace(tmp_path, FILES, fleet=rules)
    tries = (
        "touch ~/cache/x", "cat ~/seen", "cat ~/.ssh/id", "cat ~/deep/secret/x",
        "touch ~/deep/secret/y", "grep -q . ~/token",
    )  # fmt: skip
    run_task(workspace, trying(*tries), write=("src",))
    # The list of fleet.toml stands in the place of the usual one.
    assert landed(workspace, "src/can").splitlines() == ["touch ~/cache/x", "cat ~/seen", "cat ~/.ssh/id"]
    assert (home / "cache/x").exists()


@pytest.mark.long
def test_keys_of_the_home_are_hidden_unless_said_otherwise(tmp_path: Path, home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/id").write_text("key")
    workspace = make_workspace(tmp_path, FILES, fleet=BOXED)
    run_task(workspace, trying("cat ~/.ssh/id", "touch ~/.ssh/y"), write=("src",))
    assert landed(workspace, "src/can") == ""


@pytest.mark.requirement("WFL-PROC-010")
@pytest.mark.parametrize("where", ["common", "ledger", "state", "nowhere"])
def test_what_is_the_ledgers_cannot_be_made_writable(tmp_path: Path, where: str) -> None:
    workspace = make_workspace(tmp_path, FILES)
    path = {
        "common": workspace.common_dir / "hooks", "ledger": workspace.ledger.layout.root,
        "state": workspace.state, "nowhere": tmp_path / "nowhere",
    }[where]  # fmt: skip
    workspace.state.mkdir(parents=True)
    confinement = Confinement(sandbox="bwrap", isolation="clone", writable=(str(path),))
    with pytest.raises(EnvironmentFailedError, match="writable"):
        sandbox_for(workspace, confinement, (tmp_path,))


@pytest.mark.requirement("WFL-PROC-013")
def test_nothing_starts_without_the_sandbox_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wfledger.run.processes import sandbox

    workspace = make_workspace(tmp_path, FILES, fleet=BOXED)
    empty = tmp_path / "empty"
    empty.mkdir()
    sandbox._probe.cache_clear()
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(empty))
        assert [sentence for sentence in unavailable(workspace.fleet()) if "[defaults]" in sentence]
        with pytest.raises(EnvironmentFailedError, match="bwrap"):
            require(workspace.fleet().confinement)
    assert trouble(workspace.fleet().confinement) is not None, "found out once for each process"
    reason = blocked(workspace, f"touch {tmp_path}/started", "environment", write=("src",))
    sandbox._probe.cache_clear()
    assert "no program bwrap" in reason
    assert not (tmp_path / "started").exists()


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-015")
def test_setup_and_checks_run_in_the_sandbox_too(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    rules = f"{fleet()}[worktree]\nsetup = 'if touch {outside}/setup; then exit 1; fi'\n"
    workspace = make_workspace(tmp_path, FILES, fleet=rules)
    check = {"kind": "command", "command": f"if touch {outside}/check; then exit 1; fi; test -f src/new.txt"}
    task = run_task(workspace, "echo new > src/new.txt", write=("src",), verify=(_check(check),))
    assert statuses(workspace)[ID] == "done", task.block
    assert list(outside.iterdir()) == []


def _check(fields: dict[str, str]) -> object:
    from wfledger.core.documents import Check

    return Check.model_validate(fields)


# Processes.


@pytest.fixture
def line() -> object:
    with leash() as made:
        yield made


def boxed(folder: Path, *argv: str, line: Leash | None = None, tag: str | None = None) -> Job:
    """Return a job that runs in a sandbox in which *folder* is writable."""
    plain = make_job(folder, *argv, tag=tag, keep_open=(line.fd,) if line else ())
    mounts = ((Path("/tmp"), "hide"), (folder, "write")) if not folder.is_relative_to("/tmp") else ((folder, "write"),)
    return Job(
        plain.argv, plain.cwd, plain.env, plain.output, ProcessLimits(grace_s=20), plain.tag,
        plain.keep_open, Sandbox(mounts, network=False),  # type: ignore[arg-type]
    )  # fmt: skip


def test_worker_in_a_sandbox_is_asked_before_it_is_killed(tmp_path: Path, line: Leash) -> None:
    script = "trap 'touch asked; kill $!; exit 7' TERM; echo up >/dev/fd/$LEASH; sleep 1000 & wait"
    running = Running(boxed(tmp_path, "sh", "-c", script, line=line))
    assert line.line() == "up"
    running.stop.set()
    ended = running.end()
    assert (ended.reason, ended.status, ended.left) == ("stopped", 7, ())
    assert (tmp_path / "asked").exists()
    assert not line.held()


def test_nothing_leaves_a_sandbox_alive(tmp_path: Path, line: Leash) -> None:
    script = "trap '' TERM; (setsid sleep 1000 &); (env -i setsid sleep 1000 &); echo up >/dev/fd/$LEASH; exit 3"
    ended = Running(boxed(tmp_path, *shell(script), line=line)).end()
    assert line.line() == "up"
    assert (ended.reason, ended.status, ended.left) == ("exited", 3, ())
    assert not line.held()


def test_sandbox_itself_is_not_taken_for_what_a_worker_left_behind(tmp_path: Path) -> None:
    ended = [Running(boxed(tmp_path, "true")).end() for _ in range(5)]
    assert [one.message for one in ended] == ["exit status 0"] * 5


def test_missing_program_and_failing_sandbox_are_no_exit_of_the_worker(tmp_path: Path) -> None:
    missing = Running(boxed(tmp_path, "no-such-program")).end()
    assert (missing.reason, "was not found" in missing.message) == ("spawn_failed", True)
    job = boxed(tmp_path, "true")
    gone = Sandbox(((tmp_path / "gone", "write"),), network=False)
    failed = Running(Job(job.argv, tmp_path, job.env, job.output, job.limits, job.tag, (), gone)).end()
    assert (failed.reason, "sandbox" in failed.message) == ("spawn_failed", True)


def supervise(folder: str, tag: str, fifo: str) -> None:
    """Run a job in a sandbox from a thread that is not the main one."""
    script = f"trap '' TERM; exec 9>{fifo}; (env -i setsid sleep 1000 &) ; sleep 1000 & echo up >&9; wait"
    running = Running(boxed(Path(folder), *shell(script), tag=tag))
    threading.Thread(target=lambda: None).start()  # the end of another thread is none of its concern
    running.end()


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-014")
def test_sandbox_dies_with_a_killed_runtime_unasked(tmp_path: Path) -> None:
    fifo, tag = tmp_path / "fifo", f"{tmp_path}:t.1"
    os.mkfifo(fifo)
    runtime = processes.start(supervise, str(tmp_path), tag, str(fifo))
    with fifo.open("rb", buffering=0) as reading:
        assert reading.readline() == b"up\n"
        runtime.kill()
        assert reading.read(1) == b"", "end of file comes when the last process is gone"
    until(lambda: tagged(str(tmp_path)) == {})
    # A process closes its files a moment before it is gone from the list.
    until(lambda: sweep(tag, grace_s=0) == 0)
