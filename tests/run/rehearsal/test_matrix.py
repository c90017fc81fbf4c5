"""The failure matrix: a good adapter passes, and each bad habit of an agent is caught."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.rehearsals import agent, allow_unsandboxed
from wfledger.clock import SystemClock
from wfledger.errors import EnvironmentFailedError, InvalidDocumentError, UsageError
from wfledger.run.config.adapters import read_adapter
from wfledger.run.config.settings import Reader
from wfledger.run.rehearsal.cases import CASES
from wfledger.run.rehearsal.matrix import Order, Report, rehearse
from wfledger.run.rehearsal.stage import Cast, as_toml, build

ALL = tuple(case.name for case in CASES)


@pytest.fixture(autouse=True)
def allowed(home: Path) -> None:
    allow_unsandboxed(home)


def _hush(text: str, *, detail: bool) -> None:
    assert text


def _rehearse(definition: dict[str, Any], *cases: str, limit_s: float = 20.0) -> Report:
    adapter = read_adapter(Reader(definition, source="fleet.toml"), "ours")
    order = Order(
        adapter, definition, {"sandbox": "none"}, cases, limit_s, jobs=4, state_home=Path("state")
    )
    return rehearse(order, clock=SystemClock(), say=_hush)


def _found(report: Report) -> dict[str, str]:
    return {one.case.name: one.found for one in report.shown}


@pytest.mark.requirement("WFL-ADAPT-100")
def test_a_good_agent_does_its_task_and_says_that_its_key_is_refused() -> None:
    report = _rehearse(agent(), "edit", "401")
    assert _found(report) == {"edit": "done", "401": "auth"}, report.as_json()
    assert report.ok
    edit = report.shown[0]
    assert (edit.requests, edit.sandbox, report.kept) == (2, "none", None)


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-101")
def test_a_good_agent_passes_in_every_case() -> None:
    report = _rehearse(agent())
    assert [one.case.name for one in report.shown] == list(ALL)
    assert [one.as_json() for one in report.shown if not one.ok] == []


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-102")
@pytest.mark.parametrize(
    ("habit", "cases", "found", "word"),
    [
        ("deaf", ("401",), "no_change", ""),
        ("mute", ("500",), "task", "without saying"),
        ("lazy", ("empty",), "no_change", "never asked"),
        ("stray", ("edit",), "out_of_scope", ""),
        ("careless", ("edit",), "out_of_scope", "key into edit/notes.txt"),
        ("leaky", ("402",), "quota", ""),
        ("forgetful", ("resume",), "no_change", ""),
    ],
)
def test_a_bad_habit_is_caught(
    habit: str, cases: tuple[str, ...], found: str, word: str
) -> None:
    report = _rehearse(agent(habit), *cases)
    (shown,) = report.shown
    assert shown.found == found, shown
    assert word in f"{shown.message} {shown.wrong}"
    assert report.ok is (habit == "leaky")  # what it prints is redacted before it is kept


@pytest.mark.long
def test_an_agent_that_hides_its_failure_ends_at_its_limit() -> None:
    report = _rehearse(agent("patient"), "429", limit_s=2.0)
    assert _found(report) == {"429": "timeout"}
    assert not report.ok


@pytest.mark.long
def test_an_adapter_that_reads_usage_from_nowhere_is_caught() -> None:
    definition = agent()
    definition["usage"] = {"when": {"type": "done"}, "input": "tokens.in"}
    (shown,) = _rehearse(definition, "edit").shown
    assert (shown.found, shown.ok) == ("done", False)
    assert "what it has used" in shown.wrong[0]


def test_what_cannot_be_tried_out_is_said_at_once() -> None:
    absent = agent() | {"argv": ["no-such-agent", "{+server}", "{+model}"], "install": "get it"}
    with pytest.raises(EnvironmentFailedError, match="not installed") as raised:
        _rehearse(absent)
    assert raised.value.hint == "get it"
    alone = {"argv": ["sh", "{prompt}"], "end": {"ok_lines": ["ok"]}}
    with pytest.raises(UsageError, match="cannot be pointed at a server"):
        _rehearse(alone)
    with pytest.raises(UsageError, match="there is no case 418"):
        _rehearse(agent(), "418")


@pytest.mark.long
def test_a_key_that_outlives_an_attempt_is_found(tmp_path: Path) -> None:
    definition = agent()
    stage = build(
        SystemClock(), Cast("ours", definition), (), limit_s=1.0, below=tmp_path
    )
    try:
        (stage.workspace.ledger.layout.local / "logs").mkdir(exist_ok=True)
        (stage.workspace.ledger.layout.local / "logs" / "a.log").write_text("it is KEY-1234")
        assert stage.files_with("KEY-1234") == ("repo/.git/wfledger/logs/a.log",)
    finally:
        stage.remove()
    assert not stage.folder.exists()


@pytest.mark.long
def test_a_role_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    definition = agent()
    adapter = read_adapter(Reader(definition, source="fleet.toml"), "ours")
    order = Order(adapter, definition, {"sandbox": "paper"}, state_home=tmp_path)
    with pytest.raises(InvalidDocumentError, match="paper"):
        rehearse(order, clock=SystemClock(), say=_hush)
    assert list((tmp_path / "wfledger" / "rehearsals").iterdir()) == []


def test_tables_are_written_so_that_they_read_the_same() -> None:
    tables = {"a": {"b c": ["x\ny", 'q"\\', "\x7f\x01é"], "n": 1, "f": 0.05, "yes": True, "in": {}}}
    assert tomllib.loads(as_toml(tables)) == tables
