"""A branch that others move, landers that meet, and trouble of the machine."""

import threading
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.clock import START, FakeClock
from tests.support.faults import Pause
from tests.support.landings import (
    accept,
    assert_landed_once,
    land,
    land_there,
    outcomes,
)
from tests.support.repos import files_at, git
from tests.support.workspaces import (
    BRANCH,
    make_workspace,
    move_branch,
    put_merging,
)
from wfledger.core.documents import Accepted
from wfledger.core.policy import GatePolicy, Policy
from wfledger.core.statuses import Status
from wfledger.run.merger import lander, targets
from wfledger.run.merger.landing import (
    Blocked,
    Deferred,
    Done,
    is_landable,
)
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

FILES = {"src/a.py": "A = 1\n", "src/b.py": "B = 1\n", "lib/c.py": "C = 1\n"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, FILES)


# -- the target ----------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-LAND-014")
def test_branch_that_is_checked_out_is_not_moved(workspace: Workspace, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    git(workspace.main, "worktree", "add", "--quiet", str(place), "wf/r1")
    tip = git(workspace.main, "rev-parse", BRANCH)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Deferred)
    assert str(place) in landing.reason
    assert git(workspace.main, "rev-parse", BRANCH) == tip
    git(workspace.main, "worktree", "remove", str(place))
    land(workspace, task)
    assert_landed_once(workspace, task)


@pytest.mark.requirement("WFL-LAND-014")
def test_branch_checked_out_in_the_main_checkout_is_not_moved(workspace: Workspace) -> None:
    git(workspace.main, "checkout", "--quiet", "wf/r1")
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Deferred)
    assert str(workspace.main) in landing.reason


@pytest.mark.requirement("WFL-LAND-022")
def test_rewound_branch_stops_landing_until_it_is_back(workspace: Workspace) -> None:
    first = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    base = git(workspace.main, "rev-parse", BRANCH)
    land(workspace, first)
    landed = git(workspace.main, "rev-parse", BRANCH)
    git(workspace.main, "update-ref", BRANCH, base)
    task = put_merging(workspace, "two", {"src/b.py": "B = 2\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "target_rewound"
    assert f"git update-ref {BRANCH} {landed}" in landing.reason
    assert landing.command == "wfledger accept r1.two"
    assert outcomes(workspace, task) == ["succeeded"]
    git(workspace.main, "update-ref", BRANCH, landed)
    accepted = Accepted(attempt=1, head=landing.details["head"], base=base)
    land(workspace, accept(workspace, task, accepted))
    assert_landed_once(workspace, task)


def test_branch_that_is_gone_stops_landing(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    git(workspace.main, "update-ref", "-d", BRANCH)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "target_rewound"


@pytest.mark.requirement("WFL-LAND-002")
def test_base_that_the_branch_does_not_contain_is_a_conflict(workspace: Workspace) -> None:
    base = git(workspace.main, "rev-parse", BRANCH)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    other = git(workspace.main, "commit-tree", f"{base}^{{tree}}", "-m", "another root")
    git(workspace.main, "update-ref", BRANCH, other)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "conflict"


def test_names_of_branches_never_meet_in_a_file_name() -> None:
    branches = ["refs/heads/a/b", "refs/heads/a%2Fb", "refs/heads/a-b", "refs/heads/" + "é" * 90]
    names = {targets.safe_name(branch) for branch in branches}
    assert len(names) == len(branches)
    assert all("/" not in name and len(name) <= 200 for name in names)


# -- races ---------------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-LAND-011")
@pytest.mark.requirement("WFL-LAND-012")
def test_target_that_moves_before_the_swap_is_merged_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    with Pause(tmp_path, "landing.intent-written") as pause:
        child = processes.start(land_there, workspace.main, task.id, env=pause.env)
        pause.wait()
        tip = move_branch(workspace.main, {"src/b.py": "B = 2\n"})
        pause.go()
        assert isinstance(child.result(), Done)
    made = assert_landed_once(workspace, task)
    assert git(workspace.main, "rev-parse", f"{made}^") == tip


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-011")
def test_two_landers_without_the_lock_both_land_once(workspace: Workspace, tmp_path: Path) -> None:
    one = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    two = put_merging(workspace, "two", {"src/b.py": "B = 2\n"})
    with Pause(tmp_path, "landing.intent-written") as pause:
        child = processes.start(land_there, workspace.main, one.id, env=pause.env)
        pause.wait()
        for lock in (workspace.ledger.layout.local / "locks").glob("target-*"):
            lock.unlink()
        assert isinstance(land(workspace, two), Done)
        pause.go()
        assert isinstance(child.result(), Done)
    first, second = assert_landed_once(workspace, two), assert_landed_once(workspace, one)
    assert git(workspace.main, "rev-parse", f"{second}^") == first
    assert files_at(workspace.main, BRANCH)["src/b.py"] == "B = 2"


@pytest.mark.requirement("WFL-LAND-012")
def test_target_that_never_stands_still_puts_the_landing_off(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    swaps = []

    def point(name: str) -> None:
        if name == "landing.intent-written":
            swaps.append(move_branch(workspace.main, {"lib/c.py": f"C = {len(swaps)}\n"}))

    with monkeypatch.context() as patched:
        patched.setattr("wfledger.faults.point", point)
        landing = land(workspace, task)
    assert isinstance(landing, Deferred)
    assert len(swaps) == lander.ROUNDS
    assert git(workspace.main, "rev-parse", BRANCH) == swaps[-1]
    land(workspace, task)
    assert_landed_once(workspace, task)


@pytest.mark.long
def test_landers_of_different_tasks_wait_for_each_other(workspace: Workspace) -> None:
    one = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    two = put_merging(workspace, "two", {"src/b.py": "B = 2\n"})
    calls = [(workspace.main, task.id, 30.0) for task in (one, two)]
    assert all(isinstance(landing, Done) for landing in processes.race(land_there, calls))
    for task in (one, two):
        assert_landed_once(workspace, task)


@pytest.mark.long
def test_landers_of_one_task_come_to_one_end(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    calls = [(workspace.main, task.id, 30.0)] * 3
    first, *others = processes.race(land_there, calls)
    assert isinstance(first, Done)
    assert others == [first, first]
    assert_landed_once(workspace, task)


def test_busy_target_defers_and_changes_nothing(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    stop = threading.Event()
    done = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with targets.hold_target(workspace, BRANCH, wait_s=0, stop=stop):
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    landing = land(workspace, task)
    done.set()
    thread.join()
    assert isinstance(landing, Deferred)
    assert workspace.ledger.get(task.id).task.seq == task.seq


@pytest.mark.requirement("WFL-LAND-020")
def test_task_that_another_live_merger_holds_is_left_to_it(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    path = workspace.ledger.layout.local / "live" / f"{task.id}.1.merge"
    other = LiveLock(path)
    assert isinstance(land(workspace, task), Deferred)
    assert workspace.ledger.get(task.id).task.merger is None
    other.release()
    land(workspace, task)
    assert_landed_once(workspace, task)
    assert not path.exists()


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-003")
@pytest.mark.requirement("WFL-LAND-020")
def test_merger_that_was_taken_over_is_fenced(workspace: Workspace, tmp_path: Path) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    with Pause(tmp_path, "landing.candidate") as pause:
        zombie = processes.start(land_there, workspace.main, task.id, env=pause.env)
        pause.wait()
        for folder, name in (("locks", "target-*"), ("live", "*.merge")):
            for lock in (workspace.ledger.layout.local / folder).glob(name):
                lock.unlink()
        assert isinstance(land(workspace, task), Done)
        pause.go()
        with pytest.raises(processes.WorkerFailedError, match="StaleError"):
            zombie.result()
    assert_landed_once(workspace, task)


# -- trouble -------------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-LAND-032")
def test_trouble_of_the_machine_is_put_off_for_longer_each_time(tmp_path: Path) -> None:
    clock = FakeClock()
    fleet = '[worktree]\nsetup = "exit 7"\n'
    policy = Policy(gate=GatePolicy(command="true"))
    workspace = make_workspace(tmp_path, FILES, clock=clock, policy=policy, fleet=fleet)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    waits = []
    for _ in range(3):
        landing = land(workspace, task)
        assert isinstance(landing, Deferred)
        assert "setup" in landing.reason
        waits.append(landing.until)
    assert waits == [f"2026-01-05T09:00:{second}.000Z" for second in ("05", "10", "20")]
    entry = workspace.ledger.get(task.id)
    assert entry.status is Status.MERGING
    assert entry.task.hold is not None
    assert not is_landable(workspace, entry.task, now=START)
    clock.advance(20)
    assert is_landable(workspace, entry.task, now=clock.now())
    assert outcomes(workspace, task) == ["succeeded"]
    (workspace.ledger.layout.root / "fleet.toml").write_text("")
    land(workspace, task)
    assert_landed_once(workspace, task)


def test_stop_leaves_the_task_in_merging_without_a_backoff(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    stop = threading.Event()
    stop.set()
    assert isinstance(land(workspace, task, stop=stop), Deferred)
    entry = workspace.ledger.get(task.id)
    assert (entry.status, entry.task.hold) == (Status.MERGING, None)
