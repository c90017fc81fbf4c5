"""Reading the ledger: what is there is found, what is broken is named and stops nobody."""

import json
import os
import threading
from pathlib import Path

import pytest

from tests.support.ledgers import make_ledger, make_task, open_ledger, put, record
from wfledger.core.documents import Result, Run
from wfledger.core.records import canonical
from wfledger.core.statuses import Actor, Status
from wfledger.errors import InvalidDocumentError, LedgerDamagedError, NotFoundError
from wfledger.store.entries import Entry, Unreadable
from wfledger.store.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path)


def _run(run_id: str, **fields: object) -> Run:
    given = {"id": run_id, "seq": 1, "created": "2026-01-05T09:00:00.000Z", "base": "0" * 40}
    return Run(**{**given, "branch": f"refs/heads/wf/{run_id}", "target": "refs/heads/main", **fields})


@pytest.mark.parametrize("status", list(Status))
def test_task_is_found_wherever_it_is(ledger: Ledger, status: Status) -> None:
    put(ledger, status, "r.a")
    assert ledger.get("r.a").status is status
    assert ledger.names(status) == ["r.a"]
    assert [task.id for task in ledger.tasks(status, run="r")] == ["r.a"]
    assert ledger.tasks(status, run="other") == []


@pytest.mark.parametrize("name", ["r.b", "../../etc/passwd", "UPPER", "", "a" * 65, "con", "a/b", "a\0b"])
def test_what_names_no_task_is_not_found(ledger: Ledger, name: str) -> None:
    put(ledger, Status.WAITING, "r.a")
    with pytest.raises(NotFoundError):
        ledger.get(name)
    with pytest.raises(NotFoundError):
        ledger.run(name)


def test_reader_never_misses_a_task_that_moves_in_circles(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.transaction("author") as changes:
        changes.add(make_task("r.a"))
    stop = threading.Event()

    def move() -> None:
        mover, number = open_ledger(tmp_path), 0
        while not stop.is_set():
            number += 1
            with mover.transaction("mover") as changes:
                changes.move("r.a", Status.PENDING, actor=Actor.SCHEDULER, why="", attempt=number)
                changes.move("r.a", Status.WAITING, actor=Actor.SCHEDULER, why="")

    mover = threading.Thread(target=move)
    mover.start()
    try:
        seen = {ledger.get("r.a").status for _ in range(1000)}
    finally:
        stop.set()
        mover.join()
    assert seen <= {Status.WAITING, Status.PENDING}


def test_unreadable_files_are_named_and_keep_nobody_from_the_others(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r.a", "r.z")
    folder = ledger.layout.folder(Status.PENDING)
    (folder / "r.b.json").write_bytes(b"")
    (folder / "r.c.json").write_bytes(canonical(make_task("r.other")))
    (folder / "r.d.json").write_bytes(b"\xef\xbb\xbf{}")
    (folder / "r.e.json").write_bytes(b" " * 300_000)
    (folder / "r.f.json").mkdir()
    (folder / "r.g.json").symlink_to("/etc/passwd")
    (folder / "BAD.json").write_bytes(b"{}")
    os.mkfifo(folder / "r.h.json")
    found = list(ledger.entries(Status.PENDING))
    assert [e.task.id for e in found if isinstance(e, Entry)] == ["r.a", "r.z"]
    assert len([e for e in found if isinstance(e, Unreadable)]) == 8
    assert [task.id for task in ledger.tasks(Status.PENDING)] == ["r.a", "r.z"]
    with pytest.raises(InvalidDocumentError):
        ledger.get("r.c")


def test_ledger_without_a_folder_is_not_opened_and_nothing_is_made(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.layout.folder(Status.PENDING).rmdir()
    (ledger.layout.local / "claims").rmdir()
    with pytest.raises(LedgerDamagedError) as caught:
        open_ledger(tmp_path)
    assert len(caught.value.facts["missing"]) == 2
    assert caught.value.hint == "wfledger doctor --fix"
    assert not ledger.layout.folder(Status.PENDING).exists()


def test_runs_come_oldest_first_without_the_broken_one(ledger: Ledger) -> None:
    with ledger.transaction("author") as changes:
        changes.put_run(_run("b", created="2026-01-01T00:00:00.000Z"), why="submitted")
        changes.put_run(_run("a", created="2026-01-02T00:00:00.000Z"), why="submitted")
    (ledger.layout.root / "runs" / "c.json").write_bytes(b"{")
    assert [run.id for run in ledger.runs()] == ["b", "a"]
    assert ledger.run("a").branch == "refs/heads/wf/a"


def test_result_is_read_back_and_absent_ones_are_none(ledger: Ledger) -> None:
    result = Result(task="r.a", attempt=1, status="succeeded", summary="ü", outputs={"n": 1.5})
    with ledger.transaction("worker") as changes:
        changes.put_result(result)
    assert ledger.result("r.a", 1) == result
    assert ledger.result("r.a", 2) is None


def test_result_larger_than_the_bound_is_refused_before_anything_is_written(ledger: Ledger) -> None:
    result = Result(task="r.a", attempt=1, status="succeeded", outputs={"x": "y" * 2_000_000})
    with pytest.raises(InvalidDocumentError), ledger.transaction("worker") as changes:
        changes.put_result(result)
    assert not (ledger.layout.root / "results" / "r.a" / "1.json").exists()
    assert ledger.marker.get() is None


def test_claim_record_is_read_and_a_garbled_one_still_is_a_claim(ledger: Ledger) -> None:
    ledger.layout.claim("r.a", 1).write_bytes(record("ana").to_bytes())
    ledger.layout.claim("r.a", 2).write_bytes(b"")
    found = ledger.claim_record("r.a", 1)
    assert found is not None
    assert found.worker == "ana"
    assert ledger.claim_record("r.a", 2) is None
    assert [ledger.is_claimed("r.a", number) for number in (1, 2, 3)] == [True, True, False]


def test_entry_shows_document_and_status(ledger: Ledger) -> None:
    put(ledger, Status.DONE, "r.a")
    shown = json.loads(json.dumps(ledger.get("r.a").as_json()))
    assert (shown["status"], shown["id"], shown["schema"]) == ("done", "r.a", "wfledger.task/1")


def test_name_that_is_no_id_is_no_task(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    put(ledger, Status.PENDING, "r.a")
    (ledger.layout.folder(Status.PENDING) / "a\n b.json").write_text("{")
    assert ledger.names(Status.PENDING) == ["r.a"]
