"""What an attempt did is under a ref, once, and stays there."""

from pathlib import Path

import pytest

from tests.support.repos import commit, git, write
from tests.support.workspaces import RUN, make_workspace
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.keeping import Kept, WorkGoneError, keep, keep_commits, keep_what_is_left
from wfledger.run.attempts.worktrees import Place
from wfledger.run.workspace import Workspace

ID = f"{RUN}.a"
REF = f"refs/wfledger/keep/{ID}/1"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, {"a.txt": "a\n"})


@pytest.fixture
def place(workspace: Workspace) -> Place:
    return worktrees.make(
        workspace, f"{ID}.1", base=git(workspace.main, "rev-parse", "main"),
        branch=f"refs/heads/wf-try/{ID}/1", purpose="attempt",
    )  # fmt: skip


def _keep(workspace: Workspace, place: Place) -> Kept:
    return keep(workspace, place, task_id=ID, attempt=1)


def test_keeping_the_same_again_makes_no_other_commit(workspace: Workspace, place: Place) -> None:
    write(place.folder, {"a.txt": "b\n"})
    first = _keep(workspace, place)
    git(workspace.main, "config", "user.name", "Somebody else")
    assert _keep(workspace, place) == first
    assert git(workspace.main, "rev-parse", REF) == first.head


def test_keeping_again_records_what_has_changed_since(workspace: Workspace, place: Place) -> None:
    write(place.folder, {"a.txt": "b\n"})
    first = _keep(workspace, place)
    made = commit(place.folder, {"a.txt": "c\n"})
    assert _keep(workspace, place).head == made != first.head
    commit(place.folder, {"a.txt": "d\n"})
    write(place.folder, {"a.txt": "b\n"})
    third = _keep(workspace, place)
    assert git(workspace.main, "merge-base", "--is-ancestor", made, third.head) == ""


def test_nothing_done_keeps_the_base(workspace: Workspace, place: Place) -> None:
    assert _keep(workspace, place) == Kept(place.base, place.base)


def test_worktree_that_is_being_removed_is_not_looked_at_again(
    workspace: Workspace, place: Place
) -> None:
    write(place.folder, {"b.txt": "b\n"})
    kept = _keep(workspace, place)
    entry = workspace.common_dir / "worktrees" / place.folder.name
    (entry / "locked").write_text("wfledger: being removed\n")
    (place.folder / "a.txt").unlink()
    with pytest.raises(WorkGoneError):
        _keep(workspace, place)
    assert keep_what_is_left(workspace, place, task_id=ID, attempt=1) == kept
    assert git(workspace.main, "rev-parse", REF) == kept.head


def test_commits_of_a_worktree_that_is_gone_are_kept(workspace: Workspace, place: Place) -> None:
    made = commit(place.folder, {"a.txt": "b\n"})
    place.folder.rename(place.folder.with_name("elsewhere"))
    assert keep_commits(workspace, place, task_id=ID, attempt=1) == Kept(place.base, made)
    assert git(workspace.main, "rev-parse", REF) == made


def test_other_branch_of_a_worktree_stays_when_it_is_discarded(
    workspace: Workspace, place: Place
) -> None:
    commit(place.folder, {"a.txt": "left on its branch\n"})
    git(place.folder, "switch", "-q", "--detach", "HEAD~1")
    _keep(workspace, place)
    worktrees.discard(workspace, place)
    assert git(workspace.main, "log", "-1", "--format=%s", f"wf-try/{ID}/1") == "change"
    assert not place.folder.exists()
    assert worktrees.recorded(workspace) == []
