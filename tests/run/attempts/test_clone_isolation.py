"""An attempt in a repository of its own: its work comes back, nothing it planted does."""

from pathlib import Path

import pytest

from tests.support.attempts import FILES, ID, KEPT, blocked, result_of, run_task
from tests.support.checkups import look
from tests.support.confining import CLONED
from tests.support.engines import NOTHING_LEFT, leftovers, statuses
from tests.support.repos import git
from tests.support.workspaces import BRANCH, make_workspace
from wfledger.core.documents import Confined
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.keeping import keep
from wfledger.run.config.confinement import Confinement
from wfledger.run.workspace import Workspace

CLONE = Confinement(isolation="clone")
PLANT = (
    "git config core.hooksPath /nowhere; git config alias.log '!false'; mkdir -p .git/hooks; "
    "echo exit 1 > .git/hooks/post-checkout; git branch -f main; git tag evil; "
    "git update-ref refs/wfledger/keep/x/1 HEAD; "
)
WORK = "echo one > src/one.txt; git add .; git commit -qm one; echo two > src/two.txt"


def shared(workspace: Workspace) -> tuple[str, bytes, list[str]]:
    """Return what worktrees share and workers may not change."""
    refs = git(workspace.main, "for-each-ref", "refs/heads/main", "refs/tags", "refs/wfledger/keep/x")
    common = workspace.common_dir
    return refs, (common / "config").read_bytes(), sorted(path.name for path in common.glob("hooks/*"))


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-017")
@pytest.mark.requirement("WFL-PROC-016")
def test_work_in_a_clone_lands_and_nothing_else_comes_back(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES, fleet=CLONED)
    before = shared(workspace)
    task = run_task(workspace, PLANT + WORK, write=("src",))
    assert task.block is None
    assert git(workspace.main, "ls-tree", "--name-only", "-r", BRANCH, "src").split() == [
        "src/a.txt", "src/b.txt", "src/one.txt", "src/two.txt",
    ]  # fmt: skip
    assert git(workspace.main, "log", "-1", "--format=%s", f"{result_of(workspace).head}^") == "one"
    assert shared(workspace) == before
    assert leftovers(workspace) == NOTHING_LEFT
    assert result_of(workspace).confined == Confined(isolation="clone")


@pytest.mark.long
def test_task_may_ask_for_a_clone_itself(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    run_task(workspace, WORK, write=("src",), isolation="clone")
    assert result_of(workspace).confined == Confined(isolation="clone")


@pytest.mark.long
def test_work_of_a_failed_attempt_in_a_clone_is_kept(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES, fleet=CLONED)
    blocked(workspace, f"{WORK}; rm -rf .git; exit 3", "task", write=("src",))
    assert git(workspace.main, "show", f"{KEPT}:src/one.txt") == "one", "by its files, at least"


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-018")
def test_clone_with_broken_commits_stays_and_is_named(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES, fleet=CLONED)
    harm = "rm -f $(find .git/objects -type f -path '*/??/*' ! -path '*/info/*' | grep $(git rev-parse HEAD: | cut -c3-))"
    task = run_task(workspace, f"{WORK}; {harm}", write=("src",))
    assert statuses(workspace)[ID] == "blocked"
    assert task.block is not None
    assert task.block.code == "out_of_scope"
    assert str(workspace.state) in task.block.reason
    assert (workspace.state / f"{ID}.1/src/two.txt").exists()


@pytest.mark.long
def test_doctor_names_a_clone_that_nobody_recorded(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    base = git(workspace.main, "rev-parse", "main")
    name = f"{ID}.1"
    place = worktrees.make(
        workspace, name, base=base, branch=None, purpose="attempt", confinement=CLONE
    )
    worktrees.record_path(workspace, name).unlink()
    found = [one for one in look(workspace.main) if one.subject == place.path]
    assert [(one.code, "nobody recorded" in one.message) for one in found] == [("stray-folder", True)]


@pytest.mark.long
def test_keeping_a_clone_twice_makes_one_commit(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    base = git(workspace.main, "rev-parse", "main")
    place = worktrees.make(
        workspace, f"{ID}.1", base=base, branch=None, purpose="attempt", confinement=CLONE
    )
    (place.folder / "src/new.txt").write_text("new\n")
    first = keep(workspace, place, task_id=ID, attempt=1)
    assert keep(workspace, place, task_id=ID, attempt=1) == first
    worktrees.discard(workspace, place)
    assert leftovers(workspace) == NOTHING_LEFT
