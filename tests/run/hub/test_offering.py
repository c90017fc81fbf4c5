"""Claims of people and scripts on machines where nobody dispatches: the remote is asked for one."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.sharing import granting, share, statuses, synced
from wfledger.core.documents import TaskSpec
from wfledger.core.policy import Policy
from wfledger.errors import NothingToClaimError, StaleError
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.granting import propose
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.hub.wants import Want, wanting
from wfledger.run.offering import claim_next
from wfledger.run.processes.threads import in_thread
from wfledger.run.submit import add
from wfledger.run.workspace import Workspace


def two_with_tasks(tmp_path: Path, *nodes: str) -> list[Workspace]:
    """Return two machines that share tasks of one run, whose home is the first of them."""
    machines = share(tmp_path)
    for node in nodes:
        add(machines[0], TaskSpec(command="true"), node=node, target=None)
    synced(*machines)
    return machines


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-115")
def test_claim_without_an_engine_has_one_task_granted_and_takes_it(tmp_path: Path) -> None:
    one, other = two_with_tasks(tmp_path, "a", "b")
    taken = claim_next(other, worker="w").task
    assert taken.grant is not None
    assert taken.grant.machine == other.machine.id
    assert claim_next(one, worker="v").task.id != taken.id
    synced(other, one)
    assert set(statuses(one).values()) == {"in-progress"}


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-115", "WFL-HUB-054")
def test_claim_lets_the_remote_hear_of_this_machine_where_nobody_has_for_long(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    (one,) = share(tmp_path, 1, policy=Policy(lease_s=60), clock=clock)
    add(one, TaskSpec(command="true"), node="a", target=None)
    synced(one)
    synced(one, proposers=[granting])
    clock.advance(3600)
    assert claim_next(one, worker="w").task.id == "main.a"


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-115")
def test_claim_of_a_named_task_asks_for_that_one(tmp_path: Path) -> None:
    _, other = two_with_tasks(tmp_path, "a", "b")
    assert claim_next(other, worker="w", task_id="main.b").task.id == "main.b"


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-115")
def test_claim_in_vain_says_who_has_what_there_is(tmp_path: Path) -> None:
    one, other = two_with_tasks(tmp_path, "a")
    claim_next(one, worker="w")
    with pytest.raises(NothingToClaimError, match="1 is granted to other machines"):
        claim_next(other, worker="v")
    with pytest.raises(StaleError, match="it is granted to"):
        claim_next(other, worker="v", task_id="main.a")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-115")
def test_claim_says_that_the_remote_is_away(tmp_path: Path) -> None:
    one, _ = two_with_tasks(tmp_path, "a")
    (tmp_path / "hub.git").rename(tmp_path / "away.git")
    with pytest.raises(NothingToClaimError, match="no task is on offer here; origin "):
        claim_next(one, worker="w")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-011", "WFL-HUB-010")
def test_of_two_machines_that_ask_for_one_task_the_remote_gives_it_to_one(tmp_path: Path) -> None:
    """The other one claims it after this one has looked, and before it pushes."""
    one, other = two_with_tasks(tmp_path, "a")
    rounds = []

    def claim_late() -> None:
        rounds.append(claim_next(other, worker="w"))

    def ask(workspace: Workspace, sight: Sight) -> Sequence[Proposal]:
        proposals = propose(workspace, sight)
        if not rounds:
            rival = in_thread("rival", claim_late, then=lambda: None)
            rival.result()
        return proposals

    with wanting(one, Want("v")):
        met = meet(one, (ask,))
    assert met.granted == ()
    task = one.ledger.get("main.a").task
    assert (statuses(one), task.attempt) == ({"main.a": "in-progress"}, 1)
    assert task.grant is not None
    assert task.grant.machine == other.machine.id
