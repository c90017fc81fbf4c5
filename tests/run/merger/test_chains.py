"""Landings that wait for the remote: ahead of the branch, each on the one before."""

import threading
from pathlib import Path

import pytest

from tests.support.landings import land, places
from tests.support.repos import git
from tests.support.workspaces import BRANCH, make_workspace, move_branch, put_merging
from wfledger.core.documents import Grant, Task
from wfledger.core.statuses import Status
from wfledger.errors import BusyError, TransitionError
from wfledger.run.hub import trusting
from wfledger.run.hub.state import Hub, Inflight, State, write_hub, write_state
from wfledger.run.merger import chains
from wfledger.run.merger.landing import Deferred, cancel_merging, is_landable
from wfledger.run.workspace import Workspace

WAITS = Deferred("waits for origin", handed_over=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


def _share(workspace: Workspace) -> None:
    """Let the ledger have a remote, which nobody asks here."""
    hub = Hub("origin", "/nowhere", "hidden", atomic=True, root="0" * 40)
    write_hub(workspace.ledger.layout.local, hub)
    trusting.accept(workspace)


def _ahead(workspace: Workspace) -> str:
    return git(workspace.main, "for-each-ref", "--format=%(objectname)", chains.NEXT)


def _landable(workspace: Workspace, task: Task) -> bool:
    present = workspace.ledger.get(task.id).task
    return is_landable(workspace, present, now=workspace.clock.now())


def _two(workspace: Workspace) -> tuple[Task, Task]:
    first = put_merging(workspace, "one", {"src/a.py": "A\n"})
    second = put_merging(workspace, "two", {"src/b.py": "B\n"})
    _share(workspace)
    for task in (first, second):
        assert land(workspace, task) == WAITS
    return first, second


@pytest.mark.requirement("WFL-HUB-070")
def test_results_land_one_on_the_other_and_leave_the_branch_where_it_is(
    workspace: Workspace,
) -> None:
    tip = git(workspace.main, "rev-parse", BRANCH)
    first, second = _two(workspace)
    assert git(workspace.main, "rev-parse", BRANCH) == tip
    made = git(workspace.main, "log", "--format=%(trailers:key=Wfledger-Task,valueonly)",
               f"{tip}..{_ahead(workspace)}").split()  # fmt: skip
    assert made == [second.id, first.id]
    waiting = workspace.ledger.tasks(Status.MERGING)
    assert [task.id for task in chains.links(workspace, BRANCH, waiting)] == [first.id, second.id]
    assert not _landable(workspace, first)
    assert not git(workspace.main, "for-each-ref", "refs/wfledger/landed")


@pytest.mark.requirement("WFL-HUB-073")
def test_what_waits_is_landed_again_when_the_branch_goes_elsewhere(workspace: Workspace) -> None:
    first, second = _two(workspace)
    tip = move_branch(workspace.main, {"lib/c.py": "C\n"})
    assert chains.links(workspace, BRANCH, workspace.ledger.tasks(Status.MERGING)) == []
    for task in (second, first):
        assert _landable(workspace, task)
        assert isinstance(land(workspace, task), Deferred)
    waiting = workspace.ledger.tasks(Status.MERGING)
    assert [task.id for task in chains.links(workspace, BRANCH, waiting)] == [second.id, first.id]
    assert git(workspace.main, "rev-list", "--count", f"{tip}..{_ahead(workspace)}") == "2"


@pytest.mark.requirement("WFL-HUB-074")
def test_cancelling_takes_back_what_was_landed_on_top(workspace: Workspace) -> None:
    first, second = _two(workspace)
    cancel_merging(workspace, first.id)
    assert places(workspace, first.id) == [Status.CANCELLED]
    assert not _ahead(workspace)
    assert _landable(workspace, second)
    assert isinstance(land(workspace, second), Deferred)
    waiting = workspace.ledger.tasks(Status.MERGING)
    assert [task.id for task in chains.links(workspace, BRANCH, waiting)] == [second.id]
    assert "src/a.py" not in git(workspace.main, "ls-tree", "-r", "--name-only", _ahead(workspace))


@pytest.mark.requirement("WFL-HUB-074")
def test_cancelling_the_last_leaves_what_is_below(workspace: Workspace) -> None:
    first, second = _two(workspace)
    cancel_merging(workspace, second.id)
    assert not _landable(workspace, first)
    waiting = workspace.ledger.tasks(Status.MERGING)
    assert [task.id for task in chains.links(workspace, BRANCH, waiting)] == [first.id]


@pytest.mark.requirement("WFL-HUB-074")
def test_what_is_being_pushed_is_not_cancelled(workspace: Workspace) -> None:
    first, _ = _two(workspace)
    local = workspace.ledger.layout.local
    tip = git(workspace.main, "rev-parse", BRANCH)
    flight = Inflight("0" * 40, "1" * 40, 1, {BRANCH: (tip, _ahead(workspace))})
    write_state(local, State(inflight=flight))
    with pytest.raises(BusyError, match="has not answered"):
        cancel_merging(workspace, first.id)
    write_state(local, State(earlier=(flight,)))
    with pytest.raises(BusyError, match="has not answered"):
        cancel_merging(workspace, first.id)
    write_state(local, State())
    cancel_merging(workspace, first.id)


def test_what_the_remote_has_is_not_cancelled(workspace: Workspace) -> None:
    first, _ = _two(workspace)
    git(workspace.main, "update-ref", BRANCH, _ahead(workspace))
    with pytest.raises(TransitionError, match="has landed"):
        cancel_merging(workspace, first.id)
    assert places(workspace, first.id) == [Status.MERGING]
    assert not _landable(workspace, first)


@pytest.mark.requirement("WFL-HUB-070")
def test_what_was_granted_to_another_machine_is_landed_there(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A\n"})
    _share(workspace)
    with workspace.ledger.transaction("test") as changes:
        changes.update(task.id, why="granted", grant=Grant(machine="elsewhere", since="now"))
    assert not _landable(workspace, task)
    assert land(workspace, task) == Deferred("another machine lands it")
    assert not _ahead(workspace)


def test_a_conflict_with_what_waits_is_a_conflict(workspace: Workspace) -> None:
    first = put_merging(workspace, "one", {"src/a.py": "A\n"})
    second = put_merging(workspace, "two", {"src/a.py": "B\n"})
    _share(workspace)
    land(workspace, first)
    land(workspace, second)
    assert places(workspace, second.id) == [Status.BLOCKED]
    assert workspace.ledger.get(second.id).task.block is not None


def test_a_stopped_lander_changes_nothing(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A\n"})
    _share(workspace)
    stop = threading.Event()
    stop.set()
    land(workspace, task, stop=stop)
    assert not _ahead(workspace)
    assert _landable(workspace, task)


@pytest.mark.requirement("WFL-HUB-077")
def test_what_a_silent_machine_has_pushed_is_not_landed_again(workspace: Workspace) -> None:
    first, _ = _two(workspace)
    git(workspace.main, "update-ref", BRANCH, _ahead(workspace))
    with workspace.ledger.transaction("test") as changes:
        changes.update(first.id, why="taken over", intent=None, hold=None)
    assert _landable(workspace, first)
    assert land(workspace, first) == WAITS
    intent = workspace.ledger.get(first.id).task.intent
    assert intent is not None
    assert git(workspace.main, "rev-parse", f"{BRANCH}^") == intent.candidate
