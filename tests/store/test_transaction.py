"""Every arrow by every actor, and what a change leaves in the file and in the journal."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.invariants import check_ledger
from tests.support.ledgers import make_ledger, make_task, put, record
from wfledger.core.documents import Hold, Task
from wfledger.core.records import canonical, canonical_json, parse
from wfledger.core.statuses import TRANSITIONS, Actor, Status
from wfledger.errors import (
    InvalidDocumentError,
    LedgerDamagedError,
    NotFoundError,
    StaleError,
    TransitionError,
)
from wfledger.store import atomic
from wfledger.store.ledger import Ledger
from wfledger.store.transaction import Transaction


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path)


def _last(ledger: Ledger) -> dict[str, Any]:
    return list(ledger.journal.records())[-1]


def test_added_task_waits_and_is_in_the_journal(ledger: Ledger) -> None:
    task = make_task("r.a")
    with ledger.transaction("author") as changes:
        changes.add(task)
    assert ledger.layout.task(Status.WAITING, "r.a").read_bytes() == canonical(task)
    said = _last(ledger)
    assert (said["kind"], said["task"], said["from"], said["to"]) == ("task", "r.a", None, "waiting")
    assert (said["seq"], said["attempt"], said["by"], said["why"]) == (1, 0, "author", "added")
    assert canonical_json(said["content"]) == canonical(task)
    assert said["at"] == "2026-01-05T09:00:00.000Z"
    check_ledger(ledger)


@pytest.mark.parametrize("status", list(Status))
def test_id_that_a_task_has_is_not_given_again(ledger: Ledger, status: Status) -> None:
    put(ledger, status, "r.a")
    with pytest.raises(TransitionError, match="taken"), ledger.transaction("author") as changes:
        changes.add(make_task("r.a"))


@pytest.mark.parametrize("status", Status)
def test_id_of_a_file_that_is_no_task_is_not_given_either(ledger: Ledger, status: Status) -> None:
    path = ledger.layout.task(status, "r.new")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"{")
    with ledger.transaction("test") as changes, pytest.raises(TransitionError, match="taken"):
        changes.add(make_task("r.new"))


@pytest.mark.sampled(6)
@pytest.mark.parametrize("actor", list(Actor))
@pytest.mark.parametrize("source", list(Status))
def test_only_the_arrows_of_the_table_and_their_actors_move_a_task(
    tmp_path: Path, source: Status, actor: Actor
) -> None:
    for target in Status:
        ledger = make_ledger(tmp_path / target.value)
        put(ledger, source, "r.a")
        before = ledger.get("r.a").task
        arrow = TRANSITIONS.get((source, target))
        if arrow is not None and actor in arrow.actors:
            with ledger.transaction("test") as changes:
                moved = changes.move("r.a", target, actor=actor, why="because", overtaken=3)
            assert ledger.get("r.a") .task == moved == before.next(overtaken=3)
            assert ledger.get("r.a").status is target
            said = _last(ledger)
            assert (said["from"], said["to"], said["seq"]) == (source, target, before.seq + 1)
        else:
            with pytest.raises(TransitionError), ledger.transaction("test") as changes:
                changes.move("r.a", target, actor=actor, why="because")
            assert ledger.get("r.a") .task == before
            assert ledger.get("r.a").status is source
            assert list(ledger.journal.records()) == []
        assert ledger.marker.get() is None


def test_task_that_is_not_there_cannot_be_moved(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError), ledger.transaction("test") as changes:
        changes.move("r.a", Status.PENDING, actor=Actor.SCHEDULER, why="")


def test_offer_is_never_rewritten(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r.a")
    path = ledger.layout.task(Status.PENDING, "r.a")
    before = (path.stat().st_ino, path.read_bytes())
    with pytest.raises(TransitionError, match="on offer"), ledger.transaction("test") as changes:
        changes.update("r.a", why="", overtaken=1)
    assert (path.stat().st_ino, path.read_bytes()) == before


def test_promotion_brings_its_number_into_the_folder_with_the_rename(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(ledger, Status.WAITING, "r.a")
    seen: list[int] = []
    move = atomic.move

    def watch(source: Path, target: Path) -> None:
        move(source, target)
        if target.parent.name == "pending":
            seen.append(parse(Task, target.read_bytes()).attempt)

    monkeypatch.setattr(atomic, "move", watch)
    with ledger.transaction("scheduler") as changes:
        changes.move("r.a", Status.PENDING, actor=Actor.SCHEDULER, why="", attempt=1)
    assert seen == [1]


def test_number_that_was_claimed_is_never_offered_again(ledger: Ledger) -> None:
    put(ledger, Status.WAITING, "r.a", attempt=1)
    ledger.layout.claim("r.a", 1).write_bytes(b"")
    with pytest.raises(TransitionError, match="higher"), ledger.transaction("s") as changes:
        changes.move("r.a", Status.PENDING, actor=Actor.SCHEDULER, why="")
    with ledger.transaction("scheduler") as changes:
        changes.move("r.a", Status.PENDING, actor=Actor.SCHEDULER, why="", attempt=2)
    assert ledger.get("r.a").task.attempt == 2


@pytest.mark.parametrize("target", [Status.WAITING, Status.CANCELLED])
def test_withdrawal_that_loses_against_a_claimer_changes_nothing(
    ledger: Ledger, target: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(ledger, Status.PENDING, "r.a")
    claimed = ledger.layout.task(Status.IN_PROGRESS, "r.a")
    move = atomic.move

    def lose(source: Path, goal: Path) -> None:
        source.rename(claimed)
        move(source, goal)

    monkeypatch.setattr(atomic, "move", lose)
    with pytest.raises(StaleError), ledger.transaction("scheduler") as changes:
        changes.move("r.a", target, actor=Actor.SCHEDULER, why="withdrawn")
    assert ledger.get("r.a").status is Status.IN_PROGRESS
    assert ledger.get("r.a").task.seq == 1
    assert list(ledger.journal.records()) == []
    assert ledger.marker.get() is None


def test_task_in_two_folders_is_not_moved_and_not_changed(ledger: Ledger) -> None:
    put(ledger, Status.IN_PROGRESS, "r.a")
    put(ledger, Status.MERGING, "r.a", seq=5)
    with pytest.raises(LedgerDamagedError), ledger.transaction("worker") as changes:
        changes.move("r.a", Status.MERGING, actor=Actor.WORKER, why="")
    assert ledger.get("r.a").task.seq == 1
    assert ledger.marker.get() is None


def test_unknown_fields_outlive_a_change_at_every_depth(ledger: Ledger) -> None:
    raw = json.loads(canonical(make_task("r.a")))
    raw["new"] = {"list": [1, 2.5, None, "ü"], "big": 10**30}
    raw["spec"]["later"] = [{"deep": True}]
    raw["hold"] = {"code": "backoff", "colour": "red"}
    path = ledger.layout.task(Status.WAITING, "r.a")
    path.parent.mkdir()
    path.write_bytes(canonical_json(raw))
    with ledger.transaction("scheduler") as changes:
        changes.move("r.a", Status.PENDING, actor=Actor.SCHEDULER, why="", attempt=1)
        changes.claim("r.a", record("ana"))
        changes.update("r.a", why="", overtaken=2)
    written = ledger.layout.task(Status.IN_PROGRESS, "r.a").read_bytes()
    assert written == canonical_json(raw | {"seq": 3, "attempt": 1, "overtaken": 2})


def test_file_has_exactly_these_bytes(ledger: Ledger) -> None:
    with ledger.transaction("author") as changes:
        hold = Hold(code="paused", reason="ü")
        changes.add(make_task("r.a", hold=hold, spec_sha256="0" * 64))
    assert ledger.layout.task(Status.WAITING, "r.a").read_text() == (
        '{\n  "attempt": 0,\n  "created": "2026-01-05T09:00:00.000Z",\n'
        '  "hold": {\n    "code": "paused",\n    "reason": "ü"\n  },\n'
        '  "id": "r.a",\n  "run": "r",\n  "schema": "wfledger.task/1",\n  "seq": 1,\n'
        '  "spec": {\n    "command": "true",\n    "title": "r.a",\n'
        '    "write": [\n      "src/a"\n    ]\n  },\n'
        f'  "spec_sha256": "{"0" * 64}"\n}}\n'
    )


@pytest.mark.parametrize("status", [Status.WAITING, Status.PENDING])
def test_document_that_would_be_too_large_changes_nothing(ledger: Ledger, status: Status) -> None:
    put(ledger, status, "r.a")
    big = Hold(code="paused", reason="x" * 300_000)
    with pytest.raises(InvalidDocumentError), ledger.transaction("person") as changes:
        changes.move("r.a", Status.CANCELLED, actor=Actor.PERSON, why="", hold=big)
    assert ledger.get("r.a").status is status
    assert ledger.marker.get() is None
    check_ledger(ledger)


def test_changes_before_a_failure_stand_and_are_durable(ledger: Ledger) -> None:
    taken: list[Transaction] = []

    def fail() -> None:
        with ledger.transaction("author") as changes:
            taken.append(changes)
            changes.add(make_task("r.a"))
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert ledger.get("r.a").status is Status.WAITING
    mark = taken[0].mark
    assert mark is not None
    assert ledger.journal._synced() >= (mark.number, mark.end)


def test_change_that_failed_half_way_is_finished_before_the_next_of_its_transaction(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.transaction("author") as changes:
        changes.add(make_task("r.a"))
        append = ledger.journal.append

        def broken(_: dict[str, Any]) -> None:
            raise OSError("no space")

        monkeypatch.setattr(ledger.journal, "append", broken)
        with pytest.raises(OSError, match="no space"):
            changes.move("r.a", Status.PENDING, actor=Actor.SCHEDULER, why="", attempt=1)
        monkeypatch.setattr(ledger.journal, "append", append)
        changes.add(make_task("r.b"))
    said = [(r["task"], r["to"], r["why"]) for r in ledger.journal.records()]
    assert said == [
        ("r.a", "waiting", "added"),
        ("r.a", "pending", "finished after an interruption"),
        ("r.b", "waiting", "added"),
    ]
    check_ledger(ledger)


def test_quarantine_keeps_the_file_says_why_and_takes_it_out_of_the_history(ledger: Ledger) -> None:
    path = ledger.layout.folder(Status.PENDING) / "r.a.json"
    for content in (b"garbage", b"\xff\xfe"):
        path.write_bytes(content)
        with ledger.transaction("doctor") as changes:
            target = changes.quarantine(path, reason="cannot be read", forget=True)
        assert target.read_bytes() == content
        note = json.loads(target.with_name(target.name + ".reason").read_bytes())
        assert note == {"from": "pending/r.a.json", "reason": "cannot be read"}
    assert sorted(p.name for p in (ledger.layout.root / "quarantine").iterdir()) == [
        "pending.r.a.json", "pending.r.a.json.1", "pending.r.a.json.1.reason", "pending.r.a.json.reason",
    ]
    gone = [r["path"] for r in ledger.journal.records() if r["content"] is None]
    assert gone == ["pending/r.a.json"] * 2


def test_hand_edited_file_is_adopted_as_it_is(ledger: Ledger) -> None:
    (ledger.layout.root / "fleet.toml").write_bytes(b"[roles]\n")
    with ledger.transaction("person") as changes:
        changes.adopt_file("fleet.toml", why="edited")
    said = _last(ledger)
    assert (said["kind"], said["path"], said["content"]) == ("file", "fleet.toml", "[roles]\n")


def test_lost_race_for_a_claim_that_was_killed_records_nothing_of_the_winner(
    ledger: Ledger,
) -> None:
    put(ledger, Status.PENDING, "r.a", attempt=1)
    with ledger.transaction("worker") as changes:
        changes.claim("r.a", record("ana"))
    ledger.journal.drop(ledger.journal.rotate() or pytest.fail("nothing was recorded"))
    facts = {"task": "r.a", "source": "pending", "target": "in-progress", "seq": 0}
    ledger.marker.set(**facts, token="0" * 64)  # the digest of somebody else's token
    with ledger.transaction("finder"):
        pass
    assert ledger.marker.get() is None
    assert list(ledger.journal.records()) == []


def test_claim_of_what_is_not_on_offer_begins_nothing(ledger: Ledger) -> None:
    put(ledger, Status.IN_PROGRESS, "r.a", attempt=1)
    with pytest.raises(StaleError), ledger.transaction("worker") as changes:
        changes.claim("r.a", record("ben"))
    assert ledger.marker.get() is None
