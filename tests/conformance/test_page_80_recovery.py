"""Page 80: a change that dies at any of its points is finished or forgotten by the next holder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.ledgers import make_ledger, make_task, open_ledger, put, record
from wfledger import faults
from wfledger.core.documents import Result
from wfledger.core.statuses import Actor, Status
from wfledger.store.ledger import Ledger
from wfledger.store.transaction import Transaction


class Died(BaseException):
    """The process ends here, as far as the ledger can tell."""


CHANGES: dict[str, Callable[[Transaction], object]] = {
    "add": lambda changes: changes.add(make_task("r1.new")),
    "promote": lambda changes: changes.move(
        "r1.waiting", Status.PENDING, actor=Actor.SCHEDULER, why="test", attempt=1
    ),
    "withdraw": lambda changes: changes.move(
        "r1.pending", Status.WAITING, actor=Actor.SCHEDULER, why="test"
    ),
    "claim": lambda changes: changes.claim("r1.pending", record("ana")),
    "update": lambda changes: changes.update("r1.waiting", why="test", overtaken=3),
    "result": lambda changes: changes.put_result(
        Result(task="r1.pending", attempt=1, status="failed")
    ),
}


def _ledger(folder: Path) -> Ledger:
    ledger = make_ledger(folder)
    put(ledger, Status.WAITING, "r1.waiting")
    put(ledger, Status.PENDING, "r1.pending")
    return ledger


def _points(
    folder: Path, change: Callable[[Transaction], object], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    passed: list[str] = []
    monkeypatch.setattr(faults, "point", passed.append)
    with _ledger(folder).transaction("test") as changes:
        change(changes)
    return passed


def _state(ledger: Ledger) -> dict[str, tuple[str, int]]:
    """Return where each task is, and its seq; a task in two places fails."""
    found: dict[str, tuple[str, int]] = {}
    for status in Status:
        for task in ledger.tasks(status):
            assert task.id not in found
            found[task.id] = (status.value, task.seq)
    return found


@pytest.mark.requirement("WFL-REC-001")
@pytest.mark.requirement("WFL-REC-003")
@pytest.mark.requirement("WFL-REC-004")
@pytest.mark.requirement("WFL-STATUS-002")
@pytest.mark.parametrize("name", CHANGES)
def test_change_that_dies_at_any_point_is_whole_or_gone_and_its_record_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    points = _points(tmp_path / "whole", CHANGES[name], monkeypatch)
    before, after = _state(_ledger(tmp_path / "before")), _state(open_ledger(tmp_path / "whole"))
    seen = set()
    for number in range(len(points)):
        folder = tmp_path / str(number)
        ledger, countdown = _ledger(folder), iter(range(number))

        def die(_: str, countdown: Iterator[int] = countdown) -> None:
            if next(countdown, None) is None:
                raise Died

        monkeypatch.setattr(faults, "point", die)
        with pytest.raises(Died), ledger.transaction("test") as changes:
            CHANGES[name](changes)
        monkeypatch.setattr(faults, "point", lambda _: None)
        again = open_ledger(folder)
        for _ in range(2):
            with again.transaction("next"):
                pass
        assert again.marker.get() is None
        state = _state(again)
        seen.add(str(state))
        assert state in (before, after), points[number]
        told = {r["task"]: (r["to"], r["seq"]) for r in again.journal.records() if "task" in r}
        assert {task: state[task] for task in told} == told, points[number]
        assert state == before or set(told) or name == "claim", points[number]
    assert str(before) in seen
    assert str(after) in seen


@pytest.mark.requirement("WFL-REC-002")
def test_file_that_is_no_task_goes_to_quarantine_with_its_reason(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    path = ledger.layout.root / "pending" / "r1.bad.json"
    path.write_bytes(b"a person's notes")
    with ledger.transaction("doctor") as changes:
        target = changes.quarantine(path, reason="no JSON")
    assert target.read_bytes() == b"a person's notes"
    assert b"no JSON" in Path(f"{target}.reason").read_bytes()
