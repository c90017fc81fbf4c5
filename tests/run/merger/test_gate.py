"""The gate decides about exactly the tree that lands: the result together with all before it."""

import os
import threading
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.faults import Pause
from tests.support.landings import accept, assert_landed_once, land, land_there, landed_commits
from tests.support.repos import git
from tests.support.workspaces import BRANCH, RUN, make_workspace, move_branch, put_merging
from wfledger.core.documents import Accepted, Check, Gate
from wfledger.core.policy import GatePolicy, Policy
from wfledger.core.statuses import Status
from wfledger.run.attempts import worktrees
from wfledger.run.merger.landing import Blocked, Deferred, Done
from wfledger.run.workspace import Workspace

FILES = {"src/a.py": "A = 1\n", "src/b.py": "B = 1\n"}
#: Passes unless both files have changed.
NOT_BOTH = "! (grep -q 2 src/a.py && grep -q 2 src/b.py)"


def _workspace(tmp_path: Path, command: str, **fields: float) -> Workspace:
    policy = Policy(gate=GatePolicy(command=command, **fields))
    return make_workspace(tmp_path, FILES, policy=policy)


def _counted(tmp_path: Path, command: str) -> tuple[str, Path]:
    """Return *command* so that it notes each time it runs, and where it does."""
    path = tmp_path / "count"
    path.touch()
    return f"echo x >> {path}; {command}", path


@pytest.mark.requirement("WFL-LAND-033")
def test_gate_that_fails_alone_blocks(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, "echo bad news; grep -q 1 src/a.py")
    tip = git(workspace.main, "rev-parse", BRANCH)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert (landing.code, landing.command) == ("gate", "wfledger open r1.one")
    assert "bad news" in landing.reason
    assert git(workspace.main, "rev-parse", BRANCH) == tip
    assert workspace.ledger.get(task.id).task.attempts[0].outcome == "gate"


@pytest.mark.requirement("WFL-LAND-031")
def test_gate_that_fails_only_together_blocks_the_second(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, NOT_BOTH)
    check = (Check(kind="command", command=NOT_BOTH),)
    one = put_merging(workspace, "one", {"src/a.py": "A = 2\n"}, verify=check)
    two = put_merging(workspace, "two", {"src/b.py": "B = 2\n"}, verify=check)
    assert isinstance(land(workspace, one), Done)
    landing = land(workspace, two)
    assert isinstance(landing, Blocked)
    assert landing.code == "gate"
    assert landing.details["before"] == "passed"
    assert landed_commits(workspace.main, two.id) == []
    assert_landed_once(workspace, one)


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-031")
@pytest.mark.requirement("WFL-LAND-012")
def test_gate_runs_on_the_merged_tree_after_a_lost_race(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, NOT_BOTH)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    with Pause(tmp_path, "landing.intent-written") as pause:
        child = processes.start(land_there, workspace.main, task.id, env=pause.env)
        pause.wait()
        tip = move_branch(workspace.main, {"src/b.py": "B = 2\n"})
        pause.go()
        landing = child.result()
    assert isinstance(landing, Blocked)
    assert landing.code == "gate"
    assert git(workspace.main, "rev-parse", BRANCH) == tip
    assert workspace.ledger.get(task.id).task.intent is None


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-030")
def test_same_tree_is_tested_once(tmp_path: Path) -> None:
    command, count = _counted(tmp_path, "true")
    workspace = _workspace(tmp_path, command)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    with Pause(tmp_path, "landing.intent-written") as pause:
        child = processes.start(land_there, workspace.main, task.id, env=pause.env)
        pause.wait()
        tip = git(workspace.main, "rev-parse", BRANCH)
        empty = git(workspace.main, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", "empty")
        git(workspace.main, "update-ref", BRANCH, empty)
        pause.go()
        assert isinstance(child.result(), Done)
    assert git(workspace.main, "rev-parse", f"{assert_landed_once(workspace, task)}^") == empty
    assert count.read_text() == "x\n"


@pytest.mark.requirement("WFL-LAND-030")
def test_failed_gate_is_run_again(tmp_path: Path) -> None:
    command, count = _counted(tmp_path, f"test $(wc -l < {tmp_path / 'count'}) = 2")
    workspace = _workspace(tmp_path, command)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    accepted = Accepted(attempt=1, head=landing.details["head"], base=landing.details["base"])
    assert isinstance(land(workspace, accept(workspace, task, accepted)), Done)
    assert count.read_text() == "x\nx\n"


def test_another_command_is_another_verdict(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, "true")
    git(workspace.main, "checkout", "--quiet", "wf/r1")
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    assert isinstance(land(workspace, task), Deferred)
    git(workspace.main, "checkout", "--quiet", "main")
    path = workspace.ledger.layout.root / "ledger.json"
    path.write_text(path.read_text().replace('"true"', '"false"'))
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "gate"


def test_gate_that_takes_too_long_blocks(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, "sleep 600", timeout_s=0.2)
    landing = land(workspace, put_merging(workspace, "one", {"src/a.py": "A = 2\n"}))
    assert isinstance(landing, Blocked)
    assert "0.2 s" in landing.reason


def test_person_may_waive_the_gate(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, "false")
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    head, base = landing.details["head"], landing.details["base"]
    accepted = Accepted(attempt=1, head=head, base=base, waive=("gate",))
    assert isinstance(land(workspace, accept(workspace, task, accepted)), Done)


@pytest.mark.requirement("WFL-LAND-032")
def test_stop_during_the_gate_leaves_the_task_in_merging(tmp_path: Path) -> None:
    fifo = tmp_path / "began"
    os.mkfifo(fifo)
    workspace = _workspace(tmp_path, f"echo $$ > {fifo}; exec sleep 600")
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    stop, pids = threading.Event(), []

    def watch() -> None:
        pids.append(fifo.read_text().strip())
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    landing = land(workspace, task, stop=stop)
    watcher.join()
    assert isinstance(landing, Deferred)
    assert not Path("/proc", pids[0]).exists()
    entry = workspace.ledger.get(task.id)
    assert (entry.status, entry.task.hold) == (Status.MERGING, None)
    assert worktrees.recorded(workspace) == []


def test_gate_of_a_merger_that_died_is_ended_before_the_next_runs(tmp_path: Path) -> None:
    fifo = tmp_path / "began"
    os.mkfifo(fifo)
    workspace = _workspace(tmp_path, f"test -e {tmp_path}/second || (echo $$ > {fifo}; sleep 600)")
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    child = processes.start(land_there, workspace.main, task.id)
    pid = fifo.read_text().strip()
    child.kill()
    assert Path("/proc", pid).exists()
    (tmp_path / "second").touch()
    assert isinstance(land(workspace, task), Done)
    assert not Path("/proc", pid).exists()
    assert worktrees.recorded(workspace) == []
    assert_landed_once(workspace, task)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", ["gate", "verify"])
def test_verdicts_that_are_remembered_are_bounded(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wfledger.run.merger.cleanroom._KEPT_VERDICTS", 2)
    workspace = _workspace(tmp_path, "true")
    for number in range(3):
        files = {"src/a.py": f"A = {number}{number}\n"}
        check = (Check(kind="command", command="true"),)
        land(workspace, put_merging(workspace, f"t{number}", files, verify=check))
    index = workspace.ledger.layout.local / "index"
    assert len(list(index.glob(f"{kind}-*.json"))) == 2


def _with_gate(workspace: Workspace, command: str) -> None:
    with workspace.ledger.transaction("test") as changes:
        run = workspace.ledger.run(RUN)
        gated = run.but(seq=run.seq + 1, gate=Gate(command=command))
        changes.put_run(gated, why="with a gate of its own")


@pytest.mark.requirement("WFL-LAND-034")
@pytest.mark.long
def test_gate_of_the_run_is_tested_besides_the_ledgers_and_both_are_named(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, "echo ledger; grep -q 1 src/a.py")
    _with_gate(workspace, "echo run; grep -q 1 src/a.py")
    landing = land(workspace, put_merging(workspace, "one", {"src/a.py": "A = 2\n"}))
    assert isinstance(landing, Blocked)
    assert landing.code == "gate"
    for line in ("echo ledger; grep", "echo run; grep"):
        assert line in landing.reason
    assert len(landing.details["logs"]) == 2


@pytest.mark.requirement("WFL-LAND-034")
@pytest.mark.long
def test_verdicts_of_both_gates_are_remembered_apart(tmp_path: Path) -> None:
    command, path = _counted(tmp_path, "true")
    workspace = _workspace(tmp_path, command)
    own, other = tmp_path / "own", tmp_path / "other"
    git(workspace.main, "checkout", "--quiet", BRANCH.removeprefix("refs/heads/"))
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    for gate in (own, own, other):
        _with_gate(workspace, f"echo x >> {gate}")
        assert isinstance(land(workspace, task), Deferred)  # its branch is checked out
    assert [one.read_text() for one in (path, own, other)] == ["x\n", "x\n", "x\n"]
    assert worktrees.recorded(workspace) == []
