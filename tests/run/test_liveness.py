"""Observations that several observers share."""

from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core.documents import Task
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.claims import claim
from wfledger.run.beating import Heart
from wfledger.run.engine import Engine
from wfledger.run.liveness import Observations, owner_of
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock


def offer(workspace: Workspace) -> Task:
    """Put a task on offer."""
    task = add_task(workspace, "a")
    with workspace.ledger.transaction("test") as changes:
        return changes.move(
            task.id, Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1
        )


def test_no_observer_forgets_what_another_looks_after(tmp_path: Path, clock: FakeClock) -> None:
    workspace = make_workspace(tmp_path, clock=clock)
    first = Observations.load(workspace)
    first.age("beat:r1.a.1", 7)
    first.save("beat", "unrecorded")
    for _ in range(3):
        clock.advance(10)
        other = Observations.load(workspace)
        other.age("offer:r1.b", 1)
        other.save("offer")
    assert Observations.load(workspace).age("beat:r1.a.1", 7) == 30.0
    assert Observations.load(workspace).age("offer:r1.b", 1) == 20.0


def test_observer_forgets_what_it_does_not_ask_about_any_more(
    tmp_path: Path, clock: FakeClock
) -> None:
    workspace = make_workspace(tmp_path, clock=clock)
    first = Observations.load(workspace)
    first.age("offer:r1.a", 1)
    first.save("offer")
    Observations.load(workspace).save("offer")
    clock.advance(10)
    assert Observations.load(workspace).age("offer:r1.a", 1) == 0.0


@pytest.mark.requirement("WFL-CLAIM-029")
def test_lock_of_a_runtime_that_lost_the_race_says_nothing_of_the_winner(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    task = offer(workspace)
    path = workspace.ledger.layout.live(task.id, task.attempt)
    path.write_text("runtime-abc\n1\n")  # and it was killed in this moment
    claim(workspace, worker="by hand", task_id=task.id)
    observations = Observations.load(workspace)
    assert owner_of(workspace, task, observations, lease_s=600) == "alive"
    assert owner_of(workspace, task, observations, lease_s=0) == "expired"
    path.unlink()
    lock = LiveLock(path)
    Heart(workspace).sign(lock)
    assert owner_of(workspace, task, observations, lease_s=0) == "alive"
    lock.release()
    assert owner_of(workspace, task, observations, lease_s=600) == "dead"


@pytest.mark.requirement("WFL-CLAIM-029")
def test_runtime_that_loses_the_race_leaves_no_lock(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    task = offer(workspace)
    engine = Engine(workspace, run_id=RUN, slots=1, worker="runtime", report=lambda *_: None)
    claim(workspace, worker="by hand", task_id=task.id)  # after the runtime saw the offer
    assert not engine._start(task, ())
    assert not workspace.ledger.layout.live(task.id, task.attempt).exists()
