"""Attempts whose runtime is gone: their processes end first, their work is kept, then they go on."""

from pathlib import Path

import pytest

from tests.support import processes
from tests.support.engines import AT_ONCE, NOTHING_LEFT, drive_there, leftovers, outcomes, statuses
from tests.support.faults import Pause, kill_at
from tests.support.repos import files_at, git, write
from tests.support.workspaces import RUN, add_task, make_workspace, open_workspace, start
from wfledger.core.statuses import Status
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.recovery import recover_lost, sweep_worktrees
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock
from wfledger.vcs import refs

ID = f"{RUN}.a"
KEPT = f"refs/wfledger/keep/{ID}/1"


def _recover(workspace: Workspace) -> tuple[int, list[str]]:
    said: list[str] = []
    return recover_lost(workspace, report=lambda _, text: said.append(text)), said


def _abandoned(tmp_path: Path) -> Workspace:
    """A ledger in which the runtime of an attempt that has worked is gone."""
    workspace = make_workspace(tmp_path, {"a.txt": "a\n"})
    task = start(workspace, add_task(workspace, "a", write=("a.txt",), retry=AT_ONCE).id)
    LiveLock(workspace.ledger.layout.live(ID, task.attempt)).release()
    place = worktrees.make(
        workspace, f"{ID}.1", base=git(workspace.main, "rev-parse", "main"),
        branch=f"refs/heads/wf-try/{ID}/1", purpose="attempt",
    )  # fmt: skip
    write(place.folder, {"a.txt": "half\n"})
    return workspace


@pytest.mark.requirement("WFL-CLAIM-040")
@pytest.mark.requirement("WFL-CLAIM-042")
def test_lost_attempt_is_handed_on_with_its_work_kept(tmp_path: Path) -> None:
    workspace = _abandoned(tmp_path)
    assert _recover(workspace)[0] == 1
    assert statuses(workspace) == {ID: "waiting"}
    assert outcomes(workspace, ID) == ["lost"]
    assert files_at(workspace.main, KEPT)["a.txt"] == "half"
    assert leftovers(workspace) == NOTHING_LEFT
    assert _recover(workspace)[0] == 0


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-031")
@pytest.mark.requirement("WFL-CLAIM-041")
def test_task_is_not_handed_on_while_a_process_of_its_attempt_lives(tmp_path: Path) -> None:
    workspace = _abandoned(tmp_path)
    # What a worker's processes inherit; none of them can be found by its tag here.
    tree = LiveLock(workspace.ledger.layout.tree(ID, 1))
    count, said = _recover(workspace)
    assert count == 0
    assert said[-1] == "a process of the lost attempt still runs; not offered again yet"
    assert statuses(workspace) == {ID: "in-progress"}
    tree.release()
    assert _recover(workspace)[0] == 1


@pytest.mark.requirement("WFL-CLAIM-042")
def test_work_that_cannot_be_read_stays_and_the_task_is_blocked(tmp_path: Path) -> None:
    workspace = _abandoned(tmp_path)
    folder = workspace.state / f"{ID}.1"
    git(folder, "init", "-q", "in")
    git(folder / "in", "commit", "-q", "--allow-empty", "-m", "x")
    (folder / "in/.git/HEAD").write_text("broken\n")
    assert _recover(workspace)[0] == 1
    task = workspace.ledger.get(ID).task
    if task.block is not None:
        assert str(folder) in task.block.reason
        assert (folder / "a.txt").read_text() == "half\n"
    else:
        assert files_at(workspace.main, KEPT)["a.txt"] == "half"


@pytest.mark.long
def test_attempt_whose_worktree_was_not_made_yet_is_lost_without_work(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, {"a.txt": "a\n"})
    add_task(workspace, "a", command="true", write=("a.txt",), retry=AT_ONCE)
    for point in ("worktree.recorded", "worktree.add.registered"):
        dead = processes.start(drive_there, workspace.main, env=kill_at(point))
        assert dead.wait() < 0
        assert _recover(workspace)[0] == 1
        assert leftovers(workspace) == NOTHING_LEFT
    assert outcomes(workspace, ID) == ["lost", "lost"]
    assert git(workspace.main, "for-each-ref", "refs/wfledger/keep") == ""


@pytest.mark.long
def test_worktree_that_its_runtime_clears_away_is_left_to_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, {"a.txt": "a\n"})
    add_task(workspace, "a", command="echo x > a.txt", write=("a.txt",))
    with Pause(tmp_path, "worktree.remove.marked") as pause:
        other = processes.start(drive_there, workspace.main, env=pause.env)
        pause.wait()
        kept = git(workspace.main, "rev-parse", KEPT)
        assert sweep_worktrees(workspace) == 0
        assert _recover(workspace)[0] == 0
        assert git(workspace.main, "rev-parse", KEPT) == kept
        pause.go()
        assert other.result() == 0
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.long
def test_worktree_that_its_runtime_died_removing_is_swept_and_the_work_untouched(
    tmp_path: Path,
) -> None:
    workspace = make_workspace(tmp_path, {"a.txt": "a\n", "b.txt": "b\n"})
    add_task(workspace, "a", command="echo x > a.txt", write=("a.txt",))
    dead = processes.start(drive_there, workspace.main, env=kill_at("worktree.remove.marked"))
    assert dead.wait() < 0
    kept = git(workspace.main, "rev-parse", KEPT)
    (workspace.state / f"{ID}.1/b.txt").unlink()
    assert workspace.ledger.names(Status.MERGING) == [ID]
    assert sweep_worktrees(open_workspace(workspace.main)) == 1
    assert git(workspace.main, "rev-parse", KEPT) == kept
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.long
def test_run_goes_on_beside_the_lock_of_a_git_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refs, "_ROUNDS", 1)
    workspace = make_workspace(tmp_path, {"a.txt": "a\n"})
    add_task(workspace, "a", command="echo x > a.txt", write=("a.txt",))
    dead = processes.start(drive_there, workspace.main, env=kill_at("worktree.remove.marked"))
    assert dead.wait() < 0
    lock = workspace.main / f".git/refs/heads/wf-try/{ID}/1.lock"
    lock.touch()
    assert drive_there(workspace.main) == 0
    assert statuses(workspace) == {ID: "done"}
    lock.unlink()
    assert sweep_worktrees(open_workspace(workspace.main)) == 1
    assert leftovers(workspace) == NOTHING_LEFT


def test_worktree_that_a_person_has_open_is_never_swept(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    place = worktrees.make(
        workspace, f"{ID}.1.open", base=git(workspace.main, "rev-parse", "main"), branch=None,
        purpose="open",
    )  # fmt: skip
    assert sweep_worktrees(workspace) == 0
    assert place.folder.is_dir()
