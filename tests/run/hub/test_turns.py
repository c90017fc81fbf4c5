"""Who was overtaken again and again is left a turn, by each of the others once."""

import threading
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.sharing import on_hub, share, synced
from tests.support.workspaces import open_workspace
from wfledger.core.documents import TaskSpec
from wfledger.core.policy import Policy, RemotePolicy
from wfledger.run.hub import beating, company, turns
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.submit import add
from wfledger.run.workspace import Workspace


def _added(workspace: Workspace, node: str) -> None:
    add(workspace, TaskSpec(command="true"), node=node, target=None)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-117")
def test_one_that_others_always_overtake_is_left_a_turn_once(tmp_path: Path) -> None:
    slow, quick = share(tmp_path, 2)
    _added(slow, "s")
    pushed = 0

    def overtaking(workspace: Workspace, sight: Sight) -> list[Proposal]:
        """Have the other machine push while this one is between its look and its push."""
        del workspace, sight
        rival = threading.Thread(target=overtake)  # locks are ordered in each thread
        rival.start()
        rival.join()
        return []

    def overtake() -> None:
        nonlocal pushed
        workspace = open_workspace(quick.main)
        _added(workspace, f"q{pushed}")
        pushed += meet(workspace, timeout_s=0).outcome == "ok"

    met = meet(slow, (overtaking,))

    assert met.outcome == "ok"
    assert pushed == 1  # the second time it saw that it was not its turn
    assert any(path.endswith("/main.s.json") for path in on_hub(slow))
    assert turns.overtaken(slow) == 0
    assert [one.outcome for one in synced(quick)] == ["ok"]


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-118")
def test_a_meeting_is_over_within_a_part_of_the_lease(tmp_path: Path) -> None:
    policy = Policy(lease_s=12.0, remote=RemotePolicy(interval_s=1.0))
    (machine,) = share(tmp_path, 1, policy=policy)
    assert company.longest_s(machine) == 2.0


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-117")
def test_one_that_calls_out_and_dies_holds_nobody_up(tmp_path: Path) -> None:
    dead, other = share(tmp_path, 2)
    _added(dead, "d")
    assert dead.hub is not None
    company.call_out(dead, dead.hub, Sight(""), 9, timeout=10.0)
    _added(other, "o")
    began = other.clock.elapsed()

    assert [one.outcome for one in synced(other, other)] == ["ok", "quiet"]
    assert other.clock.elapsed() - began >= 1.0  # it was waited for, once


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-050")
def test_one_that_leaves_turns_beats_when_it_is_time(tmp_path: Path) -> None:
    clock = FakeClock()
    first, other = share(tmp_path, 2, clock=clock)
    synced(other)
    before = beating.latest(other)
    assert first.hub is not None
    company.call_out(first, first.hub, Sight(""), 9, timeout=10.0)
    clock.advance(other.policy().lease_s / 3)

    assert meet(other, timeout_s=0).outcome == "lost"  # it was not its turn
    assert beating.latest(other) != before
