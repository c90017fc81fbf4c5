"""A merge that is begun for a person: left as git leaves it, and asked whether it is resolved."""

import subprocess
from pathlib import Path

import pytest

from tests.support.repos import commit, git, make_repo, write
from wfledger.errors import GitError
from wfledger.vcs.registry import find
from wfledger.vcs.repo import Repository
from wfledger.vcs.resolving import begin_merge, merging_with, unresolved


class Scene:
    """Two branches, and a worktree in which the one is to be merged into the other."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = make_repo(tmp_path / "repo", {"a": "1\n", "b": "1\n", "c": "1\n"})
        git(self.root, "switch", "--quiet", "--create", "theirs")
        self.theirs = commit(self.root, {"a": "theirs\n", "b": None, "new": "theirs\n", "more": "something else\n"})
        git(self.root, "switch", "--quiet", "main")
        commit(self.root, {"a": "ours\n", "b": "ours\n", "new": "ours\n"})
        self.place = tmp_path / "place"
        git(self.root, "worktree", "add", "--quiet", "--detach", str(self.place), "main")
        self.repo = Repository.discover(self.root)

    def left(self) -> set[str]:
        return set(unresolved(self.repo, self.place, self.theirs))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_merge_is_left_as_git_leaves_it(scene: Scene, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    git(scene.root, "worktree", "add", "--quiet", "--detach", str(twin), "main")
    merge = ["git", "merge", "--quiet", "theirs"]
    subprocess.run(merge, cwd=twin, check=False, capture_output=True)
    found = begin_merge(scene.repo, scene.place, scene.theirs)
    assert set(found) == {"a", "b", "new"}
    for asked in (["status", "--porcelain"], ["ls-files", "--stage"], ["rev-parse", "MERGE_HEAD"]):
        assert git(scene.place, *asked) == git(twin, *asked)
    assert (scene.place / "more").read_text() == "something else\n"
    assert "<<<<<<<" in (scene.place / "a").read_text()
    assert (scene.place / "b").read_text() == "ours\n"


def test_conflict_is_resolved_by_editing_or_by_saying_so(scene: Scene) -> None:
    begin_merge(scene.repo, scene.place, scene.theirs)
    assert merging_with(scene.repo, scene.place) == scene.theirs
    assert scene.left() == {"a", "b", "new"}
    write(scene.place, {"a": "both\n"})
    assert scene.left() == {"b", "new"}
    git(scene.place, "rm", "--quiet", "b")
    assert scene.left() == {"new"}
    write(scene.place, {"new": "half\n<<<<<<< HEAD\n"})
    assert scene.left() == {"new"}
    git(scene.place, "add", "new")
    assert scene.left() == set()


def test_kept_side_of_a_deletion_counts_only_when_it_was_said(scene: Scene) -> None:
    begin_merge(scene.repo, scene.place, scene.theirs)
    write(scene.place, {"a": "both\n", "new": "both\n"})
    assert scene.left() == {"b"}
    git(scene.place, "add", "b")
    assert scene.left() == set()


def test_begun_merge_can_be_given_up_or_committed_with_git(scene: Scene) -> None:
    begin_merge(scene.repo, scene.place, scene.theirs)
    git(scene.place, "merge", "--abort")
    assert git(scene.place, "status", "--porcelain") == ""
    assert merging_with(scene.repo, scene.place) is None
    begin_merge(scene.repo, scene.place, scene.theirs)
    write(scene.place, {"a": "both\n", "b": "both\n", "new": "both\n"})
    git(scene.place, "commit", "--quiet", "--all", "--no-edit")
    assert merging_with(scene.repo, scene.place) is None
    assert scene.theirs in git(scene.place, "log", "-1", "--format=%P").split()
    assert begin_merge(scene.repo, scene.place, scene.theirs) == ()


def test_clean_merge_has_no_conflicts_and_is_under_way(scene: Scene) -> None:
    git(scene.root, "switch", "--quiet", "--create", "clean", "main~1")
    clean = commit(scene.root, {"c": "2\n"})
    assert begin_merge(scene.repo, scene.place, clean) == ()
    assert merging_with(scene.repo, scene.place) == clean
    assert (scene.place / "c").read_text() == "2\n"
    assert unresolved(scene.repo, scene.place, clean) == ()


def test_histories_that_share_nothing_are_refused(scene: Scene) -> None:
    tree = git(scene.root, "rev-parse", "main^{tree}")
    alien = git(scene.root, "commit-tree", tree, "-m", "alien")
    before = git(scene.place, "status", "--porcelain")
    with pytest.raises(GitError):
        begin_merge(scene.repo, scene.place, alien)
    assert git(scene.place, "status", "--porcelain") == before


def test_commands_in_the_shared_configuration_are_not_run(scene: Scene, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    git(scene.root, "config", "filter.evil.smudge", f"touch {proof}; cat")
    git(scene.root, "config", "merge.evil.driver", f"touch {proof}; false")
    git(scene.root, "config", "core.fsmonitor", f"touch {proof}")
    (scene.root / ".git/info/attributes").write_text("* filter=evil merge=evil\n")
    begin_merge(scene.repo, scene.place, scene.theirs)
    unresolved(scene.repo, scene.place, scene.theirs)
    assert not proof.exists()


def test_worktree_that_is_none_is_refused(scene: Scene, tmp_path: Path) -> None:
    assert find(scene.repo, tmp_path) is None
    assert merging_with(scene.repo, tmp_path) is None
    with pytest.raises(GitError):
        begin_merge(scene.repo, tmp_path, scene.theirs)


def test_what_is_no_text_stays_ours_until_somebody_says_so(tmp_path: Path) -> None:
    root = make_repo(tmp_path / "repo", {"data": b"\0\1", "link": "1\n", "folder": "1\n"})
    git(root, "switch", "--quiet", "--create", "theirs")
    write(root, {"folder": None})
    theirs = commit(root, {"data": b"\0\2", "folder/inside": "theirs\n"})
    git(root, "switch", "--quiet", "main")
    commit(root, {"data": b"\0\3", "folder": "ours\n"})
    place = tmp_path / "place"
    git(root, "worktree", "add", "--quiet", "--detach", str(place), "main")
    repo = Repository.discover(root)
    assert set(begin_merge(repo, place, theirs)) == {"data", "folder"}
    assert (place / "data").read_bytes() == b"\0\3"
    assert (place / "folder/inside").read_text() == "theirs\n"
    assert set(unresolved(repo, place, theirs)) == {"data", "folder"}
    write(place, {"data": b"\0\4"})
    git(place, "rm", "--quiet", "--cached", "folder")
    assert unresolved(repo, place, theirs) == ()
