"""Results of many machines land on one branch: each once, one on the other, or with the reason."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.faults import kill_at
from tests.support.hubs import DIE_AFTER, Hub
from tests.support.landings import land
from tests.support.repos import commit, git
from tests.support.sharing import (
    LEDGER,
    granting,
    on_hub,
    share,
    shows_the_tip,
    statuses,
    synced,
)
from tests.support.workspaces import (
    BRANCH,
    Content,
    add_run,
    add_task,
    hand_in,
    open_workspace,
)
from wfledger.core.documents import Accepted, Task, TaskSpec
from wfledger.core.statuses import Status
from wfledger.errors import BusyError
from wfledger.run.attempts.claims import claim
from wfledger.run.guard import fingerprints
from wfledger.run.hub import keeping, landing
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.hub.state import read_state
from wfledger.run.merger.landing import cancel_merging, is_landable
from wfledger.run.submit import add
from wfledger.run.workspace import Workspace


def _hub(workspace: Workspace) -> Path:
    hub = workspace.hub
    assert hub is not None
    return Path(hub.url)


def _finished(workspace: Workspace, node: str, files: dict[str, Content]) -> Task:
    """Add a task, have it granted and worked on here; it is in merging/ then."""
    add_task(workspace, node, write=("src", "lib"))
    synced(workspace, proposers=[granting])
    task = claim(workspace, worker="w", task_id=f"r1.{node}").task
    base = git(workspace.main, "rev-parse", BRANCH)
    head = hand_in(workspace, task, files, base=base)
    keeping.offer(workspace, f"refs/wfledger/keep/{task.id}/1", head)
    return workspace.ledger.get(task.id).task


def _meet(*machines: Workspace) -> list[Met]:
    return synced(*machines, proposers=[landing.propose])


def _landed(workspace: Workspace) -> list[str]:
    """Return the tasks that the remote's branch has the results of, oldest first."""
    shown = "--format=%P %(trailers:key=Wfledger-Task,valueonly)"
    lines = git(_hub(workspace), "log", "--reverse", shown, BRANCH)
    rows = [line.split() for line in lines.splitlines() if line.strip()]
    assert all(len(row) <= 2 for row in rows), "the branch is not one line"
    return [row[1] for row in rows if len(row) == 2]


def _assert_sound(*machines: Workspace) -> None:
    """Check that all show the same, and that what is done is on the branch, here and there."""
    for workspace in machines:
        shows_the_tip(workspace)
        assert fingerprints.check(workspace) is None
        tip = git(_hub(workspace), "rev-parse", BRANCH)
        assert git(workspace.main, "rev-parse", BRANCH) == tip
        for task in workspace.ledger.tasks(Status.DONE):
            assert task.landed is not None
            assert task.landed.commit is not None
            git(workspace.main, "merge-base", "--is-ancestor", task.landed.commit, tip)
            proof = git(workspace.main, "rev-parse", f"refs/wfledger/landed/{task.id}")
            assert proof == task.landed.commit
        assert not git(workspace.main, "for-each-ref", "refs/wfledger/hub/next")


@pytest.mark.requirement("WFL-HUB-071", "WFL-HUB-072")
def test_a_result_lands_on_the_remote_and_is_done_everywhere(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = _finished(one, "a", {"src/a.py": "A\n"})
    land(one, task)
    assert not is_landable(one, one.ledger.get(task.id).task, now=one.clock.now())
    assert _meet(one)[0].granted == ("land r1.a on wf/r1",)
    assert statuses(one) == {task.id: "done"}
    _meet(other)
    assert _landed(one) == [task.id]
    _assert_sound(one, other)


@pytest.mark.long
@pytest.mark.parametrize("atomic", [True, False])
def test_two_machines_land_on_one_branch_at_once(tmp_path: Path, atomic: bool) -> None:
    machines = share(tmp_path, atomic=atomic)
    add_run(machines[0])
    synced(*machines)
    names = []
    for at, workspace in enumerate(machines):
        for number in range(2):
            task = _finished(workspace, f"t{at}{number}", {f"src/{at}{number}.py": "x\n"})
            names.append(task.id)
    for _ in range(6):
        for workspace in machines:
            for task in workspace.ledger.tasks(Status.MERGING):
                if is_landable(workspace, task, now=workspace.clock.now()):
                    land(workspace, task)
        _meet(*machines)
        if set(statuses(machines[0]).values()) == {"done"}:
            break
    _meet(*machines)
    assert sorted(_landed(machines[0])) == sorted(names)
    assert set(statuses(machines[1]).values()) == {"done"}
    _assert_sound(*machines)


def _land_all(*machines: Workspace) -> None:
    """Let each machine land what is due there."""
    for workspace in machines:
        for task in workspace.ledger.tasks(Status.MERGING):
            if is_landable(workspace, task, now=workspace.clock.now()):
                land(workspace, task)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-073")
def test_what_another_machine_was_first_with_is_a_conflict(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    synced(one, other)
    mine = _finished(one, "a", {"src/x.py": "one\n"})
    theirs = _finished(other, "b", {"src/x.py": "other\n"})
    _land_all(one, other)
    _meet(one, other)
    _land_all(other)
    _meet(other, one)
    assert statuses(one) == {mine.id: "done", theirs.id: "blocked"}
    block = one.ledger.get(theirs.id).task.block
    assert block is not None
    assert block.code == "conflict"
    assert _landed(one) == [mine.id]
    _assert_sound(one, other)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-073", "WFL-HUB-018")
@pytest.mark.parametrize("atomic", [True, False])
def test_what_landed_on_a_result_that_was_cancelled_elsewhere_lands_again(
    tmp_path: Path, atomic: bool
) -> None:
    one, other = share(tmp_path, atomic=atomic)
    add_run(one)
    first = _finished(one, "a", {"src/a.py": "A\n"})
    second = _finished(one, "b", {"src/b.py": "B\n"})
    synced(one, other)
    land(one, first)
    land(one, second)  # on top of the first
    cancel_merging(other, first.id)
    synced(other)
    met = []
    for _ in range(4):
        met += _meet(one)
        _land_all(one)
    synced(other)
    assert _landed(one) == [second.id]
    assert [each.lost for each in met if each.lost] == [], "nobody lost anything by it"
    _assert_sound(one, other)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-075")
@pytest.mark.parametrize("atomic", [True, False])
def test_a_protected_branch_costs_only_the_landing(tmp_path: Path, atomic: bool) -> None:
    (one,) = share(tmp_path, 1, atomic=atomic)
    add_run(one)
    task = _finished(one, "a", {"src/a.py": "A\n"})
    hub = Hub(_hub(one))
    hub.protects(BRANCH, "wf/r1 is protected")
    land(one, task)
    add_task(one, "b")
    met = [_meet(one)[0] for _ in range(2)]
    refused = [words for each in met for _, words in each.refused]
    assert len(refused) == 1
    present = one.ledger.get(task.id).task
    assert present.intent is None
    assert present.hold is not None
    assert "protected" in present.hold.reason
    assert present.hold.until is not None
    assert not is_landable(one, present, now=one.clock.now())
    assert on_hub(one).keys() >= {"waiting/r1/r1.b.json"}
    hub.unhook("update")
    land(one, present)
    for _ in range(3):
        _meet(one)
    assert one.ledger.get(task.id).status is Status.DONE
    assert _landed(one) == [task.id]
    _assert_sound(one)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-076")
def test_without_atomic_pushes_the_intent_goes_first_and_done_last(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1, atomic=False)
    add_run(one)
    task = _finished(one, "a", {"src/a.py": "A\n"})
    tip = git(_hub(one), "rev-parse", BRANCH)
    land(one, task)
    synced(one)  # the intent goes as any change does
    assert git(_hub(one), "rev-parse", BRANCH) == tip
    intent = one.ledger.get(task.id).task.intent
    assert intent is not None
    assert json.loads(on_hub(one)["merging/r1.a.json"])["intent"]["candidate"] == intent.candidate
    asked = landing.propose(one, _sight(one))
    assert [(len(each.targets), len(each.moves)) for each in asked] == [(1, 0)]
    with pytest.raises(BusyError):
        cancel_merging(one, task.id)
    git(one.main, "push", "--quiet", str(_hub(one)), f"{intent.candidate}:{BRANCH}")
    asked = landing.propose(one, _sight(one))
    assert [(len(each.targets), len(each.moves)) for each in asked] == [(0, 1)]
    _meet(one)
    _assert_sound(one)
    assert statuses(one) == {task.id: "done"}


def _sight(workspace: Workspace) -> Sight:
    """Return what a fetch sees now."""
    lines = git(_hub(workspace), "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    refs = dict(line.split(" ", 1) for line in lines)
    return Sight(refs[LEDGER], refs)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-077")
@pytest.mark.parametrize("pushed", [True, False])
def test_a_silent_machines_landing_is_looked_for_first(tmp_path: Path, pushed: bool) -> None:
    one, other = share(tmp_path, atomic=False)
    add_run(one)
    task = _finished(one, "a", {"src/a.py": "A\n"})
    land(one, task)
    synced(one, other)
    there = other.ledger.get(task.id).task
    intent = there.intent
    assert intent is not None
    push = ("push", "--quiet", str(_hub(one)), f"{intent.candidate}:{BRANCH}")
    if pushed:
        git(one.main, *push)
        synced(other)
        assert landing.resolve_remote_intent(other, there, _sight(other)) == "landed"
        return
    fence = landing.resolve_remote_intent(other, there, _sight(other))
    assert isinstance(fence, Proposal)
    synced(other, proposers=[lambda *_: [fence]])
    assert landing.resolve_remote_intent(other, there, _sight(other)) == "open"
    with pytest.raises(subprocess.CalledProcessError):
        git(one.main, *push)  # what was held up comes too late


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-079", "WFL-HUB-080", "WFL-HUB-081")
def test_work_goes_to_the_remote_with_its_end_and_from_there_where_it_lands(
    tmp_path: Path,
) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = _finished(one, "a", {"src/a.py": "A\n"})
    head = git(one.main, "rev-parse", f"refs/wfledger/keep/{task.id}/1")
    synced(one, other)
    name = f"refs/wfledger/keep/{task.id}/1"
    assert git(_hub(one), "rev-parse", name) == head
    taken = Accepted(attempt=1, head=head, base=git(one.main, "rev-parse", BRANCH))
    accepted = other.ledger.get(task.id).task.but(accepted=taken)
    assert keeping.missing(other, accepted) == (head,)
    keeping.want(other, accepted)
    synced(other)
    assert keeping.missing(other, accepted) == ()
    assert git(other.main, "rev-parse", name) == head
    land(one, task)
    _meet(one)
    add_task(one, "b")  # it goes along with the next change
    _meet(one)
    assert not git(_hub(one), "for-each-ref", "refs/wfledger/keep")
    assert git(one.main, "rev-parse", name) == head


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-078")
def test_a_standing_run_follows_its_target_when_the_remote_agrees(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    first = add(one, TaskSpec(command="true"), node="a", target="main")
    branch = f"refs/heads/wf/{first.run}"
    synced(one, other)
    assert git(other.main, "rev-parse", branch) == git(one.main, "rev-parse", branch)
    tip = commit(one.main, {"more.txt": "x\n"})
    before = git(one.main, "rev-parse", branch)
    add(one, TaskSpec(command="true"), node="b", target="main")
    assert git(one.main, "rev-parse", branch) == before
    _meet(one)
    _meet(one, other)
    for workspace in (one, other):
        assert git(workspace.main, "rev-parse", branch) == tip


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-078", "WFL-HUB-071")
def test_two_machines_that_make_the_same_standing_run_share_its_branch(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    commit(other.main, {"other.txt": "x\n"})
    tasks = [
        add(workspace, TaskSpec(command="true"), node=node, target="main")
        for workspace, node in ((one, "a"), (other, "b"))
    ]
    branch = f"refs/heads/wf/{tasks[0].run}"
    for _ in range(2):
        _meet(one, other)
    assert one.ledger.run(tasks[0].run) == other.ledger.run(tasks[0].run)
    there = git(_hub(one), "rev-parse", branch)
    for workspace in (one, other):
        assert git(workspace.main, "rev-parse", branch) == there
        assert sorted(statuses(workspace)) == sorted(task.id for task in tasks)


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-022")
def test_a_branch_that_was_taken_back_on_the_remote_stops_landing(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    before = git(one.main, "rev-parse", BRANCH)
    land(one, _finished(one, "a", {"src/a.py": "A\n"}))
    _meet(one, other)
    landed = git(_hub(one), "rev-parse", BRANCH)
    git(_hub(one), "update-ref", BRANCH, before)
    task = _finished(one, "b", {"src/b.py": "B\n"})
    land(one, task)
    for _ in range(2):
        _meet(one, other)
    assert git(_hub(one), "rev-parse", BRANCH) == before
    assert "has lost" in read_state(one.ledger.layout.local).trouble
    git(one.main, "push", "--quiet", str(_hub(one)), f"{landed}:{BRANCH}")
    _meet(one, other)
    assert statuses(other) == {"r1.a": "done", "r1.b": "done"}
    _assert_sound(one, other)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-071")
@pytest.mark.parametrize(("point", "atomic"), [
    ("meet.noted", True), ("meet.pushed", True), ("hub.branch-moved", True),
    ("hub.branch-noted", True), ("keeps.sent", True), ("meet.pushed", False),
    ("hub.branch-moved", False),
])  # fmt: skip
def test_who_dies_at_a_landing_leaves_it_landed_once(
    tmp_path: Path, point: str, atomic: bool
) -> None:
    (one,) = share(tmp_path, 1, atomic=atomic)
    add_run(one)
    task = _finished(one, "a", {"src/a.py": "A\n"})
    land(one, task)
    if not atomic:
        synced(one)  # the intent goes first
    assert processes.start(_meet_there, one.main, env=kill_at(point)).wait() == -signal.SIGKILL
    for _ in range(3):
        _land_all(one)
        _meet(one)
    assert _landed(one) == [task.id]
    assert statuses(one) == {task.id: "done"}
    _assert_sound(one)


def _meet_there(root: Path) -> None:
    _meet(open_workspace(root))


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-076")
@pytest.mark.parametrize("atomic", [True, False])
def test_a_push_whose_answer_is_lost_lands_once(tmp_path: Path, atomic: bool) -> None:
    one, other = share(tmp_path, atomic=atomic)
    add_run(one)
    first = _finished(one, "a", {"src/a.py": "A\n"})
    second = _finished(one, "b", {"src/b.py": "B\n"})
    land(one, first)
    if not atomic:
        synced(one)
    hub = Hub(_hub(one))
    hub.hook("reference-transaction", DIE_AFTER)
    _meet(one)
    hub.unhook("reference-transaction")
    land(one, second)  # on top of what nobody knows the end of
    for _ in range(3):
        _land_all(one)
        _meet(one)
    _meet(other)
    assert _landed(one) == [first.id, second.id]
    assert statuses(other) == {first.id: "done", second.id: "done"}
    _assert_sound(one, other)
