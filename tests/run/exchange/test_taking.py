"""Importing: all or nothing, again and again, and out again as lines."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import kill_at
from tests.support.processes import run_cli
from tests.support.terminal import Terminal, open_terminal
from wfledger.core.documents import TaskSpec
from wfledger.core.records import canonical_json, parse

FLEET = '[role.agent]\nargv = ["true", "{prompt}"]\n'


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path, fleet=FLEET)


def write(terminal: Terminal, *issues: dict[str, Any] | str) -> None:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in issues]
    (terminal.root / "issues.jsonl").write_text("\n".join(lines))


def blocks(*names: str) -> list[dict[str, str]]:
    return [{"depends_on_id": name, "type": "blocks"} for name in names]


FIRST = {"id": "bd-1", "title": "First", "description": "Do it.", "labels": ["x"]}
CLOSED = {"id": "bd-2", "title": "Closed", "status": "closed"}
THIRD = {"id": "BD-3", "title": "Third", "dependencies": blocks("bd-1", "bd-2")}
BUSY = {"id": "bd-4", "title": "Busy", "status": "in_progress"}
IMPORT = "wfledger import beads issues.jsonl"


@pytest.mark.requirement("WFL-IMPORT-004")
@pytest.mark.requirement("WFL-IMPORT-005")
@pytest.mark.requirement("WFL-IMPORT-006")
@pytest.mark.requirement("WFL-IMPORT-007")
def test_tasks_are_taken_over_once_with_their_ids_listed(terminal: Terminal) -> None:
    write(terminal, FIRST, CLOSED, THIRD, BUSY)
    shown = terminal.json(f"{IMPORT} --dry-run")
    assert terminal.json("wfledger status")["counts"]["waiting"] == 0
    taken = terminal.json(f"{IMPORT} --worker agent --write src")
    run = taken["run"]
    assert shown["ids"] == taken["ids"]
    assert taken["ids"] == {
        "bd-1": f"{run}.bd-1", "BD-3": f"{run}.bd-3", "bd-4": f"{run}.bd-4"
    }
    assert taken["skipped"] == [{"id": "bd-2", "status": "closed"}]
    third, busy = terminal.task(f"{run}.bd-3"), terminal.task(f"{run}.bd-4")
    assert third.spec.after == (f"{run}.bd-1",)
    assert (third.spec.role, third.spec.write) == ("agent", ("src",))
    assert (busy.spec.role, busy.spec.manual) == (None, True)
    first = terminal.task(f"{run}.bd-1")
    assert first.imported is not None
    assert first.imported.fields == {"labels": ["x"]}
    again = terminal.json(f"{IMPORT} --worker agent --write src")
    assert (again["added"], again["updated"], len(again["unchanged"])) == ([], [], 3)


@pytest.mark.long
@pytest.mark.requirement("WFL-IMPORT-007")
def test_what_waits_is_brought_up_to_date_and_what_began_is_left(terminal: Terminal) -> None:
    write(terminal, FIRST, CLOSED, THIRD)
    run = terminal.json(IMPORT)["run"]
    assert terminal.task(f"{run}.bd-1").spec.write == ()
    terminal("wfledger tick")
    terminal(f"wfledger claim {run}.bd-1 --worker me")
    other = FIRST | {"description": "Other."}
    write(terminal, other, CLOSED, THIRD | {"title": "3rd"}, {"id": "bd-9"})
    found = terminal.json(IMPORT)
    assert (found["added"], found["updated"]) == ([f"{run}.bd-9"], [f"{run}.bd-3"])
    assert [one["task"] for one in found["kept"]] == [f"{run}.bd-1"]
    assert terminal.task(f"{run}.bd-3").spec.title == "3rd"
    assert terminal.task(f"{run}.bd-1").spec.prompt == "Do it."
    write(terminal, FIRST | {"status": "closed"})
    reasons = {one["id"]: one["reason"] for one in terminal.json(IMPORT)["kept"]}
    assert "closed there" in reasons["bd-1"]
    assert "not there any more" in reasons["BD-3"]


@pytest.mark.requirement("WFL-IMPORT-001")
@pytest.mark.requirement("WFL-IMPORT-002")
def test_with_any_trouble_nothing_is_imported(terminal: Terminal) -> None:
    dangling = {"id": "bd-5", "dependencies": blocks("bd-77")}
    write(terminal, FIRST, "garbage", dangling)
    refused = terminal.json(IMPORT, status=7)
    assert sorted(one["kind"] for one in refused["problems"]) == ["dangling", "unreadable"]
    assert terminal.json("wfledger status")["runs"] == []
    taken = terminal.json(f"{IMPORT} --lenient")
    assert len(taken["added"]) == 2
    assert [one["where"] for one in taken["left_out"]] == ["line 2"]
    huge = {"id": "bd-6", "description": "x" * 300_000}
    ring = [{"id": "r1", "dependencies": blocks("r2")}, {"id": "r2", "dependencies": blocks("r1")}]
    write(terminal, FIRST, FIRST, huge, *ring)
    refused = terminal.json(f"{IMPORT} --lenient", status=7)
    assert sorted(one["kind"] for one in refused["problems"]) == ["cycle", "duplicate", "too_large"]


@pytest.mark.long
@pytest.mark.requirement("WFL-IMPORT-008")
def test_import_that_is_killed_half_way_is_completed_by_the_next(terminal: Terminal) -> None:
    write(terminal, THIRD, FIRST, CLOSED)
    args = ("import", "beads", "issues.jsonl")
    died = run_cli(*args, cwd=terminal.root, env=kill_at("ledger.add.written", 2))
    assert died.status == -9
    taken = terminal.json(IMPORT)
    run = taken["run"]
    assert f"{run}.bd-1" in taken["unchanged"]
    assert {terminal.status(f"{run}.bd-{n}") for n in (1, 3)} == {"waiting"}
    assert terminal.json("wfledger doctor")["ok"]


@pytest.mark.requirement("WFL-IMPORT-020")
@pytest.mark.requirement("WFL-IMPORT-021")
def test_export_says_all_that_the_ledger_does_in_a_stable_order(terminal: Terminal) -> None:
    write(terminal, THIRD, FIRST, CLOSED)
    run = terminal.json(IMPORT)["run"]
    terminal("wfledger add 'By hand' --id one -- true")
    first = terminal("wfledger export --jsonl").out
    lines = [json.loads(line) for line in first.splitlines()]
    assert [line["id"] for line in lines] == [f"{run}.bd-1", f"{run}.bd-3", "main.one"]
    assert {line["status"] for line in lines} == {"waiting"}
    assert lines[0]["imported"]["id"] == "bd-1"
    for line in lines:
        spec = parse(TaskSpec, canonical_json(line["spec"]))
        assert spec == terminal.task(line["id"]).spec
    assert terminal.json("wfledger export --jsonl all.jsonl")["tasks"] == 3
    assert (terminal.root / "all.jsonl").read_text() == first
    terminal("wfledger export --jsonl all.jsonl", status=2)
    terminal(f"wfledger export --jsonl all.jsonl --force --run {run}")
    assert (terminal.root / "all.jsonl").read_text() == "".join(first.splitlines(keepends=True)[:2])


@pytest.mark.requirement("WFL-IMPORT-009")
def test_worker_takes_over_nothing(terminal: Terminal) -> None:
    write(terminal, FIRST)
    held = {"WFLEDGER_TASK": "r1.a", "WFLEDGER_TOKEN": "token"}
    assert "expand" in terminal.json(IMPORT, env=held, status=2)["hint"]
    assert terminal.json("wfledger status")["runs"] == []


def test_any_id_becomes_one_that_is_legal_and_no_other_has(terminal: Terminal) -> None:
    names = ["../x", "A b", "a b", "con", "x.json", "-", "\u0661", "é", "e" * 300, "1", "T1", "t1"]
    write(terminal, *({"id": name} for name in names))
    ids = terminal.json(IMPORT)["ids"]
    assert sorted(ids) == sorted(names)
    assert len(set(ids.values())) == len(names)
    again = terminal.json(IMPORT)
    assert (again["ids"], again["added"]) == (ids, [])
    assert terminal.json("wfledger doctor")["ok"]
