"""What a merger that died has left is finished or begun again; and what cancelling does."""

import json
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.faults import Pause
from tests.support.landings import (
    announce,
    assert_landed_once,
    land,
    land_there,
    landed_commits,
    places,
)
from tests.support.repos import commit, git
from tests.support.workspaces import (
    BRANCH,
    make_workspace,
    move_branch,
    put_merging,
)
from wfledger.core.statuses import Status
from wfledger.errors import StaleError, TransitionError
from wfledger.run.merger.landing import (
    Done,
    cancel_merging,
)
from wfledger.run.workspace import Workspace

FILES = {"src/a.py": "A = 1\n", "src/b.py": "B = 1\n", "lib/c.py": "C = 1\n"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, FILES)


# -- recovery ------------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-LAND-021")
@pytest.mark.parametrize("with_proof", [True, False])
def test_landing_that_happened_is_finished(workspace: Workspace, with_proof: bool) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    intent = announce(workspace, task)
    git(workspace.main, "update-ref", BRANCH, intent.candidate)
    if with_proof:
        git(workspace.main, "update-ref", f"refs/wfledger/landed/{task.id}", intent.candidate)
    later = move_branch(workspace.main, {"src/b.py": "B = 2\n"})
    assert land(workspace, task) == Done("merged", intent.candidate)
    assert_landed_once(workspace, task)
    assert git(workspace.main, "rev-parse", BRANCH) == later


@pytest.mark.requirement("WFL-LAND-021")
@pytest.mark.parametrize("with_proof", [True, False])
def test_landing_that_was_only_announced_begins_again(
    workspace: Workspace, with_proof: bool
) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    intent = announce(workspace, task)
    if with_proof:
        git(workspace.main, "update-ref", f"refs/wfledger/landed/{task.id}", intent.candidate)
    tip = move_branch(workspace.main, {"src/b.py": "B = 2\n"})
    land(workspace, task)
    made = assert_landed_once(workspace, task)
    assert made != intent.candidate
    assert git(workspace.main, "rev-parse", f"{made}^") == tip


@pytest.mark.requirement("WFL-LAND-013")
@pytest.mark.requirement("WFL-LAND-021")
def test_candidate_that_was_pruned_is_not_landed(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    announce(workspace, task)
    git(workspace.main, "gc", "--quiet", "--prune=now")
    land(workspace, task)
    assert_landed_once(workspace, task)


def test_landing_that_the_ledger_has_forgotten_is_found_by_its_proof(
    workspace: Workspace,
) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    intent = announce(workspace, task)
    git(workspace.main, "update-ref", BRANCH, intent.candidate)
    git(workspace.main, "update-ref", f"refs/wfledger/landed/{task.id}", intent.candidate)
    with workspace.ledger.transaction("test") as changes:
        changes.update(task.id, why="rebuilt", merger=None, intent=None)
    assert land(workspace, task) == Done("merged", intent.candidate)
    assert_landed_once(workspace, task)


@pytest.mark.requirement("WFL-LAND-013")
def test_foreign_ref_in_place_of_the_proof_proves_nothing(workspace: Workspace) -> None:
    tip = git(workspace.main, "rev-parse", BRANCH)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    git(workspace.main, "update-ref", f"refs/wfledger/landed/{task.id}", tip)
    land(workspace, task)
    assert assert_landed_once(workspace, task) != tip


def test_file_of_the_last_landing_may_be_lost(workspace: Workspace) -> None:
    land(workspace, put_merging(workspace, "one", {"src/a.py": "A = 2\n"}))
    for note in (workspace.ledger.layout.local / "index").glob("target-*"):
        assert json.loads(note.read_text())["branch"] == BRANCH
        note.write_text("garbage")
    task = put_merging(workspace, "two", {"src/b.py": "B = 2\n"})
    land(workspace, task)
    assert_landed_once(workspace, task)


# -- cancelling ----------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-STATUS-029")
def test_task_in_merging_is_cancelled_and_its_work_kept(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    cancel_merging(workspace, task.id)
    assert places(workspace, task.id) == [Status.CANCELLED]
    assert git(workspace.main, "show", f"refs/wfledger/keep/{task.id}/1:src/a.py") == "A = 2"
    with pytest.raises(StaleError):
        land(workspace, task)


@pytest.mark.requirement("WFL-STATUS-029")
def test_cancel_of_what_has_landed_finishes_it_and_is_refused(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    git(workspace.main, "update-ref", BRANCH, announce(workspace, task).candidate)
    with pytest.raises(TransitionError) as caught:
        cancel_merging(workspace, task.id)
    assert caught.value.exit_status == 4
    assert_landed_once(workspace, task)


def test_cancel_of_what_was_only_announced_cancels(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    intent = announce(workspace, task)
    git(workspace.main, "update-ref", f"refs/wfledger/landed/{task.id}", intent.candidate)
    assert cancel_merging(workspace, task.id).intent is None
    assert places(workspace, task.id) == [Status.CANCELLED]
    assert git(workspace.main, "for-each-ref", "refs/wfledger/landed") == ""


def test_cancel_while_a_merger_is_at_work_fences_it(workspace: Workspace, tmp_path: Path) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    with Pause(tmp_path, "landing.candidate") as pause:
        child = processes.start(land_there, workspace.main, task.id, env=pause.env)
        pause.wait()
        cancel_merging(workspace, task.id)
        pause.go()
        with pytest.raises(processes.WorkerFailedError, match="StaleError"):
            child.result()
    assert places(workspace, task.id) == [Status.CANCELLED]
    assert landed_commits(workspace.main, task.id) == []


@pytest.mark.long
def test_cancel_waits_for_a_landing_between_intent_and_swap(
    workspace: Workspace, tmp_path: Path
) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    with Pause(tmp_path, "landing.ref-moved") as pause:
        child = processes.start(land_there, workspace.main, task.id, env=pause.env)
        pause.wait()
        canceller = processes.start(cancel_there, workspace.main, task.id)
        pause.go()
        assert isinstance(child.result(), Done)
        assert canceller.result() == "TransitionError"
    assert_landed_once(workspace, task)


def cancel_there(root: Path, task_id: str) -> str:
    """Cancel from another process; returns what was raised."""
    from tests.support.workspaces import open_workspace

    try:
        cancel_merging(open_workspace(root), task_id)
    except TransitionError as error:
        return type(error).__name__
    return ""


def test_later_commits_of_people_on_the_branch_are_kept(workspace: Workspace) -> None:
    """The run's branch is git's: a person may commit there by a worktree and go away again."""
    git(workspace.main, "checkout", "--quiet", "wf/r1")
    theirs = commit(workspace.main, {"lib/c.py": "C = 7\n"})
    git(workspace.main, "checkout", "--quiet", "main")
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    land(workspace, task)
    made = assert_landed_once(workspace, task)
    assert git(workspace.main, "rev-parse", f"{made}^") == theirs
