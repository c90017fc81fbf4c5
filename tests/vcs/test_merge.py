"""Merging is a function of three trees: exact, without renames, deaf to planted drivers."""

from pathlib import Path

import pytest

from tests.support.repos import commit, files_at, git
from wfledger.errors import GitError
from wfledger.vcs.merge import Conflict, Merged, merge_trees
from wfledger.vcs.repo import Repository

Files = dict[str, str | bytes | None]


class Fork:
    """A base and two commits on it."""

    def __init__(self, repo: Path, base: Files, ours: Files, theirs: Files) -> None:
        self.root = repo
        self.base = commit(repo, base)
        git(repo, "checkout", "-q", "--detach", self.base)
        self.ours = commit(repo, ours)
        git(repo, "checkout", "-q", "--detach", self.base)
        self.theirs = commit(repo, theirs)

    def merge(self) -> Merged | Conflict:
        return merge_trees(
            Repository.discover(self.root), base=self.base, ours=self.ours, theirs=self.theirs
        )

    def merged(self) -> dict[str, str]:
        found = self.merge()
        assert isinstance(found, Merged)
        return files_at(self.root, found.tree)

    def conflicts(self) -> list[str]:
        found = self.merge()
        assert isinstance(found, Conflict)
        return [conflict.path for conflict in found.paths]


def test_changes_of_different_files_and_lines_fit_together(repo: Path) -> None:
    lines = "".join(f"{n}\n" for n in range(20))
    fork = Fork(
        repo,
        {"f": lines, "gone": "1"},
        {"f": lines.replace("0\n", "ours\n", 1), "gone": None},
        {"f": lines.replace("19\n", "theirs\n"), "new": "1"},
    )
    found = fork.merged()
    assert found["f"].startswith("ours\n")
    assert found["f"].endswith("theirs")
    assert ("gone" in found, "new" in found) == (False, True)


def test_a_conflict_names_each_path_and_side(repo: Path) -> None:
    fork = Fork(repo, {"f": "1\n", "g": "1\n"}, {"f": "2\n", "g": None}, {"f": "3\n", "g": "2\n"})
    found = fork.merge()
    assert isinstance(found, Conflict)
    sides = [(c.path, c.base, c.ours, c.theirs) for c in found.paths]

    def blob(side: str, path: str) -> str:
        return git(repo, "rev-parse", f"{side}:{path}")

    assert sides == [
        ("f", *(blob(side, "f") for side in (fork.base, fork.ours, fork.theirs))),
        ("g", blob(fork.base, "g"), None, blob(fork.theirs, "g")),
    ]


@pytest.mark.requirement("WFL-LAND-005")
def test_an_edit_does_not_follow_a_rename(repo: Path) -> None:
    text = "".join(f"line {n}\n" for n in range(30))
    fork = Fork(repo, {"src/a.py": text}, {"src/a.py": None, "lib/b.py": text},
                {"src/a.py": text + "more\n"})  # fmt: skip
    assert fork.conflicts() == ["src/a.py"]


def test_a_new_file_does_not_follow_a_renamed_folder(repo: Path) -> None:
    fork = Fork(repo, {"old/a": "1\n", "old/b": "2\n"},
                {"old/a": None, "old/b": None, "new/a": "1\n", "new/b": "2\n"},
                {"old/c": "3\n"})  # fmt: skip
    assert "old/c" in fork.merged()


def test_a_file_against_a_folder_is_a_conflict(repo: Path) -> None:
    fork = Fork(repo, {}, {"x": "file\n"}, {"x/y": "folder\n"})
    assert fork.conflicts() == ["x"]


def test_the_same_addition_on_both_sides_is_none(repo: Path) -> None:
    fork = Fork(repo, {}, {"x": "same\n", "o": "1"}, {"x": "same\n", "t": "1"})
    assert fork.merged()["x"] == "same"


def test_different_additions_conflict(repo: Path) -> None:
    assert Fork(repo, {}, {"x": "1\n"}, {"x": "2\n"}).conflicts() == ["x"]


@pytest.mark.requirement("WFL-LAND-005")
def test_planted_drivers_and_attributes_change_nothing(repo: Path, tmp_path: Path) -> None:
    fork = Fork(repo, {"f": "1\n2\n3\n"}, {"f": "1\nX\n3\n"}, {"f": "1\nY\n3\n"})
    git(repo, "config", "merge.evil.driver", f"touch {tmp_path / 'canary'}")
    for attribute in ("merge=union", "merge=evil", "-merge"):
        (repo / ".git/info/attributes").write_text(f"* {attribute}\n")
        (repo / ".gitattributes").write_text(f"* {attribute}\n")
        assert fork.conflicts() == ["f"]
    assert not (tmp_path / "canary").exists()


def test_trees_and_commits_merge_alike(repo: Path) -> None:
    fork = Fork(repo, {"a": "1"}, {"b": "1"}, {"c": "1"})
    found = Repository.discover(repo)
    trees = [found.tree_of(side) for side in (fork.base, fork.ours, fork.theirs)]
    assert merge_trees(found, base=trees[0], ours=trees[1], theirs=trees[2]) == fork.merge()


@pytest.mark.parametrize("missing", ["base", "ours", "theirs"])
def test_an_unknown_revision_is_an_error_and_never_a_conflict(repo: Path, missing: str) -> None:
    head = git(repo, "rev-parse", "HEAD")
    sides = {"base": head, "ours": head, "theirs": head} | {missing: "0" * 39 + "1"}
    with pytest.raises(GitError):
        merge_trees(Repository.discover(repo), **sides)


def test_a_name_that_is_no_text_can_conflict(repo: Path) -> None:
    name = b"\xff".decode("utf-8", "surrogateescape")
    assert len(Fork(repo, {}, {name: "1\n"}, {name: "2\n"}).conflicts()) == 1
