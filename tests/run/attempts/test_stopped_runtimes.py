"""Runtimes that are stopped, not dead: they keep every lock, lose their attempts, and are refused."""

import os
import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.clock import FakeClock
from tests.support.engines import (
    AT_ONCE,
    LIMITS,
    NOTHING_LEFT,
    attempts,
    drive,
    drive_there,
    leftovers,
    note,
    noted,
    outcomes,
    statuses,
)
from tests.support.repos import files_at, git, write
from tests.support.waiting import until
from tests.support.workspaces import RUN, add_task, make_workspace, start
from wfledger.core.documents import Task
from wfledger.core.policy import Policy
from wfledger.core.statuses import Status
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.recovery import recover_lost
from wfledger.run.beating import Heart
from wfledger.run.liveness import Observations, look_for_stopped, owner_of
from wfledger.run.looks.explain import explain
from wfledger.run.slots import Slots
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

ID = f"{RUN}.a"
KEPT = f"refs/wfledger/keep/{ID}/1"
LEASE_S = 60.0


class Stopped:
    """A runtime that holds an attempt and beats no more, as SIGSTOP leaves it."""

    def __init__(self, workspace: Workspace, task: Task) -> None:
        self.heart = Heart(workspace)
        self.heart.name = "runtime-stopped"
        self.number = workspace.ledger.layout.beats / self.heart.name
        self.beats = LiveLock(self.number)
        self.beat(1)
        self.live = LiveLock(workspace.ledger.layout.live(task.id, task.attempt))
        self.heart.sign(self.live)

    def beat(self, number: int) -> None:
        self.number.write_text(f"{number:020}")


def _ledger(tmp_path: Path, clock: FakeClock) -> tuple[Workspace, Task]:
    workspace = make_workspace(
        tmp_path, {"a.txt": "a\n"}, clock=clock, policy=Policy(lease_s=LEASE_S)
    )
    task = add_task(workspace, "a", write=("a.txt",), retry=AT_ONCE)
    return workspace, start(workspace, task.id)


def _recover(workspace: Workspace) -> int:
    return recover_lost(workspace, report=lambda _, __: None)


def _wait_out(workspace: Workspace, clock: FakeClock, seconds: float) -> int:
    """Let *seconds* pass for somebody who looks every two; how many attempts he ended."""
    count = _recover(workspace)
    for _ in range(int(seconds / 2)):
        clock.advance(2)
        count += _recover(workspace)
    return count


@pytest.mark.requirement("WFL-CLAIM-036")
@pytest.mark.requirement("WFL-CLAIM-037")
def test_attempt_of_a_runtime_that_stands_still_is_taken_over(
    tmp_path: Path, clock: FakeClock
) -> None:
    workspace, task = _ledger(tmp_path, clock)
    runtime = Stopped(workspace, task)
    place = worktrees.make_for(workspace, task, 1)
    write(place.folder, {"a.txt": "half\n"})
    assert _wait_out(workspace, clock, LEASE_S - 4) == 0
    assert _wait_out(workspace, clock, 4) == 1
    assert statuses(workspace) == {ID: "waiting"}
    assert outcomes(workspace, ID) == ["lost"]
    assert "has stood still for 60 s" in attempts(workspace, ID)[0].message
    assert files_at(workspace.main, KEPT)["a.txt"] == "half"
    assert leftovers(workspace) == NOTHING_LEFT
    runtime.live.release()


@pytest.mark.requirement("WFL-CLAIM-037")
def test_runtime_that_renews_is_never_taken_over(tmp_path: Path, clock: FakeClock) -> None:
    workspace, task = _ledger(tmp_path, clock)
    runtime = Stopped(workspace, task)
    for number in range(2, 8):
        assert _wait_out(workspace, clock, LEASE_S / 2) == 0
        runtime.beat(number)
        clock.jump(-86_400 if number % 2 else 10 * 366 * 86_400)
    assert statuses(workspace) == {ID: "in-progress"}
    runtime.live.release()


@pytest.mark.requirement("WFL-CLAIM-038")
@pytest.mark.parametrize("gap", [LEASE_S, 3600.0, 8 * 3600.0])
def test_sleep_of_the_machine_counts_for_half_a_lease_at_most(
    tmp_path: Path, clock: FakeClock, gap: float
) -> None:
    workspace, task = _ledger(tmp_path, clock)
    runtime = Stopped(workspace, task)
    _wait_out(workspace, clock, LEASE_S / 2 - 6)
    clock.advance(gap)  # renewer and observer sleep
    assert _recover(workspace) == 0
    runtime.beat(2)
    assert _wait_out(workspace, clock, LEASE_S - 4) == 0
    assert _wait_out(workspace, clock, 4) == 1
    runtime.live.release()


def test_seldom_observer_needs_the_lease_and_two_looks(tmp_path: Path, clock: FakeClock) -> None:
    workspace, task = _ledger(tmp_path, clock)
    runtime = Stopped(workspace, task)
    _recover(workspace)
    ended = []
    for _ in range(3):
        clock.advance(1000)
        ended.append(_recover(workspace))
    assert ended == [0, 1, 0]
    runtime.live.release()


@pytest.mark.requirement("WFL-CLAIM-035")
def test_runtime_that_names_no_counter_is_alive_while_it_holds_its_lock(
    tmp_path: Path, clock: FakeClock
) -> None:
    workspace, task = _ledger(tmp_path, clock)
    live = LiveLock(workspace.ledger.layout.live(task.id, 1))
    assert _wait_out(workspace, clock, 3 * LEASE_S) == 0
    live.release()
    assert _recover(workspace) == 1


@pytest.mark.requirement("WFL-CLAIM-039")
def test_slots_of_a_runtime_that_stands_still_do_not_count(
    tmp_path: Path, clock: FakeClock
) -> None:
    workspace, task = _ledger(tmp_path, clock)
    runtime = Stopped(workspace, task)
    held = Slots(workspace, 1, heart=runtime.heart).take()
    assert held is not None
    mine = Slots(workspace, 1, heart=Heart(workspace))
    assert mine.take() is None
    _wait_out(workspace, clock, LEASE_S)
    assert look_for_stopped(workspace, remember=False) == {"runtime-stopped"}
    taken = mine.take()
    assert taken is not None
    assert mine.take() is None
    for lock in (held, taken, runtime.live):
        lock.release()


def test_who_looks_is_told_that_the_runtime_stands_still(
    tmp_path: Path, clock: FakeClock
) -> None:
    workspace, task = _ledger(tmp_path, clock)
    runtime = Stopped(workspace, task)
    observations = Observations.load(workspace)
    assert owner_of(workspace, task, observations, LEASE_S) == "alive"
    observations.save("runtime")
    clock.advance(LEASE_S)
    for _ in range(2):
        clock.advance(LEASE_S / 2)
        look_for_stopped(workspace)
    found = explain(workspace, ID)
    assert found.facts["owner"] == "expired"
    assert found.command == "wfledger tick"
    runtime.live.release()


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-023")
def test_stopped_supervisor_loses_its_task_and_is_refused_when_it_goes_on(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, {"a.txt": "a\n"}, policy=Policy(lease_s=0.6))
    told = note(tmp_path, "$WFLEDGER_ATTEMPT")
    rest = "echo $WFLEDGER_ATTEMPT > a.txt; [ $WFLEDGER_ATTEMPT -gt 1 ] || exec sleep 60"
    command = f"{told}; {rest}"
    add_task(workspace, "a", command=command, write=("a.txt",), retry=AT_ONCE, limits=LIMITS)
    zombie = processes.start(drive_there, workspace.main)
    until(lambda: noted(tmp_path) == ["1"])
    os.kill(zombie.pid, signal.SIGSTOP)
    assert drive(workspace).verdict.state == "succeeded"
    assert noted(tmp_path) == ["1", "2"]
    tip, kept = git(workspace.main, "rev-parse", f"wf/{RUN}"), git(workspace.main, "rev-parse", KEPT)
    before = workspace.ledger.get(ID)
    os.kill(zombie.pid, signal.SIGCONT)
    assert zombie.result() == 0  # it sees that its run is over
    assert workspace.ledger.get(ID) == before
    assert before.status is Status.DONE
    assert outcomes(workspace, ID) == ["lost", "succeeded"]
    assert git(workspace.main, "rev-parse", f"wf/{RUN}") == tip
    assert git(workspace.main, "rev-parse", KEPT) == kept
    assert files_at(workspace.main, KEPT)["a.txt"] == "1"
    assert files_at(workspace.main, f"wf/{RUN}")["a.txt"] == "2"
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.requirement("WFL-CLAIM-038")
def test_suspended_machine_ends_nobodys_lease(tmp_path: Path, clock: FakeClock) -> None:
    workspace, task = _ledger(tmp_path, clock)
    runtime = Stopped(workspace, task)
    for number in range(2, 6):
        _wait_out(workspace, clock, LEASE_S - 4)
        clock.sleep(9 * 3600.0)
        assert _recover(workspace) == 0
        runtime.beat(number)
    runtime.live.release()
