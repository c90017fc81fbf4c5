"""Idle workers take what busy, dead and unable ones cannot, and nobody has to say so."""

from pathlib import Path

import pytest

from tests.support import processes
from tests.support.engines import AT_ONCE, LIMITS, attempts, drive, drive_there, note, noted
from tests.support.waiting import until
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core.policy import Policy

pytestmark = pytest.mark.long


@pytest.mark.requirement("WFL-CLAIM-072")
def test_one_slow_task_of_ten_holds_one_of_two_workers_up(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    others = f"[ $(wc -l < {tmp_path / 'noted'}) -ge 9 ]"
    slow = f"until {others} 2> /dev/null; do sleep 0.05; done; {note(tmp_path, 'slow')}"
    add_task(workspace, "slow", command=slow, limits=LIMITS, priority=1)
    for number in range(9):
        add_task(workspace, f"t{number}", command=note(tmp_path), limits=LIMITS)
    assert drive(workspace, slots=2).verdict.state == "succeeded"
    assert noted(tmp_path)[-1] == "slow"
    assert sorted(noted(tmp_path)[:9]) == [f"{RUN}.t{number}" for number in range(9)]


@pytest.mark.requirement("WFL-CLAIM-072")
def test_task_of_a_worker_that_died_goes_to_an_idle_one_without_a_command(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, policy=Policy(slots=4))
    command = f"{note(tmp_path, '$WFLEDGER_ATTEMPT')}; [ $WFLEDGER_ATTEMPT -gt 1 ] || exec sleep 60"
    add_task(workspace, "a", command=command, retry=AT_ONCE, limits=LIMITS)
    busy = processes.start(drive_there, workspace.main, RUN, 2, "busy")
    until(lambda: noted(tmp_path) == ["1"])
    idle = processes.start(drive_there, workspace.main, RUN, 2, "idle")
    busy.kill()
    assert idle.result() == 0
    found = [(one.worker, one.outcome) for one in attempts(workspace, f"{RUN}.a")]
    assert found == [("busy", "lost"), ("idle", "succeeded")]


@pytest.mark.requirement("WFL-CLAIM-072")
def test_offer_of_a_worker_that_is_full_is_taken_by_another(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    wait = f"until [ -e {tmp_path / 'other'} ]; do sleep 0.05; done"
    add_task(workspace, "a", command=wait, limits=LIMITS, priority=1)
    first = processes.start(drive_there, workspace.main, RUN, 1, "first")
    until(lambda: bool(workspace.ledger.is_claimed(f"{RUN}.a", 1)))
    add_task(workspace, "b", command=f"touch {tmp_path / 'other'}", limits=LIMITS)
    assert drive(workspace, slots=2, worker="second").verdict.state == "succeeded"
    assert first.result() == 0
    assert [one.worker for one in attempts(workspace, f"{RUN}.b")] == ["second"]
