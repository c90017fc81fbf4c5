"""A worktree becomes a tree whatever its worker did to it, and trees compare exactly."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.repos import commit, files_at, git, write
from wfledger.core.changes import Change
from wfledger.vcs import worktree as worktrees
from wfledger.vcs.repo import Repository
from wfledger.vcs.trees import (
    ForbiddenPath,
    Outset,
    Snapshot,
    SnapshotRefused,
    diff,
    path_siblings,
    show_diff,
    snapshot,
)

FILES: dict[str, str | bytes | None] = {
    ".gitignore": "build/\n*.log\n",
    "README.md": "# sample\n",
    "src/app.py": "VALUE = 1\n",
    "src/data.bin": bytes(range(256)),
    "run.sh": "#!/bin/sh\n",
}


class Bench:
    """A repository and a worktree of it that a worker has."""

    def __init__(self, repo: Path, path: Path) -> None:
        self.base = commit(repo, FILES)
        self.root = repo
        self.path = path
        self.repo = Repository.discover(repo)
        worktrees.add(self.repo, path, branch="wf-try/t/1", base=self.base)

    def take(self, *exclude: str, outset: Outset | None = None) -> Snapshot:
        found = self.try_take(*exclude, outset=outset)
        assert isinstance(found, Snapshot)
        return found

    def try_take(self, *exclude: str, outset: Outset | None = None) -> Snapshot | ForbiddenPath:
        outset = Outset.of(self.repo, self.base) if outset is None else outset
        private = self.root.parent / "private"
        private.mkdir(exist_ok=True)
        found = snapshot(self.repo, self.path, index_dir=private, timeout=60,
                         exclude=exclude, outset=outset)  # fmt: skip
        assert list(private.iterdir()) == []
        return found

    def changed(self, *exclude: str) -> dict[str, str]:
        changes = diff(self.repo, self.base, self.take(*exclude).tree)
        return {change.text: change.kind for change in changes}


@pytest.fixture
def bench(repo: Path, tmp_path: Path) -> Bench:
    return Bench(repo, tmp_path / "work")


def _canary(bench: Bench) -> tuple[Path, str]:
    canary = bench.root.parent / "canary"
    return canary, f"touch {canary}; cat"


def test_an_untouched_worktree_is_its_base(bench: Bench) -> None:
    found = bench.take()
    assert found == Snapshot(
        tree=bench.repo.tree_of(bench.base),
        head=bench.base,
        branch="refs/heads/wf-try/t/1",
        pointer=True,
    )


@pytest.mark.requirement("WFL-RESULT-033")
def test_every_kind_of_change_is_seen_and_ignored_files_are_not(bench: Bench) -> None:
    write(bench.path, {
        "README.md": "changed\n", "src/data.bin": b"\0\1", "src/app.py": None,
        "new/deep/file": "1", "build/out": "x", "trace.log": "x",
    })  # fmt: skip
    (bench.path / "run.sh").chmod(0o755)
    assert bench.changed() == {
        "README.md": "modified", "src/data.bin": "modified", "src/app.py": "deleted",
        "new/deep/file": "added", "run.sh": "mode",
    }  # fmt: skip


def test_what_the_worker_staged_or_not_makes_no_difference(bench: Bench) -> None:
    write(bench.path, {"a": "1", "b": "2"})
    git(bench.path, "add", "a")
    write(bench.path, {"a": "other"})
    found = bench.take()
    assert bench.repo.read_blob(found.tree, "a") == b"other"
    assert git(bench.path, "status", "--short") == "AM a\n?? b"


@pytest.mark.requirement("WFL-RESULT-033")
@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_index_flags_hide_nothing(bench: Bench, flag: str) -> None:
    git(bench.path, "update-index", flag, "README.md")
    write(bench.path, {"README.md": "hidden\n"})
    assert git(bench.path, "status", "--short") == ""
    assert bench.changed() == {"README.md": "modified"}


def test_a_tracked_file_that_is_ignored_is_seen(bench: Bench) -> None:
    write(bench.path, {".gitignore": "*.md\nsrc/\n", "README.md": "x\n", "src/app.py": "x\n"})
    assert bench.changed() == {
        ".gitignore": "modified", "README.md": "modified", "src/app.py": "modified",
    }  # fmt: skip


def test_excludes_that_the_worker_edits_hide_nothing(bench: Bench, home: Path) -> None:
    outset = Outset.of(bench.repo, bench.base)
    (bench.root / ".git/info/exclude").write_text("*\n")
    git(bench.root, "config", "core.excludesFile", str(bench.root / ".git/info/exclude"))
    write(home, {".config/git/ignore": "*\n"})
    write(bench.path, {"sneaky": "1"})
    found = diff(bench.repo, bench.base, bench.take(outset=outset).tree)
    assert [change.text for change in found] == ["sneaky"]


def test_what_the_user_ignored_before_stays_ignored(bench: Bench, home: Path) -> None:
    (bench.root / ".git/info/exclude").write_text("/notes")
    write(home, {".config/git/ignore": ".DS_Store\n"})
    write(bench.path, {"notes": "1", "src/.DS_Store": "1"})
    assert bench.changed() == {}


def test_prepared_paths_count_as_they_are_in_the_base(bench: Bench) -> None:
    write(bench.path, {"env/bin/tool": "1", "README.md": "local\n", ".env": "KEY=1\n"})
    (bench.path / "cache").symlink_to("/tmp")
    write(bench.path, {"src/app.py": "VALUE = 2\n"})
    assert bench.changed("env/", "README.md", ".env", "cache") == {"src/app.py": "modified"}


@pytest.mark.requirement("WFL-RESULT-033")
def test_prepared_paths_do_not_count_even_when_the_worker_commits_them(bench: Bench) -> None:
    write(bench.path, {"env/tool": "1", "README.md": "local\n", "mine": "1"})
    head = commit(bench.path, {})
    found = bench.take("env", "README.md")
    assert found.head == head
    assert {c.text: c.kind for c in diff(bench.repo, bench.base, found.tree)} == {"mine": "added"}


def test_pattern_characters_in_prepared_paths_are_literal(bench: Bench) -> None:
    write(bench.path, {"a*": "1", "ab": "1", ":(top)x": "1"})
    assert bench.changed("a*", ":(top)x") == {"ab": "added"}


def test_a_commit_of_the_worker_moves_the_head(bench: Bench) -> None:
    head = commit(bench.path, {"a": "1"})
    write(bench.path, {"b": "2"})
    found = bench.take()
    assert (found.head, found.branch) == (head, "refs/heads/wf-try/t/1")
    assert set(files_at(bench.root, found.tree)) >= {"a", "b"}


def test_a_detached_head_is_told(bench: Bench) -> None:
    git(bench.path, "checkout", "-q", "--detach")
    head = commit(bench.path, {"a": "1"})
    found = bench.take()
    assert (found.head, found.branch) == (head, None)


def test_another_branch_is_told(bench: Bench) -> None:
    git(bench.path, "checkout", "-q", "-b", "elsewhere")
    assert bench.take().branch == "refs/heads/elsewhere"


def test_an_orphan_branch_has_no_head_and_keeps_the_files(bench: Bench) -> None:
    git(bench.path, "checkout", "-q", "--orphan", "empty")
    found = bench.take()
    assert (found.head, found.branch) == (None, "refs/heads/empty")
    assert found.tree == bench.repo.tree_of(bench.base)


def test_a_git_file_that_leads_elsewhere_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bench.root, other)
    git(other, "config", "core.fsmonitor", f"touch {tmp_path / 'canary'}; :")
    (bench.path / ".git").write_text(f"gitdir: {other / '.git'}\n")
    write(bench.path, {"a": "1"})
    found = bench.take()
    assert (found.pointer, found.head) == (False, bench.base)
    assert bench.changed() == {"a": "added"}
    assert not (tmp_path / "canary").exists()


def test_a_repository_in_place_of_the_git_file_is_not_used(bench: Bench, tmp_path: Path) -> None:
    (bench.path / ".git").unlink()
    git(bench.path, "init", "-q")
    git(bench.path, "config", "core.fsmonitor", f"touch {tmp_path / 'canary'}; :")
    (tmp_path / "canary").unlink(missing_ok=True)
    commit(bench.path, {"a": "1"})
    (tmp_path / "canary").unlink(missing_ok=True)
    found = bench.take()
    assert (found.pointer, found.head) == (False, bench.base)
    assert bench.changed() == {"a": "added"}
    assert not (tmp_path / "canary").exists()


def test_a_lost_registration_is_survived_where_the_base_is_known(bench: Bench) -> None:
    write(bench.path, {"a": "1"})
    shutil.rmtree(bench.root / ".git/worktrees")
    found = bench.take()
    assert (found.head, found.branch, found.pointer) == (None, None, False)
    assert bench.changed() == {"a": "added"}
    with pytest.raises(SnapshotRefused) as caught:
        bench.take(outset=Outset())
    assert caught.value.facts["kind"] == "not_registered"


def test_a_deleted_worktree_is_refused(bench: Bench) -> None:
    shutil.rmtree(bench.path)
    with pytest.raises(SnapshotRefused) as caught:
        bench.take()
    assert caught.value.facts["kind"] == "worktree_missing"


def test_a_link_in_place_of_the_worktree_is_refused(bench: Bench) -> None:
    shutil.rmtree(bench.path)
    bench.path.symlink_to(bench.root)
    with pytest.raises(SnapshotRefused) as caught:
        bench.take()
    assert caught.value.facts["kind"] == "worktree_replaced"


@pytest.mark.parametrize("name", [".GIT/config", "git~1/x", "deep/.Git/hooks/x"])
def test_a_name_that_git_refuses_is_a_value(bench: Bench, name: str) -> None:
    write(bench.path, {name: "x"})
    found = bench.try_take()
    assert isinstance(found, ForbiddenPath)
    assert found.path == name


def test_a_repository_without_a_commit_inside_is_a_value(bench: Bench) -> None:
    git(bench.path, "init", "-q", "nested")
    write(bench.path, {"nested/file": "1"})
    found = bench.try_take()
    assert isinstance(found, ForbiddenPath)
    assert found.path == "nested"


def test_a_repository_inside_is_seen_as_a_gitlink(bench: Bench) -> None:
    git(bench.path, "init", "-q", "nested")
    inner = commit(bench.path / "nested", {"f": "1"})
    (change,) = diff(bench.repo, bench.base, bench.take().tree)
    assert change.new is not None
    assert (change.text, change.new.mode, change.new.oid, change.new.size) == (
        "nested", 0o160000, inner, None,
    )  # fmt: skip


def test_a_committed_gitlink_runs_nothing_of_its_repository(bench: Bench) -> None:
    canary, command = _canary(bench)
    nested = bench.path / "nested"
    git(bench.path, "init", "-q", "nested")
    head = commit(nested, {"f": "2"})
    commit(bench.path, {})
    git(nested, "config", "core.fsmonitor", command)
    git(nested, "config", "filter.x.clean", command)
    write(nested, {".gitattributes": "* filter=x\n", "f": "3"})
    (change,) = diff(bench.repo, bench.base, bench.take().tree)
    assert change.new is not None
    assert change.new.oid == head
    assert not canary.exists()


def test_a_submodule_that_was_never_filled_is_unchanged(bench: Bench, tmp_path: Path) -> None:
    git(bench.root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(bench.root),
        "sub")  # fmt: skip
    bench.base = commit(bench.root, {})
    bench.path = tmp_path / "second"
    worktrees.add(bench.repo, bench.path, branch=None, base=bench.base)
    assert bench.changed() == {}
    write(bench.path, {"sub/file": "1"})
    assert bench.changed() == {"sub": "deleted", "sub/file": "added"}
    shutil.rmtree(bench.path / "sub")
    assert bench.changed() == {"sub": "deleted"}


def test_planted_commands_do_not_run(bench: Bench) -> None:
    canary, command = _canary(bench)
    for key in ("core.fsmonitor", "filter.x.clean", "filter.x.smudge", "filter.x.process",
                "diff.x.textconv", "diff.x.command", "diff.external", "core.pager"):  # fmt: skip
        git(bench.root, "config", key, command)
    include = bench.root.parent / "included"
    include.write_text(f'[filter "y"]\n\tclean = {command}\n')
    git(bench.root, "config", "include.path", str(include))
    (bench.root / ".git/info/attributes").write_text("* filter=x diff=x\n")
    canary.unlink(missing_ok=True)
    write(bench.path, {".gitattributes": "*.txt filter=y\n*.md filter=x diff=x\n",
                       "a.txt": "raw\n", "README.md": "raw\n"})  # fmt: skip
    found = bench.take()
    assert bench.repo.read_blob(found.tree, "a.txt") == b"raw\n"
    assert show_diff(bench.repo, bench.base, found.tree, color=False)
    assert not canary.exists()


def test_filters_of_the_users_own_configuration_hold(bench: Bench, tmp_path: Path) -> None:
    git(bench.root, "config", "--global", "filter.up.clean", "tr a-z A-Z")
    git(bench.root, "config", "--global", "filter.up.smudge", "tr A-Z a-z")
    bench.base = commit(bench.root, {".gitattributes": "*.big filter=up\n", "x.big": "hello\n"})
    assert bench.repo.read_blob(bench.base, "x.big") == b"HELLO\n"
    bench.path = tmp_path / "second"
    worktrees.add(bench.repo, bench.path, branch=None, base=bench.base)
    assert (bench.path / "x.big").read_text() == "hello\n"
    assert git(bench.path, "status", "--short") == ""
    assert bench.changed() == {}


def test_line_endings_are_converted_as_the_repository_does(bench: Bench, tmp_path: Path) -> None:
    git(bench.root, "config", "core.autocrlf", "true")
    bench.path = tmp_path / "second"
    worktrees.add(bench.repo, bench.path, branch=None, base=bench.base)
    assert (bench.path / "README.md").read_bytes() == b"# sample\r\n"
    assert git(bench.path, "status", "--short") == ""
    assert bench.changed() == {}


def test_sockets_and_fifos_are_left_out(bench: Bench) -> None:
    os.mkfifo(bench.path / "pipe")
    assert bench.changed() == {}


def test_names_that_are_no_text_are_kept_as_bytes(bench: Bench) -> None:
    Path(os.fsdecode(os.fsencode(bench.path) + b"/\xff\n")).write_bytes(b"1")
    (change,) = diff(bench.repo, bench.base, bench.take().tree)
    assert change.path == b"\xff\n"


def test_links_come_with_their_target_and_types_with_both_sides(bench: Bench) -> None:
    write(bench.path, {"README.md": None, "src/app.py": None, "src/data.bin": None})
    (bench.path / "src").rmdir()
    (bench.path / "src").symlink_to("../elsewhere")
    (bench.path / "README.md").symlink_to("run.sh")
    found = {change.text: change for change in diff(bench.repo, bench.base, bench.take().tree)}
    assert {name: change.kind for name, change in found.items()} == {
        "README.md": "type", "src": "added", "src/app.py": "deleted", "src/data.bin": "deleted",
    }  # fmt: skip
    assert found["src"].target == b"../elsewhere"
    assert found["README.md"].target == b"run.sh"
    assert found["README.md"].old is not None


def test_a_rename_is_a_deletion_and_an_addition(bench: Bench) -> None:
    (bench.path / "src/app.py").rename(bench.path / "moved.py")
    assert bench.changed() == {"src/app.py": "deleted", "moved.py": "added"}


def test_sizes_are_those_of_the_blobs(bench: Bench) -> None:
    write(bench.path, {"src/app.py": "x" * 5000})
    change: Change
    (change,) = diff(bench.repo, bench.base, bench.take().tree)
    assert change.old is not None
    assert change.new is not None
    assert (change.old.size, change.new.size) == (10, 5000)


def test_configuration_that_ignores_case_does_not_hide_twins(bench: Bench) -> None:
    git(bench.root, "config", "core.ignoreCase", "true")
    git(bench.root, "config", "diff.ignoreSubmodules", "all")
    write(bench.path, {"readme.md": "twin\n"})
    assert bench.changed() == {"readme.md": "added"}


def test_folders_are_listed_lazily(bench: Bench) -> None:
    listing = path_siblings(bench.repo, bench.base)
    assert sorted(listing(b"")) == [b".gitignore", b"README.md", b"run.sh", b"src"]
    assert sorted(listing(b"src")) == [b"app.py", b"data.bin"]
    for absent in (b"README.md", b"absent", b"src/app.py/x", b"a" + b"/b" * 3000):
        assert listing(absent) == ()


def test_a_difference_is_shown_for_people(bench: Bench) -> None:
    write(bench.path, {"README.md": "new\n", "src/app.py": "VALUE = 2\n"})
    tree = bench.take().tree
    whole = show_diff(bench.repo, bench.base, tree, color=False)
    assert b"+new" in whole
    assert b"+VALUE = 2" in whole
    part = show_diff(bench.repo, bench.base, tree, color=True, paths=["src"])
    assert b"+new" not in part
    assert b"\x1b[" in part


def test_the_snapshot_leaves_the_worktree_as_it_was(bench: Bench) -> None:
    write(bench.path, {"README.md": "x\n"})
    index = bench.root / ".git/worktrees/work/index"
    before = index.read_bytes()
    bench.take()
    assert index.read_bytes() == before
    assert git(bench.root, "fsck", "--no-dangling") == ""
