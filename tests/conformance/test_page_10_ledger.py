"""Page 10 on a ledger's files as any program sees them."""

import json
import os
import re
import zlib
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.ledgers import make_ledger, make_task, open_ledger, put, record
from tests.support.repos import git
from wfledger import errors
from wfledger.core import bounds
from wfledger.core.documents import Result
from wfledger.core.statuses import Actor, Status
from wfledger.run.setup import initialise
from wfledger.store import atomic, journal
from wfledger.store.entries import Entry, Unreadable
from wfledger.store.ledger import Ledger

COLD = [Status.WAITING, Status.DONE, Status.CANCELLED]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path)


def add(ledger: Ledger, *task_ids: str) -> None:
    with ledger.transaction("author") as changes:
        for task_id in task_ids:
            changes.add(make_task(task_id))


def lines(ledger: Ledger) -> list[bytes]:
    return ledger.journal.active.read_bytes().splitlines(keepends=True)


@pytest.mark.requirement("WFL-LEDGER-001")
@pytest.mark.requirement("WFL-LEDGER-013")
def test_ledger_is_a_locked_worktree_of_a_branch_with_no_common_commit(
    repo: Path, clock: FakeClock
) -> None:
    initialise(repo, clock=clock)
    assert git(repo / ".wfledger", "symbolic-ref", "HEAD") == "refs/heads/wfledger"
    listed = git(repo, "worktree", "list", "--porcelain").split("\n\n")
    assert any("/.wfledger\n" in entry and "\nlocked" in entry for entry in listed)
    assert set(git(repo, "rev-list", "main").split()).isdisjoint(
        git(repo, "rev-list", "wfledger").split()
    )
    assert git(repo, "rev-parse", "refs/wfledger/ledger") == git(
        repo, "rev-parse", "refs/heads/wfledger"
    )


@pytest.mark.requirement("WFL-LEDGER-002")
def test_init_changes_nothing_of_the_user(repo: Path, clock: FakeClock) -> None:
    before = git(repo, "for-each-ref", "refs/heads/main"), git(repo, "ls-files", "--stage")
    initialise(repo, clock=clock)
    assert (
        git(repo, "for-each-ref", "refs/heads/main"),
        git(repo, "ls-files", "--stage"),
    ) == before
    assert git(repo, "status", "--porcelain") == ""
    assert not (repo / ".gitignore").exists()


@pytest.mark.requirement("WFL-LEDGER-003")
@pytest.mark.parametrize("status", list(Status), ids=lambda status: status.value)
def test_task_files_lie_where_the_page_says(ledger: Ledger, status: Status) -> None:
    relative = "r1/r1.a.json" if status in COLD else "r1.a.json"
    path = ledger.layout.root / status.value / relative
    put(ledger, status, "r1.a")
    assert path.is_file()
    found = ledger.get("r1.a")
    assert (found.status, found.task.id) == (status, "r1.a")


@pytest.mark.requirement("WFL-LEDGER-004")
@pytest.mark.requirement("WFL-LEDGER-046")
def test_every_folder_is_kept_by_git_and_status_is_clean(repo: Path, clock: FakeClock) -> None:
    created = initialise(repo, clock=clock)
    tracked = set(git(created.root, "ls-files").splitlines())
    assert {f"{status.value}/.keep" for status in Status} <= tracked
    assert {"runs/.keep", "results/.keep", "quarantine/.keep", "ledger.json"} <= tracked
    assert git(created.root, "status", "--porcelain") == ""


@pytest.mark.requirement("WFL-LEDGER-006")
def test_names_without_the_suffix_are_no_tasks(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r1.a")
    for name in (".keep", "r1.b.json.swp", "r1.c", "note.txt"):
        (ledger.layout.root / "pending" / name).write_text("{}")
    assert ledger.names(Status.PENDING) == ["r1.a"]


@pytest.mark.requirement("WFL-LEDGER-012")
def test_opening_creates_no_folder_of_a_ledger(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    (ledger.layout.root / "pending").rmdir()
    with pytest.raises(errors.LedgerDamagedError):
        open_ledger(tmp_path)
    assert not (ledger.layout.root / "pending").exists()


@pytest.mark.requirement("WFL-LEDGER-014")
def test_init_refuses_what_cannot_hold_a_ledger_and_says_why(
    tmp_path: Path, clock: FakeClock
) -> None:
    (tmp_path / "plain").mkdir()
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    git(tmp_path, "init", "--quiet", "empty")
    git(tmp_path, "init", "--quiet", "--object-format=sha256", "sha256")
    for name in ("plain", "bare.git", "empty", "sha256"):
        with pytest.raises(errors.RepositoryError) as refusal:
            initialise(tmp_path / name, clock=clock)
        assert refusal.value.exit_status == 2
        assert refusal.value.message


@pytest.mark.requirement("WFL-LEDGER-020")
def test_failed_write_leaves_the_old_bytes_and_nothing_else(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ledger.layout.root / "ledger.json"
    path.write_bytes(b"old")

    def full(_descriptor: int, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "write_all", full)
    with pytest.raises(OSError, match="space"):
        atomic.replace(path, b"new", tmp=ledger.layout.tmp)
    assert path.read_bytes() == b"old"
    assert list(ledger.layout.tmp.iterdir()) == []


@pytest.mark.requirement("WFL-LEDGER-021")
@pytest.mark.requirement("WFL-CLAIM-003")
def test_move_never_replaces_a_file(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r1.a")
    put(ledger, Status.IN_PROGRESS, "r1.a", attempt=7)
    with pytest.raises(errors.StaleError), ledger.transaction("worker") as changes:
        changes.claim("r1.a", record("ana"))
    assert ledger.load(Status.PENDING, "r1.a").task.attempt == 1
    assert ledger.load(Status.IN_PROGRESS, "r1.a").task.attempt == 7


@pytest.mark.requirement("WFL-LEDGER-022")
@pytest.mark.requirement("WFL-LEDGER-023")
@pytest.mark.requirement("WFL-LEDGER-024")
@pytest.mark.parametrize("kind", ["link", "fifo", "twin", "folder", "huge", "garbage"])
def test_strange_file_is_refused_left_in_place_and_harms_no_other(
    ledger: Ledger, kind: str
) -> None:
    put(ledger, Status.PENDING, "r1.good")
    good, bad = (ledger.layout.task(Status.PENDING, f"r1.{name}") for name in ("good", "bad"))
    {
        "link": lambda: bad.symlink_to(good),
        "fifo": lambda: os.mkfifo(bad),
        "twin": lambda: os.link(_elsewhere(ledger), bad),
        "folder": bad.mkdir,
        "huge": lambda: bad.write_bytes(b" " * (bounds.TASK_BYTES + 1)),
        "garbage": lambda: bad.write_bytes(b"\xff\x00{"),
    }[kind]()
    found = list(ledger.entries(Status.PENDING))
    assert [type(entry) for entry in found] == [Unreadable, Entry]
    assert os.path.lexists(bad)
    with ledger.transaction("worker") as changes:
        assert changes.claim("r1.good", record("ana")).task.id == "r1.good"


def _elsewhere(ledger: Ledger) -> Path:
    path = ledger.layout.local / "elsewhere"
    path.write_bytes(b"{}")
    return path


@pytest.mark.requirement("WFL-LEDGER-026")
def test_lock_that_stands_above_one_that_is_held_is_refused(ledger: Ledger) -> None:
    with (
        ledger.locks.hold("ledger"),
        pytest.raises(RuntimeError, match="lock order"),
        ledger.locks.hold("git"),
    ):
        pass


@pytest.mark.requirement("WFL-LEDGER-028")
def test_lock_files_stay(ledger: Ledger) -> None:
    add(ledger, "r1.a")
    before = (ledger.layout.local / "locks" / "ledger.lock").stat().st_ino
    add(ledger, "r1.b")
    assert (ledger.layout.local / "locks" / "ledger.lock").stat().st_ino == before


@pytest.mark.requirement("WFL-LEDGER-030")
def test_each_change_has_a_record_with_everything_to_redo_it(ledger: Ledger) -> None:
    add(ledger, "r1.a")
    with ledger.transaction("scheduler") as changes:
        changes.move("r1.a", Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1)
        changes.claim("r1.a", record("ana"))
        changes.put_result(Result(task="r1.a", attempt=1, status="succeeded"))
    records = list(ledger.journal.records())
    assert [(r["kind"], r.get("from"), r.get("to")) for r in records] == [
        ("task", None, "waiting"), ("task", "waiting", "pending"),
        ("claim", "pending", "in-progress"), ("file", None, None),
    ]  # fmt: skip
    assert records[1]["content"]["attempt"] == records[1]["attempt"] == 1
    assert records[2]["claim"]["worker"] == "ana"
    assert records[3]["path"] == "results/r1.a/1.json"
    assert all(r["by"] and r["why"] and r["at"].endswith("Z") for r in records)


@pytest.mark.requirement("WFL-LEDGER-031")
def test_record_is_one_line_with_its_checksum(ledger: Ledger) -> None:
    with ledger.transaction("author") as changes:
        changes.add(make_task("r1.a"), why="two\nlines and é")
    (line,) = lines(ledger)
    match = re.fullmatch(rb"([0-9a-f]{8}) (\{.*\})\n", line)
    assert match is not None
    assert int(match[1], 16) == zlib.crc32(match[2])
    assert json.loads(match[2])["why"] == "two\nlines and é"
    assert re.fullmatch(r"[0-9]{8}\.open", ledger.journal.active.name)


@pytest.mark.requirement("WFL-LEDGER-032")
def test_journal_is_durable_to_its_end_when_a_change_is_acknowledged(ledger: Ledger) -> None:
    add(ledger, "r1.a", "r1.b")
    raw = (ledger.layout.journal / "synced").read_bytes()
    number, length = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")
    active = ledger.journal.active
    assert (number, length) == (int(active.stem), active.stat().st_size)


@pytest.mark.requirement("WFL-LEDGER-033")
def test_number_of_a_journal_file_is_not_used_again(ledger: Ledger) -> None:
    seen = set()
    for number in range(3):
        add(ledger, f"r1.t{number}")
        with ledger.locks.hold("ledger"):
            segment = ledger.journal.rotate()
        assert segment is not None
        seen.add(segment.number)
        ledger.journal.drop(segment)
        for left in ledger.layout.journal.glob("*.open"):
            left.unlink()
    assert len(seen) == 3


@pytest.mark.requirement("WFL-LEDGER-034")
@pytest.mark.parametrize("torn", [b"1", b"deadbeef {", b"00000000 {}\n", b"\x00" * 9])
def test_torn_end_of_the_journal_is_passed_over(ledger: Ledger, torn: bytes) -> None:
    add(ledger, "r1.a", "r1.b")
    with ledger.journal.active.open("ab") as file:
        file.write(torn)
    assert [r["task"] for r in ledger.journal.records()] == ["r1.a", "r1.b"]


@pytest.mark.requirement("WFL-LEDGER-035")
def test_unreadable_line_before_a_readable_one_stops_the_reader(ledger: Ledger) -> None:
    add(ledger, "r1.a", "r1.b", "r1.c")
    first, second, third = lines(ledger)
    ledger.journal.active.write_bytes(first + second.replace(b"r1.b", b"r1.x") + third)
    with pytest.raises(errors.LedgerDamagedError):
        journal.read(ledger.journal.active)


@pytest.mark.requirement("WFL-TASK-008")
def test_file_of_another_name_than_its_id_is_refused(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r1.a")
    ledger.layout.task(Status.PENDING, "r1.a").rename(ledger.layout.task(Status.PENDING, "r1.b"))
    with pytest.raises(errors.InvalidDocumentError):
        ledger.get("r1.b")


@pytest.mark.requirement("WFL-TASK-009")
@pytest.mark.parametrize("status", [Status.DONE, Status.CANCELLED, Status.PENDING])
def test_id_of_a_task_is_not_given_to_another(ledger: Ledger, status: Status) -> None:
    put(ledger, status, "r1.a")
    with pytest.raises(errors.TransitionError):
        add(ledger, "r1.a")


@pytest.mark.requirement("WFL-TASK-004")
@pytest.mark.requirement("WFL-TASK-016")
def test_document_beyond_its_bound_is_neither_written_nor_read(ledger: Ledger) -> None:
    add(ledger, "r1.a")
    with pytest.raises(errors.InvalidDocumentError), ledger.transaction("person") as changes:
        changes.update("r1.a", why="edit", answers=("x" * bounds.TASK_BYTES,))
    assert ledger.get("r1.a").task.answers == ()
    with pytest.raises(errors.InvalidDocumentError), ledger.transaction("runtime") as changes:
        changes.put_result(
            Result(task="r1.a", attempt=1, status="failed", summary="x" * bounds.RESULT_BYTES)
        )
    assert ledger.result("r1.a", 1) is None


@pytest.mark.requirement("WFL-TASK-013")
def test_each_change_raises_seq_by_one(ledger: Ledger) -> None:
    add(ledger, "r1.a")
    seen = [ledger.get("r1.a").task.seq]
    with ledger.transaction("scheduler") as changes:
        seen.append(changes.update("r1.a", why="edit", overtaken=1).seq)
        seen.append(
            changes.move(
                "r1.a", Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1
            ).seq
        )
        seen.append(
            changes.move("r1.a", Status.WAITING, actor=Actor.SCHEDULER, why="withdrawn").seq
        )
    assert seen == [1, 2, 3, 4]
