"""A machine that is gone is taken over once, and one that could not be seen is not."""

from pathlib import Path

import pytest

from tests.support.sharing import granting, shows_the_tip, statuses
from tests.support.silence import LEASE_S, Machines
from tests.support.workspaces import add_run, add_task
from wfledger.core.statuses import Status
from wfledger.errors import StaleError
from wfledger.run.attempts.claims import claim, heartbeat, held_entry

pytestmark = pytest.mark.long


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    """Three machines; the first one works on a task and has another one on offer."""
    made = Machines(tmp_path)
    add_run(made.all[0])
    add_task(made.all[0], "a")
    add_task(made.all[0], "b")
    made.meet([0])
    made.meet([0], also=[granting])
    made.meet()
    return made


@pytest.mark.requirement("WFL-HUB-053", "WFL-HUB-056", "WFL-HUB-011")
def test_what_a_killed_machine_held_is_taken_over_once(machines: Machines) -> None:
    one, other, third = machines.all
    claimed = claim(one, worker="w", task_id="r1.a")
    machines.meet()
    met = machines.go_on(2 * LEASE_S, [1, 2])
    taken = [what for each in met for what in each.granted if what.startswith("take over")]
    assert len(taken) == 1
    for workspace in (other, third):
        shows_the_tip(workspace)
        assert statuses(workspace) == {"r1.a": "waiting", "r1.b": "waiting"}
    task = other.ledger.get("r1.a").task
    assert [(one.number, one.outcome) for one in task.attempts] == [(1, "lost")]
    assert task.grant is None
    assert task.hold is not None
    assert task.hold.code == "backoff"
    assert (withdrawn := other.ledger.get("r1.b").task.hold)
    assert withdrawn.code == "withdrawn"
    machines.meet([0])
    with pytest.raises(StaleError, match="nothing is heard of"):
        held_entry(one, "r1.a", claimed.token)
    shows_the_tip(one)


@pytest.mark.requirement("WFL-HUB-051")
def test_after_an_hour_without_the_remote_nobody_is_taken_over(machines: Machines) -> None:
    claimed = claim(machines.all[0], worker="w", task_id="r1.a")
    machines.meet()
    machines.cut()
    for _ in range(6):
        machines.pass_time(600)
        assert {met.outcome for met in machines.meet()} <= {"unreachable", "refused"}
    machines.mend()
    met = machines.meet([1, 2, 1, 2, 0, 1, 2])
    assert not [what for each in met for what in each.granted]
    assert held_entry(machines.all[0], "r1.a", claimed.token).status is Status.IN_PROGRESS
    assert statuses(machines.all[2])["r1.a"] == "in-progress"


@pytest.mark.requirement("WFL-HUB-050", "WFL-HUB-052")
def test_a_machine_that_only_beats_keeps_what_it_works_on(machines: Machines) -> None:
    claimed = claim(machines.all[0], worker="w", task_id="r1.a")
    met = machines.go_on(3 * LEASE_S, [0, 1, 2])
    assert not [what for each in met for what in each.granted]
    assert heartbeat(machines.all[0], "r1.a", claimed.token) == 1
    beaten = [each for each in met[0::3] if each.pushed]
    assert 6 <= len(beaten) <= 3 * 60 / 8, "alone only when a third of the lease has passed"


@pytest.mark.requirement("WFL-HUB-051")
def test_a_machine_that_was_suspended_takes_nobody_over_when_it_wakes(machines: Machines) -> None:
    claim(machines.all[0], worker="w", task_id="r1.a")
    machines.meet()
    machines.clocks[2].sleep(8 * 3600)
    for number in (0, 1):
        machines.clocks[number].advance(8 * 3600)
    met = machines.meet([2, 2])
    assert not [what for each in met for what in each.granted]
    assert statuses(machines.all[2])["r1.a"] == "in-progress"
