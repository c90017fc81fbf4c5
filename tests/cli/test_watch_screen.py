"""What `watch` draws, without a terminal."""

from datetime import UTC, datetime
from typing import Any

import pytest

from wfledger.cli.watch_screen import Panel, Ui, cells, cut, draw, matching
from wfledger.cli.watch_terminal import keys_of
from wfledger.core.states import State
from wfledger.core.statuses import Status
from wfledger.run.looks.board import Picture, Row, RunRow, changes
from wfledger.run.pausing import Pause

_NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def row(node: str, **fields: Any) -> Row:
    known = {"status": Status.WAITING, "state": State.QUEUED, "since": "2026-01-05T08:58:00.000Z"}
    return Row(f"r1.{node}", "r1", **{**known, **fields})


def picture(*rows: Row, runs: int = 1, **fields: Any) -> Picture:
    shown = tuple(RunRow(f"r{n}", f"goal {n}", "running", 1, 4) for n in range(1, runs + 1))
    return Picture(_NOW, shown, rows, **fields)


def lines(seen: Picture, ui: Ui | None = None, width: int = 80, height: int = 20) -> list[str]:
    drawn = draw(seen, ui or Ui(), width=width, height=height)
    assert len(drawn) == height
    assert all(cells(line.text) <= width for line in drawn)
    return [line.text.rstrip() for line in drawn]


@pytest.mark.parametrize("width", [20, 33, 80, 200])
@pytest.mark.parametrize("height", [6, 11, 24])
def test_every_line_fits(width: int, height: int) -> None:
    rows = [row(f"näme-{n}-漢字", text="漢字" * 60, worker="someone " * 5) for n in range(40)]
    lines(picture(*rows, runs=9, pause=Pause("paused", "for " * 40, "wfledger resume")), width=width, height=height)
    ui = Ui(panel=Panel("why", ["漢" * 200] * 50), message="said " * 60)
    lines(picture(*rows), ui, width=width, height=height)


def test_chosen_row_stays_in_sight_and_chosen() -> None:
    rows = [row(f"t{n:02d}") for n in range(40)]
    ui = Ui(chosen="r1.t30")
    shown = lines(picture(*rows), ui, height=12)
    assert "> t30" in "\n".join(shown)
    # It moves to another place, and others come before it.
    shown = lines(picture(rows[30], *rows[:30]), ui, height=12)
    assert ui.chosen == "r1.t30"
    assert "> t30" in "\n".join(shown)
    # It is done: the choice falls to one that is there.
    lines(picture(*rows[:5]), ui, height=12)
    assert ui.chosen in {one.task for one in rows[:5]}


def test_row_says_what_for_how_long_and_by_whom() -> None:
    busy = row(
        "a", status=Status.IN_PROGRESS, state=State.MODEL_WAIT, text="asks", worker="w1", quiet_s=5
    )
    text = "\n".join(lines(picture(busy)))
    assert "> a" in text
    for said in ("model_wait", "w1", "2m", "asks; last output 5s ago"):
        assert said in text.replace("120s", "2m")


def test_run_that_nobody_drives_says_so() -> None:
    idle = RunRow("r1", "goal", "running", 0, 3, {"task": 2}, is_idle=True)
    text = "\n".join(lines(Picture(_NOW, (idle,)), width=120))
    assert "nobody works on it: wfledger run r1" in text
    assert "failed: 2 task" in text


def test_words_choose_rows_by_all_that_is_shown() -> None:
    rows = [row("a", text="after b"), row("b", worker="claude"), row("c", state=State.FAILED)]
    assert [one.task for one in matching(rows, "Claude")] == ["r1.b"]
    assert [one.task for one in matching(rows, "failed")] == ["r1.c"]
    assert [one.task for one in matching(rows, "queued after")] == ["r1.a"]
    assert "no task with 'xyz'" in "\n".join(lines(picture(*rows), Ui(words="xyz"), width=90))


def test_panel_scrolls_to_its_end_and_no_further() -> None:
    ui = Ui(panel=Panel("why", [f"line {n}" for n in range(100)], offset=10**9))
    shown = lines(picture(), ui, height=12)
    assert "line 99" in shown
    follows = Ui(panel=Panel("output", [f"line {n}" for n in range(100)], follows=True))
    assert "line 99" in lines(picture(), follows, height=12)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("jq", ["j", "q"]), ("\x1b[A\x1bOB", ["up", "down"]), ("\x1b", ["escape"]),
        ("\x1b[5~x", ["page up", "x"]), ("\x1b[1;5Dj", ["j"]), ("é\r", ["é", "enter"]),
    ],
)  # fmt: skip
def test_keys(text: str, keys: list[str]) -> None:
    assert list(keys_of(text)) == keys


def test_cut_counts_cells() -> None:
    assert cut("漢字漢字", 5) == "漢字…"
    assert cut("abc", 3) == "abc"
    assert cells("e\u0301") == 1


def test_each_change_is_an_event_once() -> None:
    before = picture(row("a"), row("b", quiet_s=1.0))
    after = picture(row("b", quiet_s=9.0), done=frozenset({"r1.a"}))
    (event,) = changes(before, after)
    assert (event["task"], event["state"], event["status"]) == ("r1.a", "completed", "done")
    assert list(changes(after, after)) == []
