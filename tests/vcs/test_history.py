"""The ledger's history: exact bytes, one line, no index, and it cannot be lost by accident."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.repos import commit, files_at, git, write
from wfledger.errors import GitError, LedgerDamagedError
from wfledger.vcs.history import History
from wfledger.vcs.packs import loose_objects, repack
from wfledger.vcs.repo import Repository
from wfledger.vcs.worktree import WorktreeOccupiedError

WHEN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
BRANCH, PIN = "refs/heads/wfledger", "refs/wfledger/ledger"
FILES = {"ledger.json": b"{}\n", "pending/.keep": b"", "pending/a.json": b"1\r\n"}


@pytest.fixture
def history(repo: Path) -> History:
    found = History(Repository.discover(repo))
    found.create(FILES, message="Begin", when=WHEN)
    return found


def _commit(history: History, message: str = "Change", **changes: bytes | None) -> str:
    named = {name.replace("__", "/"): content for name, content in changes.items()}
    return history.commit(named, message=message, when=WHEN)


def _refs(history: History) -> set[str | None]:
    return {history.repo.tip(BRANCH), history.repo.tip(PIN)}


def test_the_history_begins_as_an_orphan_with_both_refs(repo: Path, history: History) -> None:
    tip = history.tip()
    assert _refs(history) == {tip}
    assert git(repo, "log", "--format=%s|%an|%P", "wfledger") == "Begin|wfledger|"
    assert dict(history.files()).items() >= FILES.items()
    assert b"* -text" in (history.read(".gitattributes") or b"")
    assert git(repo, "status", "--short") == ""


def test_there_is_nothing_to_read_before(repo: Path) -> None:
    found = History(Repository.discover(repo))
    assert (found.tip(), found.read("x"), list(found.files()), found.log()) == (None, None, [], [])
    with pytest.raises(LedgerDamagedError):
        _commit(found, x=b"1")


def test_a_second_beginning_is_refused(history: History) -> None:
    with pytest.raises(GitError) as caught:
        history.create({"other": b""}, message="Again", when=WHEN)
    assert caught.value.facts["kind"] == "exists"
    assert history.read("ledger.json") == b"{}\n"


def test_a_commit_adds_changes_and_deletes_in_any_depth(repo: Path, history: History) -> None:
    old = history.tip()
    new = _commit(history, a__b__c=b"deep", pending__a=None, ledger=b"x")
    assert history.commit(
        {"pending/a.json": None, "a/b/c": None, "done/r/a.json": b"", "absent/x": None},
        message="Move", when=WHEN,
    ) == history.tip()  # fmt: skip
    assert git(repo, "rev-parse", "wfledger~1") == new
    assert git(repo, "rev-parse", "wfledger~2") == old
    paths = [path for path, _ in history.files()]
    assert paths == [".gitattributes", "done/r/a.json", "ledger", "ledger.json", "pending/.keep"]
    assert history.read("a/b/c", new) == b"deep"
    assert dict(history.files("pending", new)) == {"pending/.keep": b"", "pending/a.json": b"1\r\n"}
    assert list(history.files("ledger.json")) == []
    assert list(history.files("absent")) == []
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""


def test_unchanged_folders_are_not_rewritten(history: History) -> None:
    before = loose_objects(history.repo)
    _commit(history, done__x=b"fresh")
    assert loose_objects(history.repo) - before == 4  # blob, folder, root, commit


def test_nothing_to_change_is_no_commit(history: History) -> None:
    tip = history.tip()
    assert history.commit({"ledger.json": b"{}\n", "absent": None}, message="x", when=WHEN) == tip


def test_a_file_becomes_a_folder_and_back(history: History) -> None:
    _commit(history, x=b"file")
    history.commit({"x": None, "x/y": b"1"}, message="m", when=WHEN)
    assert history.read("x/y") == b"1"
    history.commit({"x/y": None, "x": b"again"}, message="m", when=WHEN)
    assert history.read("x") == b"again"


@pytest.mark.parametrize("path", ["", "/x", "a//b", "../x", "a/./b", ".git/config", "a/.GIT/x"])
def test_a_path_out_of_the_ledger_is_refused(history: History, path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        history.commit({path: b"x"}, message="m", when=WHEN)


def test_many_files_are_one_pack(repo: Path, history: History) -> None:
    before = loose_objects(history.repo)
    files = {f"waiting/r/{n}.json": b"x" * n for n in range(300)} | {
        "waiting/r/big": os.urandom(99_999)
    }
    history.commit(files, message="Submit", when=WHEN)
    assert loose_objects(history.repo) - before <= 5
    assert dict(history.files("waiting")) == files
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""


def _commit_in_child(repo: str, name: str) -> str:
    history = History(Repository.discover(Path(repo)))
    for number in range(5):
        history.commit({f"{name}/{number}": name.encode()}, message=name, when=WHEN)
    return name


@pytest.mark.long
def test_rivals_build_upon_each_other(repo: Path, history: History) -> None:
    workers = [processes.start(_commit_in_child, str(repo), f"w{n}") for n in range(3)]
    assert {worker.result() for worker in workers} == {"w0", "w1", "w2"}
    assert len(history.log()) == 16
    assert len(dict(history.files())) == len(FILES) + 1 + 15
    assert _refs(history) == {history.tip()}


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("point", "there"), [("objects", False), ("moved", True)])
def test_a_crash_in_a_commit_leaves_all_or_nothing(
    repo: Path, history: History, point: str, there: bool
) -> None:
    faults = {"WFLEDGER_FAULTS": f"kill:history.commit.{point}"}
    worker = processes.start(_commit_in_child, str(repo), "w", env=faults)
    assert worker.wait() == -9
    assert (history.read("w/0") is not None) == there
    _commit_in_child(str(repo), "w")
    assert history.read("w/4") == b"w"


@pytest.mark.parametrize("behind", [BRANCH, PIN])
def test_a_ref_that_is_behind_or_gone_is_brought_along(
    repo: Path, history: History, behind: str
) -> None:
    old, new = history.tip(), _commit(history, x=b"1")
    assert old is not None
    git(repo, "update-ref", behind, old)
    assert history.tip() == new
    assert _commit(history, x=b"1") == new
    assert _refs(history) == {new}
    git(repo, "update-ref", "-d", behind)
    newer = _commit(history, x=b"2")
    assert _refs(history) == {newer}
    assert history.repo.is_ancestor(new, newer)


def test_a_branch_that_went_another_way_stops_everything(repo: Path, history: History) -> None:
    git(repo, "update-ref", BRANCH, "refs/heads/main")
    with pytest.raises(LedgerDamagedError) as caught:
        _commit(history, x=b"1")
    assert caught.value.facts["kind"] == "history_forked"


def test_commits_are_found_by_the_task_that_a_trailer_names(history: History) -> None:
    message = (
        'Move\n\nWfledger-Move: "r1.build 3 pending in-progress"\nWfledger-Move: "r1.test 1 x"'
    )
    found = _commit(history, message, x=b"1")
    _commit(history, "Talk of r1.build\n\nProse: r1.build", x=b"2")
    assert [info.oid for info in history.log(task="r1.build")] == [found]
    assert [info.oid for info in history.log(task="r1.test")] == [found]
    assert history.log(task="r1.buil") == []
    assert len(history.log(limit=2)) == 2


class TestAttached:
    """The branch as a worktree at .wfledger."""

    @pytest.fixture
    def ledger(self, repo: Path, history: History) -> Path:
        history.attach(repo / ".wfledger")
        return repo / ".wfledger"

    def test_files_are_the_exact_bytes_and_status_is_clean(
        self, repo: Path, history: History
    ) -> None:
        git(repo, "config", "core.autocrlf", "true")
        history.attach(repo / ".wfledger")
        assert (repo / ".wfledger/pending/a.json").read_bytes() == b"1\r\n"
        assert git(repo / ".wfledger", "status", "--short") == ""

    def test_it_is_locked_and_its_branch_cannot_be_deleted(self, repo: Path, ledger: Path) -> None:
        assert "locked the ledger" in git(repo, "worktree", "list", "--porcelain")
        git(repo, "worktree", "prune")
        with pytest.raises(Exception, match="branch"):
            git(repo, "branch", "-D", "wfledger")
        assert git(ledger, "symbolic-ref", "HEAD") == BRANCH

    def test_attaching_again_changes_nothing(self, history: History, ledger: Path) -> None:
        write(ledger, {"pending/b.json": "2"})
        _commit(history, x=b"1")
        history.attach(ledger)
        assert (ledger / "pending/b.json").exists()
        assert not (ledger / "x").exists()

    def test_a_deleted_checkout_is_attached_anew(
        self, repo: Path, history: History, ledger: Path
    ) -> None:
        _commit(history, pending__b=b"1")
        shutil.rmtree(ledger)
        history.attach(ledger)
        assert (ledger / "pending/b").read_bytes() == b"1"
        assert git(ledger, "status", "--short") == ""

    def test_a_directory_that_was_made_in_passing_is_not_taken(
        self, history: History, ledger: Path
    ) -> None:
        shutil.rmtree(ledger)
        write(ledger, {"pending/x": "1"})
        with pytest.raises(WorktreeOccupiedError):
            history.attach(ledger)
        assert (ledger / "pending/x").exists()

    def test_the_index_follows_on_request(self, history: History, ledger: Path) -> None:
        write(ledger, {"pending/b.json": "2\n", "pending/a.json": None})
        history.commit({"pending/b.json": b"2\n", "pending/a.json": None}, message="m", when=WHEN)
        assert git(ledger, "status", "--short") != ""
        assert history.refresh_index(ledger)
        assert git(ledger, "status", "--short") == ""
        write(ledger, {"pending/c.json": "3\n"})
        assert history.refresh_index(ledger)
        assert (ledger / "pending/c.json").read_text() == "3\n"

    def test_an_index_that_somebody_holds_is_left(
        self, repo: Path, history: History, ledger: Path
    ) -> None:
        (entry,) = (repo / ".git/worktrees").iterdir()
        lock = entry / "index.lock"
        lock.write_bytes(b"")
        _commit(history, x=b"1")
        assert not history.refresh_index(ledger)
        assert not history.refresh_index(repo / "elsewhere")

    def test_filters_of_the_shared_configuration_do_not_run(
        self, repo: Path, history: History, ledger: Path, tmp_path: Path
    ) -> None:
        git(repo, "config", "filter.x.clean", f"touch {tmp_path / 'canary'}; cat")
        (repo / ".git/info/attributes").write_text("* filter=x\n")
        write(ledger, {".gitattributes": "* filter=x\n", "pending/a.json": "changed\n"})
        assert history.refresh_index(ledger)
        assert not (tmp_path / "canary").exists()


def test_packing_keeps_what_nothing_reaches(repo: Path, history: History) -> None:
    for number in range(30):
        history.commit({f"f{number}": str(number).encode()}, message="m", when=WHEN)
    lost = git(repo, "hash-object", "-w", "--stdin", stdin=b"nobody names me")
    packed_lost = git(repo, "hash-object", "-w", "--stdin", stdin=b"nor me")
    git(repo, "pack-objects", "-q", ".git/objects/pack/pack", stdin=f"{packed_lost}\n".encode())
    before = loose_objects(history.repo)
    repack(history.repo, timeout=600)
    assert loose_objects(history.repo) < before / 10
    commit(repo, {"more": "1"})
    repack(history.repo, timeout=600)
    for oid in (lost, packed_lost):
        assert git(repo, "cat-file", "-t", oid) == "blob"
    assert history.read("f7") == b"7"
    assert git(repo, "fsck", "--no-dangling") == ""
    assert files_at(repo, "main")["more"] == "1"
