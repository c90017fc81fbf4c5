"""Worktrees are made whole or not at all, adopted when unchanged, and never cost anybody's work."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.repos import commit, files_at, git, write
from wfledger.errors import EnvironmentFailedError
from wfledger.vcs import worktree as worktrees
from wfledger.vcs.registry import expected_pointer
from wfledger.vcs.repo import Repository
from wfledger.vcs.worktree import WorktreeOccupiedError, add, exclude_path, find, listed, remove

BRANCH = "wf-try/t/1"
REF = f"refs/heads/{BRANCH}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state/work"


@pytest.fixture
def base(repo: Path) -> str:
    return git(repo, "rev-parse", "HEAD")


def _add(repo: Path, path: Path, base: str, branch: str | None = BRANCH) -> None:
    add(Repository.discover(repo), path, branch=branch, base=base)


def _refusal(repo: Path, path: Path, base: str, branch: str | None = BRANCH) -> str:
    with pytest.raises(WorktreeOccupiedError) as caught:
        _add(repo, path, base, branch)
    kind = caught.value.facts["kind"]
    assert isinstance(kind, str)
    return kind


def _is_whole(repo: Path, path: Path, base: str) -> bool:
    info = find(Repository.discover(repo), path)
    files = {name: (path / name).read_text().removesuffix("\n") for name in files_at(repo, base)}
    return (
        info is not None
        and (info.head, info.locked, info.prunable) == (base, None, False)
        and files == files_at(repo, base)
        and git(path, "status", "--porcelain", "--ignored") == ""
        and git(repo, "fsck", "--no-dangling") == ""
    )


def test_a_new_worktree_is_on_its_branch_at_the_base(repo: Path, path: Path, base: str) -> None:
    commit(repo, {"later": "1"})
    _add(repo, path, base)
    assert _is_whole(repo, path, base)
    assert git(path, "symbolic-ref", "HEAD") == REF
    assert "[branch" not in (repo / ".git/config").read_text()


def test_no_branch_is_a_detached_head(repo: Path, path: Path, base: str) -> None:
    worktrees.checkout_tree(Repository.discover(repo), base, path)
    assert _is_whole(repo, path, base)
    info = find(Repository.discover(repo), path)
    assert info is not None
    assert info.branch is None


def test_others_are_kept_waiting_for_the_registration_and_not_for_the_files(
    repo: Path, path: Path, base: str
) -> None:
    seen: list[set[str]] = []

    @contextmanager
    def alone() -> Iterator[None]:
        yield
        seen.append({one.name for one in path.iterdir()} if path.exists() else set())

    found = Repository.discover(repo)
    add(found, path, branch=BRANCH, base=base, alone=alone)
    whole = {one.name for one in path.iterdir()}
    assert len(whole) > 1
    remove(found, path, alone=alone)
    assert seen == [{".git"}, whole, set()]


def test_a_worktree_is_found_whatever_git_calls_its_entry(
    repo: Path, path: Path, base: str, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere" / path.name
    _add(repo, path, base)
    _add(repo, other, base, None)
    found = [find(Repository.discover(repo), one) for one in (path, other)]
    assert [one.path for one in found if one] == [path, other]
    assert len({one.entry.name for one in found if one}) == 2


def test_a_full_ref_names_the_same_branch(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base, REF)
    _add(repo, path, base)
    assert _is_whole(repo, path, base)


def test_adding_again_adopts_what_is_unchanged(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base)
    inode = (path / "README.md").stat().st_ino
    _add(repo, path, base)
    assert _is_whole(repo, path, base)
    assert (path / "README.md").stat().st_ino == inode


def _add_in_child(repo: str, path: str, base: str) -> None:
    add(Repository.discover(Path(repo)), Path(path), branch=BRANCH, base=base)


def _remove_in_child(repo: str, path: str) -> None:
    remove(Repository.discover(Path(repo)), Path(path))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("point", ["branch", "registered", "filled"])
def test_a_crash_while_adding_is_made_good(repo: Path, path: Path, base: str, point: str) -> None:
    faults = {"WFLEDGER_FAULTS": f"kill:worktree.add.{point}"}
    worker = processes.start(_add_in_child, str(repo), str(path), base, env=faults)
    assert worker.wait() == -9
    _add(repo, path, base)
    assert _is_whole(repo, path, base)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("point", ["marked", "emptied"])
def test_a_crash_while_removing_is_made_good(repo: Path, path: Path, base: str, point: str) -> None:
    _add(repo, path, base)
    faults = {"WFLEDGER_FAULTS": f"kill:worktree.remove.{point}"}
    worker = processes.start(_remove_in_child, str(repo), str(path), env=faults)
    assert worker.wait() == -9
    remove(Repository.discover(repo), path)
    assert not path.exists()
    assert listed(Repository.discover(repo)) == ()
    _add(repo, path, base)
    assert _is_whole(repo, path, base)


def test_a_checkout_that_git_did_not_finish_is_made_anew(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base)
    entry = repo / ".git/worktrees/work"
    (entry / "locked").write_text("initializing\n")
    (entry / "index").unlink()
    (entry / "index.lock").write_bytes(b"")
    (path / "README.md").write_text("# sam")
    _add(repo, path, base)
    assert _is_whole(repo, path, base)


def test_a_leftover_branch_elsewhere_is_refused(repo: Path, path: Path, base: str) -> None:
    git(repo, "branch", BRANCH, base)
    head = commit(repo, {"x": "1"})
    assert _refusal(repo, path, head) == "branch_moved"
    assert git(repo, "rev-parse", REF) == base


@pytest.mark.parametrize("name", ["new", "README.md"])
def test_a_leftover_with_uncommitted_work_is_refused_and_kept(
    repo: Path, path: Path, base: str, name: str
) -> None:
    _add(repo, path, base)
    write(path, {name: "work\n"})
    assert _refusal(repo, path, base) == "changed"
    assert (path / name).read_text() == "work\n"


def test_a_leftover_with_commits_is_refused(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base)
    commit(path, {"x": "1"})
    assert _refusal(repo, path, base) == "head_moved"


def test_a_leftover_of_another_branch_is_refused(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base)
    assert _refusal(repo, path, base, "wf-try/t/2") == "other_branch"
    assert _refusal(repo, path, base, None) == "other_branch"


def test_a_leftover_whose_git_file_changed_is_refused(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base)
    (path / ".git").write_text("gitdir: /elsewhere\n")
    assert _refusal(repo, path, base) == "changed"


def test_a_foreign_directory_is_refused_and_kept(repo: Path, path: Path, base: str) -> None:
    write(path, {"precious": "1"})
    assert _refusal(repo, path, base) == "path_occupied"
    with pytest.raises(EnvironmentFailedError):
        remove(Repository.discover(repo), path)
    assert (path / "precious").exists()


def test_an_empty_directory_is_used(repo: Path, path: Path, base: str) -> None:
    path.mkdir(parents=True)
    _add(repo, path, base)
    assert _is_whole(repo, path, base)


def test_deleted_files_are_made_anew(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base)
    shutil.rmtree(path)
    _add(repo, path, base)
    assert _is_whole(repo, path, base)


def test_commits_that_only_a_lost_worktree_named_are_not_forgotten(
    repo: Path, path: Path, base: str
) -> None:
    _add(repo, path, base, None)
    commit(path, {"x": "1"})
    shutil.rmtree(path)
    assert _refusal(repo, path, base, None) == "head_moved"


def test_nothing_planted_runs_while_adding(
    repo: Path, path: Path, tmp_path: Path, base: str
) -> None:
    canary = tmp_path / "canary"
    base = commit(repo, {".gitattributes": "* filter=x\n"})
    hooks = repo / ".git/hooks"
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (hooks / name).chmod(0o755)
    git(repo, "config", "core.hooksPath", str(hooks))
    for key in ("core.fsmonitor", "filter.x.smudge", "filter.x.process", "filter.y.smudge"):
        git(repo, "config", key, f"touch {canary}; cat")
    (repo / ".git/info/attributes").write_text("* filter=y\n")
    found = Repository.discover(repo)
    canary.unlink(missing_ok=True)
    add(found, path, branch=BRANCH, base=base)
    remove(found, path)
    assert not canary.exists()


def test_removing_keeps_the_branch_and_can_be_repeated(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base)
    head = commit(path, {"x": "1"})
    found = Repository.discover(repo)
    remove(found, path)
    remove(found, path)
    assert not path.exists()
    assert (listed(found), found.tip(REF)) == ((), head)


@pytest.mark.parametrize("gone", ["files", "entry", "git file", "whole record"])
def test_half_a_worktree_is_removed(repo: Path, path: Path, base: str, gone: str) -> None:
    _add(repo, path, base)
    if gone == "files":
        shutil.rmtree(path)
    elif gone == "git file":
        (path / ".git").unlink()
    else:
        shutil.rmtree(repo / ".git/worktrees/work")
    if gone == "whole record":
        (repo / ".git/worktrees").rmdir()
    remove(Repository.discover(repo), path)
    assert not path.exists()
    assert listed(Repository.discover(repo)) == ()


def test_read_only_folders_are_removed(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base)
    write(path, {"cache/deep/f": "1"})
    for folder in (path / "cache/deep", path / "cache"):
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    remove(Repository.discover(repo), path)
    assert not path.exists()


def test_a_link_in_place_of_the_worktree_is_not_followed(repo: Path, path: Path, base: str) -> None:
    _add(repo, path, base)
    shutil.rmtree(path)
    path.symlink_to(repo)
    remove(Repository.discover(repo), path)
    assert not os.path.lexists(path)
    assert (repo / "README.md").exists()


def test_the_users_checkout_is_never_removed(repo: Path) -> None:
    found = Repository.discover(repo)
    for place in (repo, repo.parent, repo / ".git"):
        with pytest.raises(EnvironmentFailedError):
            remove(found, place)
    assert (repo / "README.md").exists()


def test_worktrees_are_listed_with_their_state(repo: Path, tmp_path: Path, base: str) -> None:
    _add(repo, tmp_path / "a", base)
    _add(repo, tmp_path / "b", base, None)
    git(repo, "worktree", "lock", "--reason", "mine", str(tmp_path / "b"))
    shutil.rmtree(tmp_path / "b")
    facts = [(w.path.name, w.head, w.branch, w.locked, w.prunable)
             for w in listed(Repository.discover(repo))]  # fmt: skip
    assert facts == [("a", base, REF, None, False), ("b", base, None, "mine", True)]


def test_a_torn_record_does_not_stop_the_listing(repo: Path, tmp_path: Path, base: str) -> None:
    _add(repo, tmp_path / "a", base)
    _add(repo, tmp_path / "b", base, "b")
    (repo / ".git/refs/heads/b").write_bytes(b"")
    (repo / ".git/worktrees/odd").mkdir()
    (repo / ".git/worktrees/odd/gitdir").mkdir()
    found = listed(Repository.discover(repo))
    assert [(w.path.name, w.head) for w in found] == [("a", base), ("b", None)]


def test_a_path_is_excluded_once(repo: Path) -> None:
    found = Repository.discover(repo)
    (repo / ".git/info/exclude").write_bytes(b"mine")
    exclude_path(found, "/.wfledger")
    exclude_path(found, "/.wfledger")
    assert (repo / ".git/info/exclude").read_bytes() == b"mine\n/.wfledger\n"
    write(repo, {".wfledger/x": "1"})
    assert git(repo, "status", "--short") == ""


def test_a_path_is_excluded_where_git_made_no_info_folder(repo: Path) -> None:
    shutil.rmtree(repo / ".git/info")
    exclude_path(Repository.discover(repo), "/.wfledger")
    assert (repo / ".git/info/exclude").read_bytes() == b"/.wfledger\n"


def _entry_of(repo: Path) -> Path:
    (entry,) = (repo / ".git/worktrees").iterdir()
    return entry


class TestPointer:
    """Only the very worktree of the ledger is taken for it."""

    @pytest.fixture
    def ledger(self, repo: Path, base: str) -> Path:
        add(Repository.discover(repo), repo / ".wfledger", branch="wfledger", base=base)
        return repo / ".wfledger"

    def test_it_is_recognised(self, repo: Path, ledger: Path) -> None:
        assert expected_pointer(ledger, Repository.discover(repo))
        assert expected_pointer(ledger, Repository.discover(ledger))

    def test_a_relative_pointer_is_recognised(self, repo: Path, ledger: Path) -> None:
        (ledger / ".git").write_text(f"gitdir: ../.git/worktrees/{_entry_of(repo).name}\n")
        (_entry_of(repo) / "gitdir").write_text("../../../.wfledger/.git\n")
        assert expected_pointer(ledger, Repository.discover(repo))

    @pytest.mark.parametrize(
        "damage",
        ["absent", "remade", "directory", "link", "elsewhere", "entry", "branch", "twin", "empty"],
    )
    def test_anything_else_is_not(self, repo: Path, ledger: Path, damage: str) -> None:
        found, pointer = Repository.discover(repo), ledger / ".git"
        entry = _entry_of(repo)
        if damage == "absent":
            shutil.rmtree(ledger)
        elif damage == "remade":
            shutil.rmtree(ledger)
            (ledger / "pending").mkdir(parents=True)
        elif damage == "directory":
            pointer.unlink()
            git(ledger, "init", "-q")
        elif damage == "link":
            pointer.rename(repo / "moved")
            pointer.symlink_to(repo / "moved")
        elif damage == "elsewhere":
            pointer.write_text(f"gitdir: {repo}/.git\n")
        elif damage == "entry":
            shutil.rmtree(entry)
        elif damage == "branch":
            (entry / "HEAD").write_text("ref: refs/heads/main\n")
        elif damage == "twin":
            ledger.rename(repo / "twin")
            ledger.symlink_to(repo / "twin")
        else:
            pointer.write_bytes(b"")
        assert not expected_pointer(ledger, found)
