"""A machine that is gone is taken over once, and one that could not be seen is not."""

import threading
from pathlib import Path

import pytest

from tests.support.landings import land
from tests.support.repos import git
from tests.support.sharing import granting, shows_the_tip, statuses
from tests.support.silence import GONE_S, LEASE_S, STEP_S, Machines
from tests.support.workspaces import BRANCH, add_run, add_task, hand_in
from wfledger.clock import iso, parse_iso
from wfledger.core.statuses import Status
from wfledger.errors import StaleError
from wfledger.run.attempts.claims import claim, heartbeat, held_entry
from wfledger.run.hub import keeping, takeover
from wfledger.run.hub.asking import sync
from wfledger.run.hub.confirming import bring_in
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.money.caps import Caps
from wfledger.run.presence import driving
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    """Three machines; the first one works on a task and has another one on offer."""
    made = Machines(tmp_path)
    add_run(made.all[0])
    add_task(made.all[0], "a", write=("src",))
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
    met = machines.go_on(GONE_S, [1, 2])
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


@pytest.mark.requirement("WFL-HUB-162")
def test_who_hands_in_too_late_is_told_in_the_same_breath_and_where_his_work_is(
    machines: Machines,
) -> None:
    one = machines.all[0]
    claimed = claim(one, worker="w", task_id="r1.a")
    machines.meet()
    machines.go_on(GONE_S, [1, 2])
    hand_in(one, claimed.task, {"src/a": "late"}, base=one.ledger.run("r1").base)
    brought = bring_in(one)
    assert brought.as_json() == {"confirmed": False}
    with pytest.raises(StaleError, match="came too late: the remote has it as waiting") as refused:
        brought.refuse_lost(one, "r1.a")
    assert refused.value.facts["kept"] == "refs/wfledger/keep/r1.a/1"
    assert "its work is kept: refs/wfledger/keep/r1.a/1" in refused.value.message
    with pytest.raises(StaleError, match="its work is kept: refs/wfledger/keep/"):
        held_entry(one, "r1.a", claimed.token)


@pytest.mark.requirement("WFL-HUB-146")
def test_sync_names_what_others_have_taken_over_from_this_machine(machines: Machines) -> None:
    one = machines.all[0]
    claim(one, worker="w", task_id="r1.a")
    assert sync(one, waits=True).taken == ()
    machines.go_on(GONE_S, [1, 2])
    (taken,) = sync(one, waits=False).taken
    assert (taken.task, taken.attempt) == ("r1.a", 1)
    assert taken.machine in {other.machine.id for other in machines.all[1:]}
    assert sync(one, waits=False).taken == ()


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


@pytest.mark.requirement("WFL-HUB-066")
def test_who_was_suspended_after_his_look_takes_nobody_over_without_another(
    machines: Machines,
) -> None:
    claimed = claim(machines.all[0], worker="w", task_id="r1.a")
    machines.meet()
    looks: list[int] = []

    def suspended(workspace: Workspace, sight: Sight) -> list[Proposal]:
        """Sleep for an hour when the first machine is seen to be gone, which comes back then."""
        found = takeover.propose(workspace, sight)
        if found and not looks:
            machines.clocks[1].sleep(3600.0)
            back = threading.Thread(target=machines.meet, args=([0],))
            back.start()
            back.join()
        looks.append(len(found))
        return found

    machines.go_on(GONE_S - 2 * STEP_S, [1])
    for _ in range(3):
        machines.pass_time(STEP_S)
        meet(machines.all[1], (suspended,))
    assert max(looks) > 0
    assert held_entry(machines.all[0], "r1.a", claimed.token).status is Status.IN_PROGRESS
    assert statuses(machines.all[1])["r1.a"] == "in-progress"


@pytest.mark.requirement("WFL-HUB-050", "WFL-HUB-052")
def test_a_machine_that_only_beats_keeps_what_it_works_on(machines: Machines) -> None:
    claimed = claim(machines.all[0], worker="w", task_id="r1.a")
    met = machines.go_on(1.5 * LEASE_S, [0, 1])
    assert not [what for each in met for what in each.granted]
    assert heartbeat(machines.all[0], "r1.a", claimed.token) == 1
    beaten = [each for each in met[0::2] if each.pushed]
    assert 3 <= len(beaten) <= 5, "alone only when a third of the lease has passed"


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


def _merging(machines: Machines, *, sent: bool) -> str:
    """Let the first machine hand in r1.a; *sent*: its work goes to the remote with that."""
    one = machines.all[0]
    task = claim(one, worker="w", task_id="r1.a").task
    base = git(one.main, "rev-parse", BRANCH)
    head = hand_in(one, task, {"src/a.py": "A\n"}, base=base)
    if sent:
        keeping.offer(one, f"refs/wfledger/keep/{task.id}/{task.attempt}", head)
    machines.meet()
    return head


@pytest.mark.requirement("WFL-HUB-053")
def test_a_result_that_was_about_to_land_goes_on_to_land(machines: Machines) -> None:
    head = _merging(machines, sent=True)
    assert statuses(machines.all[1])["r1.a"] == "merging"
    machines.go_on(GONE_S, [1, 2])
    for workspace in machines.all[1:]:
        entry = workspace.ledger.get("r1.a")
        assert entry.status is Status.WAITING
        assert entry.task.accepted is not None
        assert (entry.task.accepted.attempt, entry.task.accepted.head) == (1, head)
        assert [one.outcome for one in entry.task.attempts] == ["succeeded"]


@pytest.mark.requirement("WFL-HUB-053")
def test_a_result_that_nobody_can_fetch_is_lost_after_as_long_again(machines: Machines) -> None:
    _merging(machines, sent=False)
    machines.go_on(1.6 * LEASE_S, [1])
    assert statuses(machines.all[1])["r1.a"] == "merging"
    machines.go_on(LEASE_S, [1])
    entry = machines.all[1].ledger.get("r1.a")
    assert entry.status is Status.WAITING
    assert [one.outcome for one in entry.task.attempts] == ["lost"]


@pytest.mark.requirement("WFL-HUB-077", "WFL-HUB-053")
def test_what_a_silent_machine_had_landed_is_done(machines: Machines) -> None:
    _merging(machines, sent=True)
    one = machines.all[0]
    land(one, one.ledger.get("r1.a").task)
    machines.meet([0])
    intent = one.ledger.get("r1.a").task.intent
    assert intent is not None
    git(one.main, "push", "--quiet", str(machines.hub), f"{intent.candidate}:{BRANCH}")
    machines.go_on(GONE_S, [1])
    entry = machines.all[1].ledger.get("r1.a")
    assert entry.status is Status.DONE
    assert entry.task.landed is not None
    assert entry.task.landed.commit == intent.candidate


def _at_home(machines: Machines, **facts: object) -> None:
    """Make the first machine the home of the run r1."""
    one = machines.all[0]
    with one.ledger.transaction("test") as changes:
        run = one.ledger.run("r1")
        changes.put_run(run.but(seq=run.seq + 1, home=one.machine.id, **facts), why="test")


@pytest.mark.requirement("WFL-HUB-053")
def test_its_runs_go_to_a_machine_that_dispatches(machines: Machines) -> None:
    _at_home(machines)
    with driving(machines.all[0], None, slots=1):
        machines.meet()
        machines.go_on(LEASE_S / 2, [0, 1, 2])
    machines.go_on(GONE_S, [1])
    assert machines.all[1].ledger.run("r1").home == machines.all[0].machine.id
    with driving(machines.all[2], None, slots=1):
        machines.meet([2])
        machines.go_on(GONE_S, [2])
    machines.meet([1])
    assert machines.all[1].ledger.run("r1").home == machines.all[2].machine.id


@pytest.mark.requirement("WFL-HUB-053")
def test_the_runs_of_a_machine_without_a_heartbeat_go_on_elsewhere(tmp_path: Path) -> None:
    machines = Machines(tmp_path, 2)
    one, other = machines.all
    add_run(one)
    _at_home(machines)
    machines.meet()
    git(machines.hub, "update-ref", "-d", f"refs/wfledger/beat/{one.machine.id}")  # a rewind
    with driving(other, None, slots=1):
        machines.meet([1])
        machines.go_on(GONE_S, [1])
    assert other.ledger.run("r1").home == other.machine.id


@pytest.mark.requirement("WFL-HUB-060")
@pytest.mark.parametrize("apart_s", [86_400.0, -86_400.0])
def test_a_clock_that_is_a_day_off_neither_ends_nor_prolongs_a_run(
    machines: Machines, apart_s: float
) -> None:
    one, other, _ = machines.all
    machines.clocks[0].jump(apart_s)
    _at_home(machines, time_s=3600.0, started=iso(one.clock.now()))
    with driving(one, None, slots=1):
        machines.go_on(LEASE_S, [0, 1])
    task = other.ledger.get("r1.b").task
    assert Caps(other).of(task) is None
    machines.clocks[1].advance(3600)
    assert Caps(other).of(task) is not None
    with driving(other, None, slots=1):
        machines.go_on(GONE_S, [1])
    run = other.ledger.run("r1")
    assert run.home == other.machine.id
    assert run.started is not None
    assert 3600 < (other.clock.now() - parse_iso(run.started)).total_seconds() < 3600 + 6 * LEASE_S
