"""Refs move together, only from where they were expected, and a lost race changes nothing."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.repos import commit, git
from wfledger.errors import BusyError, GitError
from wfledger.vcs import refs
from wfledger.vcs.refs import RefUpdate
from wfledger.vcs.repo import Repository

A, B = "refs/heads/a", "refs/wfledger/b"


@pytest.fixture
def tips(repo: Path) -> tuple[str, str]:
    """Two commits, old and new."""
    return git(repo, "rev-parse", "HEAD"), commit(repo, {"x": "1"})


def _swap(repo: Path, *updates: RefUpdate) -> bool:
    return refs.swap(Repository.discover(repo), updates, reason="a test")


def test_several_refs_are_created_moved_and_deleted_together(
    repo: Path, tips: tuple[str, str]
) -> None:
    old, new = tips
    assert _swap(repo, RefUpdate(A, old, None), RefUpdate(B, old, None))
    assert _swap(repo, RefUpdate(A, new, old), RefUpdate(B, None, old))
    found = Repository.discover(repo)
    assert (found.tip(A), found.tip(B)) == (new, None)


def test_one_stale_expectation_moves_nothing(repo: Path, tips: tuple[str, str]) -> None:
    old, new = tips
    assert _swap(repo, RefUpdate(A, old, None), RefUpdate(B, new, None))
    assert not _swap(repo, RefUpdate(A, new, old), RefUpdate(B, old, old))
    found = Repository.discover(repo)
    assert (found.tip(A), found.tip(B)) == (old, new)


def test_creating_what_exists_is_a_lost_race(repo: Path, tips: tuple[str, str]) -> None:
    old, new = tips
    assert _swap(repo, RefUpdate(A, old, None))
    assert not _swap(repo, RefUpdate(A, new, None))


@pytest.mark.parametrize("new", [None, "other"])
def test_moving_what_is_gone_is_a_lost_race(
    repo: Path, tips: tuple[str, str], new: str | None
) -> None:
    assert not _swap(repo, RefUpdate(A, new and tips[1], tips[0]))


def test_an_expectation_can_stand_without_a_move(repo: Path, tips: tuple[str, str]) -> None:
    old, _ = tips
    assert _swap(repo, RefUpdate(A, None, None), RefUpdate("refs/heads/main", tips[1], tips[1]))
    assert _swap(repo, RefUpdate(A, old, None))
    assert not _swap(repo, RefUpdate(A, None, None))


def test_exactly_one_of_many_rivals_wins(repo: Path, tips: tuple[str, str]) -> None:
    old, _ = tips
    rivals = [commit(repo, {"x": str(n)}) for n in range(8)]
    assert _swap(repo, RefUpdate(A, old, None))
    barrier, won = threading.Barrier(len(rivals)), []

    def race(new: str) -> None:
        barrier.wait()
        if _swap(repo, RefUpdate(A, new, old), RefUpdate(B, new, None)):
            won.append(new)

    threads = [threading.Thread(target=race, args=(new,)) for new in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Repository.discover(repo)
    assert won == [found.tip(A)] == [found.tip(B)]


@pytest.mark.long
def test_a_stale_lock_is_reported_and_not_taken_for_a_lost_race(
    repo: Path, tips: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refs, "_ROUNDS", 2)
    assert _swap(repo, RefUpdate(A, tips[0], None))
    (repo / f".git/{A}.lock").write_bytes(b"")
    with pytest.raises(BusyError, match="lock"):
        _swap(repo, RefUpdate(A, tips[1], tips[0]))


def _old_lock(repo: Path, ref: str) -> Path:
    lock = repo / f".git/{ref}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_bytes(b"")
    os.utime(lock, (1, 1))
    return lock


@pytest.mark.long
def test_the_lock_of_a_dead_process_is_removed_from_our_refs(
    repo: Path, tips: tuple[str, str]
) -> None:
    lock = _old_lock(repo, B)
    assert _swap(repo, RefUpdate(B, tips[0], None))
    assert not lock.exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["packed-refs.lock", "packed-refs.new"])
def test_what_a_git_that_is_gone_left_of_packed_refs_is_removed(
    repo: Path, tips: tuple[str, str], name: str
) -> None:
    assert _swap(repo, RefUpdate(A, tips[0], None))
    git(repo, "pack-refs", "--all")
    lock = repo / ".git" / name
    lock.write_bytes(b"")
    os.utime(lock, (1, 1))
    assert _swap(repo, RefUpdate(A, None, tips[0]))
    assert not lock.exists()


@pytest.mark.long
@pytest.mark.requirement("WFL-REC-013")
def test_the_lock_on_packed_refs_is_left_while_a_git_lives_that_may_have_made_it(
    repo: Path, tips: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refs, "_ROUNDS", 1)
    assert _swap(repo, RefUpdate(A, tips[0], None))
    git(repo, "pack-refs", "--all")
    with subprocess.Popen(
        ["git", "-C", str(repo), "cat-file", "--batch"], stdin=subprocess.PIPE
    ) as alive:
        lock = repo / ".git/packed-refs.lock"
        lock.write_bytes(b"")
        monkeypatch.setattr("wfledger.vcs.stale.STALE_S", -1.0)
        with pytest.raises(BusyError):
            _swap(repo, RefUpdate(A, None, tips[0]))
        assert lock.exists()
        alive.kill()


@pytest.mark.long
def test_an_old_lock_that_somebody_has_open_is_left(
    repo: Path, tips: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refs, "_ROUNDS", 1)
    with _old_lock(repo, B).open("rb"), pytest.raises(BusyError):
        _swap(repo, RefUpdate(B, tips[0], None))


@pytest.mark.long
def test_an_old_lock_on_the_users_ref_is_left(
    repo: Path, tips: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refs, "_ROUNDS", 1)
    lock = _old_lock(repo, A)
    with pytest.raises(BusyError):
        _swap(repo, RefUpdate(A, tips[0], None))
    assert lock.exists()


@pytest.mark.parametrize(
    "update",
    [
        RefUpdate("refs/heads/x y", "0" * 39 + "1", None),
        RefUpdate("refs/heads/x\ncommit", "0" * 39 + "1", None),
        RefUpdate("HEAD", "0" * 39 + "1", None),
        RefUpdate(A, "main", None),
        RefUpdate(A, "0" * 39 + "1", None),
        RefUpdate("refs/heads/main/below", "0" * 39 + "1", None),
    ],
)
def test_what_is_no_valid_update_is_an_error(repo: Path, update: RefUpdate) -> None:
    with pytest.raises(GitError):
        _swap(repo, update)


def test_a_planted_symbolic_ref_does_not_lead_to_another_branch(
    repo: Path, tips: tuple[str, str]
) -> None:
    old, new = tips
    git(repo, "symbolic-ref", A, "refs/heads/main")
    _swap(repo, RefUpdate(A, old, new))
    assert Repository.discover(repo).tip("refs/heads/main") == new


def test_a_repetition_after_half_a_crash_finishes(repo: Path, tips: tuple[str, str]) -> None:
    old, new = tips
    both = [RefUpdate(A, new, old), RefUpdate(B, new, None)]
    assert _swap(repo, RefUpdate(A, old, None))
    assert _swap(repo, both[0])
    found = Repository.discover(repo)
    assert refs.ensure(found, both, reason="again")
    assert refs.ensure(found, both, reason="and again")
    assert (found.tip(A), found.tip(B)) == (new, new)
    assert not refs.ensure(found, [RefUpdate(A, old, None)], reason="lost")


def test_refs_below_a_prefix_are_listed(repo: Path, tips: tuple[str, str]) -> None:
    old, new = tips
    keep = "refs/wfledger/keep"
    assert _swap(repo, RefUpdate(f"{keep}/t/1", old, None), RefUpdate(f"{keep}/t/2", new, None),
                 RefUpdate("refs/wfledger/keeper", new, None))  # fmt: skip
    found = Repository.discover(repo)
    assert refs.refs_under(found, keep) == {f"{keep}/t/1": old, f"{keep}/t/2": new}
    assert refs.refs_under(found, f"{keep}/") == refs.refs_under(found, keep)
    assert refs.refs_under(found, "refs/absent") == {}


def test_refs_below_a_prefix_are_found_whether_loose_or_packed(
    repo: Path, tips: tuple[str, str]
) -> None:
    old, new = tips
    both, packed, other = "refs/wfledger/hub/a/b", "refs/wfledger/hub/c", "refs/wfledger/hubs"
    assert _swap(repo, *(RefUpdate(ref, old, None) for ref in (both, packed, other)))
    git(repo, "pack-refs", "--all")
    assert _swap(repo, RefUpdate(both, new, old))
    found = Repository.discover(repo)
    (found.common_dir / f"{both}.lock").write_text(old, "ascii")

    assert refs.refs_under(found, "refs/wfledger/hub/") == {both: new, packed: old}
    assert refs.refs_under(found, packed) == {packed: old}
    assert refs.refs_under(found, both) == {both: new}
