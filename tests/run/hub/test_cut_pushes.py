"""Each push of a meeting that carries everything is cut, dropped or refused: it ends well."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.hubs import DIE_AFTER, Hub
from tests.support.landings import land
from tests.support.repos import git
from tests.support.sharing import granted, share, shows_the_tip, statuses, synced
from tests.support.workspaces import BRANCH, add_run, add_task, hand_in
from wfledger.core.statuses import Status
from wfledger.run.attempts.claims import claim
from wfledger.run.histories import check
from wfledger.run.hub import keeping, landing, losses
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.merger.landing import is_landable
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

#: Where the server is cut off, or says no; each for one push alone.
CUTS = {
    "dropped": ("pre-receive", "kill -9 $PPID\n"),
    "unanswered": ("reference-transaction", DIE_AFTER),
    "refused": ("pre-receive", "echo 'not today' >&2; exit 1\n"),
    "target-refused": (
        "update", f"[ \"$1\" = '{BRANCH}' ] || exit 0; echo 'protected branch' >&2; exit 1\n",
    ),
}  # fmt: skip
#: Without all-or-none pushes a meeting makes three: the intents, the target, and what follows.
CASES = [
    *((True, 1, how) for how in CUTS),
    *((False, number, "unanswered") for number in (1, 2, 3)),
    (False, 1, "dropped"), (False, 2, "dropped"), (False, 2, "target-refused"), (False, 3, "refused"),
]  # fmt: skip


class Calls:
    """The proposers of a machine, with how often each proposal was answered."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.made: list[Proposal] = []

    def propose(self, workspace: Workspace, sight: Sight) -> list[Proposal]:
        """Ask for what can land, and for every task that waits."""
        waiting = workspace.ledger.tasks(Status.WAITING)
        found = [
            *landing.propose(workspace, sight), *(granted(workspace, task) for task in waiting)
        ]  # fmt: skip
        return [self._counted(one) for one in found]

    def _counted(self, proposal: Proposal) -> Proposal:
        number = len(self.made)
        self.made.append(proposal)

        def confirmed() -> None:
            self.answers[number, "confirmed"] += 1
            if proposal.confirmed is not None:
                proposal.confirmed()

        def refused(reason: str) -> None:
            self.answers[number, "refused"] += 1
            if proposal.refused is not None:
                proposal.refused(reason)

        return replace(proposal, confirmed=confirmed, refused=refused)


def _armed(hub: Hub, number: int, how: str) -> None:
    """Let the hub's *number*-th push from now on go wrong, and no other."""
    name, body = CUTS[how]
    count = hub.path / "pushes"
    count.write_text("")
    if name == "pre-receive":
        hub.hook(name, f"echo >> {count}; [ $(wc -l < {count}) = {number} ] || exit 0\n{body}")
        return
    hub.hook("pre-receive", f"echo >> {count}\n")
    hub.hook(name, f"[ $(wc -l < {count}) = {number} ] || exit 0\n{body}")


def _disarmed(hub: Hub) -> None:
    for name, _ in CUTS.values():
        (hub.path / "hooks" / name).unlink(missing_ok=True)


def _prepared(one: Workspace) -> None:
    """Leave a result that is about to land, one that is lost, an addition and an edit."""
    for node in ("a", "b"):
        add_task(one, node, write=(node,))
    synced(one, proposers=[_all_that_waits])
    base = git(one.main, "rev-parse", BRANCH)
    for node in ("a", "b"):
        task = claim(one, worker="w", task_id=f"r1.{node}").task
        failed = {} if node == "a" else {
            "status": "failed", "failure": {"class": "task", "source": "task"}
        }
        head = hand_in(one, task, {f"{node}/x": node}, base=base, **failed)
        keeping.offer(one, f"refs/wfledger/keep/{task.id}/1", head)
    add_task(one, "c")
    land(one, one.ledger.get("r1.a").task)


def _all_that_waits(workspace: Workspace, sight: Sight) -> Sequence[Proposal]:
    del sight
    return [granted(workspace, task) for task in workspace.ledger.tasks(Status.WAITING)]


def _land_all(workspace: Workspace) -> None:
    for task in list(workspace.ledger.tasks(Status.MERGING)):
        if is_landable(workspace, task, now=workspace.clock.now()):
            land(workspace, task)


def _goes_on(one: Workspace, other: Workspace, calls: Calls) -> list[Met]:
    found = []
    for _ in range(4):
        _land_all(one)
        found.append(meet(one, (calls.propose,)))
    keeping.retire(one, older_s=3600.0)  # as housekeeping does
    add_task(one, "d")  # what may go from the remote goes along with something else
    return [*found, meet(one), meet(other)]


@pytest.mark.requirement("WFL-HUB-023", "WFL-HUB-035", "WFL-HUB-076", "WFL-HUB-080")
@pytest.mark.parametrize(("atomic", "number", "how"), CASES)
def test_a_push_that_goes_wrong_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, number: int, how: str, *, atomic: bool
) -> None:
    one, other = share(tmp_path, atomic=atomic)
    add_run(one)
    hub, calls = Hub(tmp_path / "hub.git"), Calls()
    _prepared(one)
    _armed(hub, number, how)
    for _ in range(2):
        _land_all(one)
        meet(one, (calls.propose,))
    assert len((hub.path / "pushes").read_text()) >= number, "no push went wrong"
    _disarmed(hub)
    for task in one.ledger.tasks(Status.MERGING):  # what was refused is put off for a while
        with one.ledger.transaction("test") as changes:
            if task.hold is not None and task.hold.until is not None:
                changes.update(task.id, why="now", hold=None)
    met = _goes_on(one, other, calls)
    assert all(each.is_well for each in met), met
    for workspace in (one, other):
        found = statuses(workspace)
        assert found["r1.a"] == "done"
        assert found["r1.c"] == ("pending" if workspace is one else "in-progress")
        shows_the_tip(workspace)
        assert check(workspace).faults == []
        assert losses.read(workspace) == []
    assert one.ledger.journal.is_empty()
    named = git(hub.path, "log", "--format=%(trailers:key=Wfledger-Task,valueonly)", BRANCH).split()
    assert named == ["r1.a"]
    assert git(one.main, "rev-parse", BRANCH) == git(hub.path, "rev-parse", BRANCH)
    assert one.ledger.get("r1.c").task.attempt == 1
    # A proposal is answered once, or never: where nobody heard what became of it.
    assert len({number for number, _ in calls.answers}) == sum(calls.answers.values())
    kept = [ref for ref in hub.refs() if ref.startswith("refs/wfledger/keep/")]
    assert kept == ["refs/wfledger/keep/r1.b/1"]
