"""What repositories are accepted, where they are found from, and how objects are read."""

import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.repos import commit, git, make_repo
from wfledger.errors import GitError, RepositoryError
from wfledger.vcs.repo import Identity, Repository

WHEN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def _refusal(path: Path) -> RepositoryError:
    with pytest.raises(RepositoryError) as caught:
        Repository.discover(path)
    return caught.value


def test_a_folder_deep_in_the_checkout_finds_it(repo: Path) -> None:
    found = Repository.discover(repo / "src")
    assert (found.kind, found.workdir, found.common_dir) == ("main", repo, repo / ".git")
    assert found.head_branch() == "refs/heads/main"


def test_a_linked_worktree_finds_the_shared_directory(repo: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    found = Repository.discover(tmp_path / "linked/src")
    assert (found.kind, found.common_dir) == ("linked", repo / ".git")
    assert (found.workdir, found.main_workdir) == (tmp_path / "linked", repo)
    assert found.head_branch() == "refs/heads/side"


def test_the_ledger_s_worktree_stands_for_the_checkout(repo: Path) -> None:
    git(repo, "worktree", "add", "-q", "-b", "wfledger", str(repo / ".wfledger"))
    found = Repository.discover(repo / ".wfledger")
    assert (found.kind, found.workdir) == ("ledger", repo)
    assert found.head_branch() == "refs/heads/main"


def test_opening_by_the_shared_directory_is_the_main_worktree(repo: Path) -> None:
    found = Repository.open(repo / ".git")
    assert (found.kind, found.workdir) == ("main", repo)


def test_a_detached_head_has_no_branch(repo: Path) -> None:
    git(repo, "checkout", "-q", "--detach")
    assert Repository.discover(repo).head_branch() is None


def test_a_shallow_clone_works(repo: Path, tmp_path: Path) -> None:
    commit(repo, {"more": "1\n"})
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", "shallow")
    found = Repository.discover(tmp_path / "shallow")
    tip = found.tip("HEAD")
    assert tip is not None
    assert len(found.log(tip)) == 1
    assert found.is_ancestor(tip, tip)


def test_a_submodule_works(repo: Path, tmp_path: Path) -> None:
    outer = make_repo(tmp_path / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repo), "inner")
    found = Repository.discover(outer / "inner")
    assert (found.kind, found.workdir) == ("submodule", outer / "inner")
    assert found.common_dir == outer / ".git/modules/inner"


def test_no_repository_is_refused(tmp_path: Path) -> None:
    assert _refusal(tmp_path).facts["kind"] == "not_a_repository"
    assert _refusal(tmp_path / "absent").facts["kind"] == "not_a_repository"


def test_a_bare_repository_and_its_worktrees_are_refused(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repo), "bare")
    git(tmp_path / "bare", "worktree", "add", "-q", str(tmp_path / "of-bare"), "main")
    assert _refusal(tmp_path / "bare").facts["kind"] == "bare"
    assert _refusal(tmp_path / "of-bare").facts["kind"] == "bare"


def test_a_repository_without_a_commit_is_refused_with_the_way_out(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "empty")
    refusal = _refusal(tmp_path / "empty")
    assert refusal.facts["kind"] == "no_commits"
    assert "git commit" in (refusal.hint or "")


def test_sha256_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "new")
    assert _refusal(tmp_path / "new").facts["kind"] == "sha256"


def test_reftables_are_refused(repo: Path) -> None:
    git(repo, "config", "core.repositoryFormatVersion", "1")
    git(repo, "config", "extensions.refStorage", "reftable")
    assert _refusal(repo).facts["kind"] == "reftable"


def test_a_partial_clone_is_refused(repo: Path, tmp_path: Path) -> None:
    git(repo, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repo}", "part")
    assert _refusal(tmp_path / "part").facts["kind"] == "partial_clone"


def test_an_extension_that_nobody_knows_is_refused(repo: Path) -> None:
    git(repo, "config", "core.repositoryFormatVersion", "1")
    git(repo, "config", "extensions.futureThing", "true")
    assert _refusal(repo).facts["kind"] == "unsupported"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_another_user_is_refused_until_it_is_declared_safe(repo: Path) -> None:
    for path in (repo, repo / ".git"):
        os.chown(path, 1234, 1234)
    refusal = _refusal(repo)
    assert refusal.facts["kind"] == "not_owned"
    assert "safe.directory" in (refusal.hint or "")
    git(repo, "config", "--global", "--add", "safe.directory", str(repo))
    assert Repository.discover(repo).workdir == repo


def test_an_old_git_is_refused(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wfledger.vcs.proc.git_version", lambda: (2, 34, 1))
    assert _refusal(repo).facts["kind"] == "git_too_old"


def test_identity_is_the_users_with_the_repositorys_before_it(repo: Path) -> None:
    found = Repository.discover(repo)
    assert found.identity() == Identity("Test Author", "author@example.org")
    git(repo, "config", "user.email", "work@example.org")
    assert found.identity() == Identity("Test Author", "work@example.org")


def test_no_identity_is_none(repo: Path, home: Path) -> None:
    (home / ".gitconfig").write_text("")
    assert Repository.discover(repo).identity() is None


def test_reading_the_identity_executes_nothing(repo: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for key in ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand"):
        git(repo, "config", key, f"touch {canary}")
    assert Repository.discover(repo).identity() is not None
    assert not canary.exists()


def test_configuration_keys_are_compared_as_git_does(repo: Path) -> None:
    git(repo, "config", "branch.Feature.remote", "here")
    found = Repository.discover(repo)
    assert found.config_get("Branch.Feature.REMOTE") == "here"
    assert found.config_get("branch.feature.remote") is None
    assert found.config_get("core.absent") is None


def test_refs_and_revisions(repo: Path) -> None:
    found, head = Repository.discover(repo), git(repo, "rev-parse", "HEAD")
    assert found.tip("refs/heads/main") == head
    assert found.tip("refs/heads/absent") is None
    assert found.resolve("main~0") == head
    assert found.resolve("absent") is None
    assert found.tree_of(head) == git(repo, "rev-parse", "HEAD^{tree}")
    assert found.tree_of(found.tree_of(head)) == found.tree_of(head)


def test_an_empty_ref_file_is_an_error_and_not_an_absent_ref(repo: Path) -> None:
    (repo / ".git/refs/heads/torn").write_bytes(b"")
    with pytest.raises(GitError):
        Repository.discover(repo).tip("refs/heads/torn")


@pytest.mark.parametrize("oid", ["", "main", "abc", "f" * 40])
def test_an_unknown_object_is_an_error(repo: Path, oid: str) -> None:
    with pytest.raises(GitError) as caught:
        Repository.discover(repo).tree_of(oid)
    assert caught.value.facts["kind"] == "no_object"


def test_ancestry(repo: Path) -> None:
    old = git(repo, "rev-parse", "HEAD")
    new = commit(repo, {"a": "1"})
    found = Repository.discover(repo)
    assert found.is_ancestor(old, new)
    assert found.is_ancestor(old, old)
    assert not found.is_ancestor(new, old)


def test_a_planted_graft_does_not_change_ancestry(repo: Path) -> None:
    old = git(repo, "rev-parse", "HEAD")
    new = commit(repo, {"a": "1"})
    (repo / ".git/info/grafts").write_text(f"{new}\n")
    git(repo, "replace", old, new, "--force")
    assert Repository.discover(repo).is_ancestor(old, new)


def test_blobs_are_read_by_path(repo: Path) -> None:
    found, head = Repository.discover(repo), git(repo, "rev-parse", "HEAD")
    assert found.read_blob(head, "src/app.py") == b"VALUE = 1\n"
    assert found.read_blob(found.tree_of(head), "src/app.py") == b"VALUE = 1\n"
    for path in ("src", "absent", "src/absent", "README.md/x", ""):
        assert found.read_blob(head, path) is None


def test_a_commit_is_written_without_moving_a_ref(repo: Path) -> None:
    found, head = Repository.discover(repo), git(repo, "rev-parse", "HEAD")
    author, committer = Identity("Zoë", "z@example.org"), Identity("C", "c@example.org")
    message = "Add things\n\nBody: not a trailer\n\nKey: one\nKey: two\nOther: x y\n"
    oid = found.commit_tree(
        found.tree_of(head), [head], message=message, author=author, committer=committer, when=WHEN
    )
    shown = git(repo, "log", "-1", "--format=%an|%ae|%cn|%ct|%P", oid)
    assert shown == f"Zoë|z@example.org|C|{int(WHEN.timestamp())}|{head}"
    info = found.log(oid, since=head)[0]
    assert (info.oid, info.subject, info.author, info.time) == (oid, "Add things", author, WHEN)
    assert info.values("Key") == ("one", "two")
    assert info.trailers == {"Key": "two", "Other": "x y"}
    assert git(repo, "rev-parse", "HEAD") == head


def test_a_paragraph_of_prose_holds_no_trailers(repo: Path) -> None:
    oid = commit(repo, {}, "Subject\n\nNote: this is\nprose that goes on")
    assert Repository.discover(repo).log(oid)[0].pairs == ()


def test_history_is_bounded_and_newest_first(repo: Path) -> None:
    oids = [commit(repo, {"n": str(n)}) for n in range(4)]
    found = Repository.discover(repo)
    assert [info.oid for info in found.log(oids[-1], limit=2)] == [oids[3], oids[2]]
    assert [info.oid for info in found.log(oids[-1], since=oids[1])] == [oids[3], oids[2]]


def test_threads_share_a_repository(repo: Path) -> None:
    found, head = Repository.discover(repo), git(repo, "rev-parse", "HEAD")
    seen: list[bytes | None] = []
    threads = [
        threading.Thread(target=lambda: seen.append(found.read_blob(head, "README.md")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [b"# sample\n"] * 8


def test_a_repository_that_goes_away_is_an_error(repo: Path) -> None:
    found, head = Repository.discover(repo), git(repo, "rev-parse", "HEAD")
    shutil.rmtree(repo / ".git")
    with pytest.raises(GitError):
        found.tree_of(head)
