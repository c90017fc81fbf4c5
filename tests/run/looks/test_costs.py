"""Which model did what at which cost: in status, list, show, why and on the board (spec 66)."""

from pathlib import Path

import pytest

from tests.support.cli import wf, wf_json
from tests.support.workspaces import RUN, add_run, add_task, make_workspace, start
from wfledger.cli.watch_screen import Ui, draw
from wfledger.core.documents import Confined, Result
from wfledger.core.routes import Rejected, Routed
from wfledger.core.usage import Spent, Usage
from wfledger.run.looks.board import Board
from wfledger.run.looks.costs import as_json, spent_line, tokens
from wfledger.run.money import spending
from wfledger.run.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A run in which two models and a program have worked, and nobody on the last task."""
    made = make_workspace(tmp_path / "repo")
    add_run(made)
    routes = (
        Routed(provider="deepseek", model="v4"), Routed(adapter="codex", provider="zhipu", model="g"), None,
    )  # fmt: skip
    usages = (
        Usage(input=40_000, output=5_000, cost_usd=1.2, requests=3), Usage(output=700), None,
    )  # fmt: skip
    for node, route, usage in zip("abc", routes, usages, strict=True):
        task = add_task(made, node, command=None, prompt="do it", role="coder")
        result = Result(task=task.id, attempt=1, status="succeeded", usage=usage, route=route)
        spending.note(made, task, result)
    add_task(made, "d")
    return made


@pytest.mark.requirement("WFL-MONEY-020")
def test_status_says_what_each_model_used_and_what_is_unknown(workspace: Workspace) -> None:
    found = wf_json(workspace.main, "status")
    (run,) = found["runs"]
    sums = {name: value for name, value in run["usage"].items() if name != "by"}
    assert sums == {
        "attempts": 3, "usd": 1.2, "tokens": 45_700, "steps": 3, "unpriced": 2, "uncounted": 1,
    }
    assert [(one["agent"], one["provider"], one["model"], one["usd"], one["tokens"])
            for one in run["usage"]["by"]] == [
        (None, "deepseek", "v4", 1.2, 45_000), ("codex", "zhipu", "g", None, 700),
        ("coder", None, None, None, None),
    ]  # fmt: skip
    assert found["usage"] == run["usage"]["by"]
    out = wf(workspace.main, "status").out
    assert "used: $1.20 + 2 attempts of unknown cost, more than 46k tokens" in out
    assert "codex (zhipu/g)  1 attempt  cost unknown, 700 tokens" in out


@pytest.mark.requirement("WFL-MONEY-020")
def test_list_show_and_the_board_say_who_was_at_a_task(workspace: Workspace) -> None:
    rows = wf(workspace.main, "list").out.splitlines()
    assert "deepseek/v4, $1.20, 45k tokens" in rows[0]
    listed = wf_json(workspace.main, "list")["tasks"]
    assert [one["usage"] and one["usage"]["who"] for one in listed] == [
        "deepseek/v4", "codex (zhipu/g)", "coder", None,
    ]  # fmt: skip
    assert "used: coder, cost unknown" in wf(workspace.main, "show", f"{RUN}.c").out
    assert wf_json(workspace.main, "show", f"{RUN}.a")["task"]["usage"]["usd"] == 1.2
    screen = "\n".join(
        "".join(text for text, _ in line.pieces)
        for line in draw(Board(workspace).look(), Ui(), width=160, height=40)
    )
    assert "deepseek/v4" in screen
    assert "1 attempt, $1.20, 45k tokens" in screen
    assert "codex (zhipu/g), cost unknown, 700 tokens:" in screen


def test_show_says_by_whose_word_a_model_was_taken_and_why_not_another(workspace: Workspace) -> None:
    route = Routed(
        provider="zhipu", model="g", source="fallback",
        rejected=(Rejected(candidate="x/y", why="provider x: X_KEY is not set here"),),
    )  # fmt: skip
    task = start(workspace, add_task(workspace, "e", command=None, prompt="p").id)
    result = Result(
        task=task.id, attempt=1, status="succeeded", route=route, agent={"adapter": "model"},
        confined=Confined(sandbox="own"),
    )  # fmt: skip
    with workspace.ledger.transaction("test") as changes:
        changes.put_result(result)
    out = wf(workspace.main, "show", f"{RUN}.e").out
    assert "model: zhipu/g, a fallback\n  not x/y: provider x: X_KEY is not set here" in out
    assert "sandbox: none (it could run no commands), " in out


def test_nothing_is_said_of_money_where_no_agent_has_worked(tmp_path: Path) -> None:
    made = make_workspace(tmp_path / "repo")
    add_run(made)
    add_task(made, "a")
    assert wf_json(made.main, "status")["runs"][0]["usage"] is None
    assert "used" not in wf(made.main, "status").out
    assert wf_json(made.main, "list")["tasks"][0]["usage"] is None


@pytest.mark.parametrize(
    ("spent", "line"),
    [
        (Spent(attempts=2, usd=1.5, tokens=900), "$1.50, 900 tokens"),
        (Spent(attempts=2, usd=0.0, tokens=0), "$0.00, 0 tokens"),
        (Spent(attempts=2, unpriced=2, uncounted=2), "cost unknown"),
        (Spent(attempts=2, usd=0.002, tokens=5, unpriced=1), "$0.0020 + 1 attempt of unknown cost, 5 tokens"),
    ],
)
def test_what_is_unknown_is_never_shown_as_nothing(spent: Spent, line: str) -> None:
    assert spent_line(spent) == line


def test_steps_of_which_nobody_knows_are_no_number() -> None:
    assert as_json(Spent(attempts=2, unpriced=2, uncounted=2))["steps"] is None
    assert as_json(Spent(attempts=1))["steps"] == 0


@pytest.mark.parametrize(("count", "text"), [(999, "999"), (1_400, "1k"), (45_700, "46k"), (2_340_000, "2.3M")])
def test_tokens_are_rounded_for_people(count: int, text: str) -> None:
    assert tokens(count) == text
