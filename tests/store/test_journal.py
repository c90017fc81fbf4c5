"""The journal: what was acknowledged is read back, whatever happened to the end of a file."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.faults import Pause, kill_at, trace_to
from wfledger.errors import EnvironmentFailedError, LedgerDamagedError
from wfledger.store import journal
from wfledger.store.journal import Journal
from wfledger.store.locks import Locks


def _journal(folder: Path) -> Journal:
    (folder / "journal").mkdir(exist_ok=True)
    (folder / "locks").mkdir(exist_ok=True)
    return Journal(folder / "journal", Locks(folder / "locks"))


def _said(log: Journal) -> list[int]:
    return [record["n"] for record in log.records()]


def _append_and_sync(folder: Path, first: int, count: int) -> None:
    log = _journal(folder)
    for number in range(first, first + count):
        with log._locks.hold("ledger"):
            mark = log.append({"kind": "test", "n": number})
        log.sync(mark)


def test_records_are_read_back_in_their_order(tmp_path: Path) -> None:
    log = _journal(tmp_path)
    records: list[dict[str, Any]] = [{"n": 1, "text": "ü\n\u2028\r"}, {"n": 2, "deep": {"a": [None]}}]
    for record in records:
        log.append(record)
    assert list(_journal(tmp_path).records()) == records
    assert not log.is_empty()


def test_binary_content_of_a_file_comes_back_exactly() -> None:
    for raw in (b"", b"text\r\n", b"\xff\x00", None):
        record = journal.decode(journal.encode(journal.file_record("a", raw))[:-1])
        assert record is not None
        assert journal.file_bytes(record) == raw


@pytest.mark.requirement("WFL-LEDGER-034")
def test_torn_tail_at_every_byte_costs_only_the_last_record(tmp_path: Path) -> None:
    log = _journal(tmp_path)
    log.append({"n": 1})
    whole = log.active.stat().st_size
    log.append({"n": 2})
    raw = log.active.read_bytes()
    for end in range(whole, len(raw)):
        log.active.write_bytes(raw[:end])
        again = _journal(tmp_path)
        assert _said(again) == [1], end
        assert bool(again.tails()) == (end > whole)


@pytest.mark.requirement("WFL-LEDGER-034")
@pytest.mark.parametrize("rest", [b"0", b"\0" * 40, b"deadbeef {}\n", b'00000000 {"n":9}\n'])
def test_nothing_is_appended_behind_a_torn_tail(tmp_path: Path, rest: bytes) -> None:
    log = _journal(tmp_path)
    log.append({"n": 1})
    with log.active.open("ab") as file:
        file.write(rest)
    again = _journal(tmp_path)
    again.append({"n": 2})
    assert _said(_journal(tmp_path)) == [1, 2]
    assert again.tails()[0].raw == rest


def test_process_that_stayed_notices_a_tail_torn_by_another(tmp_path: Path) -> None:
    log = _journal(tmp_path)
    log.append({"n": 1})
    with log.active.open("ab") as file:
        file.write(b"12345678 {")
    log.append({"n": 2})
    assert _said(log) == [1, 2]


def test_whole_last_line_longer_than_one_look_is_no_torn_tail(tmp_path: Path) -> None:
    log = _journal(tmp_path)
    log.append({"n": 1, "text": "x" * 300_000})
    again = _journal(tmp_path)
    again.append({"n": 2})
    assert again.segments() == []


@pytest.mark.requirement("WFL-LEDGER-035")
def test_damage_before_the_end_stops_the_reader_and_can_be_read_past(tmp_path: Path) -> None:
    log = _journal(tmp_path)
    for number in range(3):
        log.append({"n": number})
    path = log.active
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"1", b"7") + lines[2])
    with pytest.raises(LedgerDamagedError) as caught:
        _said(log)
    assert caught.value.facts["offset"] == len(lines[0])
    records, lost = journal.salvage(path)
    assert [record["n"] for record in records] == [0, 2]
    assert [tail.offset for tail in lost] == [len(lines[0])]


def test_failed_append_leaves_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = _journal(tmp_path)
    log.append({"n": 1})
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        write(descriptor, bytes(data)[:5])
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        log.append({"n": 2})
    monkeypatch.undo()
    log.append({"n": 3})
    assert _said(log) == [1, 3]
    assert log.tails() == []


def test_closed_file_waits_until_it_is_dropped(tmp_path: Path) -> None:
    log = _journal(tmp_path)
    log.append({"n": 1})
    segment = log.rotate()
    log.append({"n": 2})
    assert segment is not None
    assert _said(log) == [1, 2]
    log.drop(segment)
    assert _said(log) == [2]
    assert not log.is_empty()
    last = log.rotate()
    assert last is not None
    log.drop(last)
    assert log.is_empty()


def test_empty_journal_is_not_rotated(tmp_path: Path) -> None:
    log = _journal(tmp_path)
    assert log.is_empty()
    assert log.rotate() is None
    assert log.segments() == []


def test_process_appends_to_the_file_that_another_opened(tmp_path: Path) -> None:
    one, other = _journal(tmp_path), _journal(tmp_path)
    one.append({"n": 1})
    other.append({"n": 2})
    one.rotate()
    other.append({"n": 3})
    one.append({"n": 4})
    assert _said(one) == [1, 2, 3, 4]
    assert len(one.segments()) == 1


def test_journal_folder_that_was_made_anew_is_noticed(tmp_path: Path) -> None:
    log = _journal(tmp_path)
    log.append({"n": 1})
    log.active.unlink()
    other = _journal(tmp_path)
    other.append({"n": 2})
    log.append({"n": 3})
    assert _said(log) == [2, 3]


@pytest.mark.requirement("WFL-LEDGER-033")
def test_number_of_a_file_is_never_used_again(tmp_path: Path) -> None:
    log = _journal(tmp_path)
    seen = []
    for number in range(4):
        log.sync(log.append({"n": number}))
        seen.append(log.active.name)
        segment = log.rotate()
        assert segment is not None
        log.drop(segment)
        for path in (tmp_path / "journal").glob("*.open"):
            path.unlink()  # as if the process had died before it made the successor
        log = _journal(tmp_path)
    assert len(set(seen)) == 4


@pytest.mark.parametrize("point", ["journal.rotate.renamed", "journal.rotate.noted"])
def test_killed_rotation_loses_nothing(tmp_path: Path, point: str) -> None:
    log = _journal(tmp_path)
    log.sync(log.append({"n": 1}))
    assert processes.start(_rotate, tmp_path, env=kill_at(point)).wait() < 0
    log.sync(log.append({"n": 2}))
    assert _said(_journal(tmp_path)) == [1, 2]


def _rotate(folder: Path) -> None:
    _journal(folder).rotate()


# -- durability ----------------------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The descriptors that were synced, in order."""
    calls: list[int] = []
    fdatasync = os.fdatasync

    def count(descriptor: int) -> None:
        calls.append(descriptor)
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", count)
    return calls


@pytest.mark.requirement("WFL-LEDGER-032")
def test_one_sync_serves_everything_before_it(tmp_path: Path, synced: list[int]) -> None:
    log = _journal(tmp_path)
    marks = [log.append({"n": number}) for number in range(5)]
    log.sync(marks[4])
    for mark in marks:
        log.sync(mark)
    assert len(synced) == 1


def test_what_a_rotation_synced_is_not_synced_again(tmp_path: Path, synced: list[int]) -> None:
    log, other = _journal(tmp_path), _journal(tmp_path)
    mark = log.append({"n": 1})
    other.rotate()
    assert len(synced) == 1
    log.sync(mark)
    assert len(synced) == 1


@pytest.mark.requirement("WFL-LEDGER-032")
def test_later_file_is_not_durable_because_an_earlier_one_is(
    tmp_path: Path, synced: list[int]
) -> None:
    log = _journal(tmp_path)
    log.sync(log.append({"n": 1, "text": "x" * 1000}))
    log.rotate()
    count = len(synced)
    log.sync(log.append({"n": 2}))
    assert len(synced) == count + 1


def test_waiting_processes_share_one_sync(tmp_path: Path) -> None:
    _append_and_sync(tmp_path, 0, 1)
    trace = tmp_path / "trace"
    with Pause(tmp_path, "journal.sync.before") as pause:
        first = processes.start(_append_and_sync, tmp_path, 100, 1, env=pause.env)
        pause.wait()
        others = [
            processes.start(_append_and_sync, tmp_path, 200 + number, 1, env=trace_to(trace))
            for number in range(3)
        ]
        _until_appended(tmp_path, 5)
        pause.go()
        for worker in (first, *others):
            worker.result()
    assert sorted(_said(_journal(tmp_path))) == [0, 100, 200, 201, 202]
    assert trace.read_text().split().count("journal.sync.after") == 0


def _until_appended(folder: Path, count: int) -> None:
    while len(_said(_journal(folder))) < count:
        os.sched_yield()


def _failing(_: int) -> None:
    raise OSError(errno.EIO, "broken disk")


@pytest.mark.requirement("WFL-LEDGER-032")
def test_failed_sync_is_never_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, other = _journal(tmp_path), _journal(tmp_path)
    mark, late = log.append({"n": 1}), other.append({"n": 2})
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", _failing)
        with pytest.raises(EnvironmentFailedError, match="broken disk"):
            log.sync(mark)
    for waiting in (log, other, _journal(tmp_path)):
        with pytest.raises(EnvironmentFailedError):
            waiting.sync(mark)
    with pytest.raises(EnvironmentFailedError):
        other.sync(late)
    log.sync(log.append({"n": 3}))
    assert _said(log) == [1, 2, 3]


def test_file_whose_sync_failed_still_reaches_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = _journal(tmp_path)
    mark = log.append({"n": 1})
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", _failing)
        segment = log.rotate()
    assert segment is not None
    with pytest.raises(EnvironmentFailedError):
        log.sync(mark)
    assert _said(log) == [1]
    log.drop(segment)
    assert sorted(path.suffix for path in (tmp_path / "journal").iterdir() if path.suffix) == [".open"]
    log.sync(mark)  # dropped, hence durable in the history


def test_killed_between_append_and_sync_the_record_may_stay_and_is_whole(tmp_path: Path) -> None:
    for point in ("journal.append.before", "journal.append.after", "journal.sync.before"):
        worker = processes.start(_append_and_sync, tmp_path, 1, 1, env=kill_at(point))
        assert worker.wait() < 0
    assert _said(_journal(tmp_path)) == [1, 1]
    assert _journal(tmp_path).tails() == []


@pytest.mark.long
def test_many_processes_lose_no_record(tmp_path: Path) -> None:
    _journal(tmp_path)
    processes.race(_append_and_sync, [(tmp_path, 1000 * n, 300) for n in range(8)])
    assert sorted(_said(_journal(tmp_path))) == [1000 * n + i for n in range(8) for i in range(300)]


