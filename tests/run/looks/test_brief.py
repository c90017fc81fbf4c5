"""The brief: bounded whatever the ledger holds, about the claim where there is one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.driving import submit_tasks, take, writer
from tests.support.ledgers import put
from tests.support.terminal import Terminal, open_terminal
from wfledger.core.documents import Attempt, Block, TaskSpec
from wfledger.core.statuses import Status
from wfledger.run.attempts.expanding import expand
from wfledger.run.looks.brief import Holding, brief
from wfledger.run.looks.brieftext import (
    BYTES,
    DOORS,
    ClaimFacts,
    LedgerFacts,
    TaskFacts,
    about_claim,
    about_ledger,
    about_task,
)

TEXTS = ["", "x" * 50_000, "\u20ac" * 20_000, "\x1b]0;x\x07\n" * 9_000, "a\r\nb\n" * 5_000]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


@pytest.mark.requirement("WFL-BRIEF-001")
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("door", DOORS)
def test_words_are_bounded_and_end_with_how_to_go_on(text: str, door: str) -> None:
    many = (text,) * 80
    task = TaskFacts(
        task="r1." + "n" * 60, status="blocked", title=text, work=text, write=many, verify=many,
        inputs={f"{n}{text}": text for n in range(80)}, missing=many, answers=many, attempts=many, children=many,
        why=text, command=text,
    )  # fmt: skip
    mine = ClaimFacts(attempt=100, base="f" * 40, worktree="/tmp/" + "w" * 200, deadline="d" * 24)
    found = LedgerFacts({"waiting": 10_000}, many, many, many, many, 9_999, text, text)
    for made, last in (
        (about_claim(task, mine, door), "alone."),
        (about_task(task, door), f"{DOORS[door]['claim']}."),
        (about_ledger(found, door), "yourself."),
    ):
        assert len(made.encode()) <= BYTES
        assert made.endswith(last)  # no part crowds another out
        assert "\x1b" not in made


@pytest.mark.long
@pytest.mark.requirement("WFL-BRIEF-001")
def test_brief_of_ten_thousand_tasks_is_short(terminal: Terminal) -> None:
    run = submit_tasks(terminal, {"id": "one", "command": "true"})
    ledger = terminal.workspace.ledger
    folder = ledger.layout.root / "waiting" / run
    for number in range(10_000):
        (folder / f"{run}.t{number}.json").touch()
    long = TaskSpec(title="t" * 5_000, prompt="p" * 50_000, write=("src/a",))
    block = Block(code="question", reason="r" * 9_000, command="wfledger answer x TEXT")
    put(ledger, Status.BLOCKED, *(f"{run}.b{n}" for n in range(50)), spec=long, block=block)
    put(ledger, Status.PENDING, *(f"{run}.p{n}" for n in range(50)), spec=long)
    text = terminal("wfledger show --brief").out
    assert len(text.encode()) <= BYTES
    for said in ("10001 waiting", "- and 46 more", "ready to claim", "waiting for a person"):
        assert said in text
    text = terminal(f"wfledger show --brief {run}.b1").out
    assert len(text.encode()) <= BYTES
    assert "to end that: wfledger answer x TEXT" in text


@pytest.mark.long
@pytest.mark.requirement("WFL-BRIEF-002", "WFL-BRIEF-003")
def test_who_holds_a_task_is_told_all_of_it(terminal: Terminal) -> None:
    held = writer(terminal, verify="pytest -q", title="Port it", deliverables=["src/new.py"])
    terminal(f"wfledger fail {held.task} --kind transport --reason busy", env=held.env)
    terminal(f"wfledger retry {held.task}") if terminal.status(held.task) == "blocked" else None
    with terminal.workspace.ledger.transaction("test") as changes:
        ended = Attempt(number=1, worker="w", outcome="transport", message="busy", ended="e")
        changes.update(held.task, why="due", hold=None, answers=("Use two.",), attempts=(ended,))
    again = take(terminal, held.task)
    expand(terminal.workspace, again.task, again.token, [{"id": "more", "command": "true"}])
    by_token = terminal("wfledger show --brief", env=again.env).out
    by_place = terminal("wfledger show --brief", cwd=again.folder).out
    assert by_token == by_place
    for said in (
        "You hold attempt 2 of", str(again.folder), "may write: src", "run: true", "pytest -q",
        "it leaves src/new.py", "1 transport: busy", "Use two.", f"{held.task}.more",
        "wfledger complete --check", "deadline: 20",
    ):  # fmt: skip
        assert said in by_token, said
    assert again.token not in by_token
    assert terminal.json("wfledger show --brief", env=again.env)["about"] == "claim"


@pytest.mark.long
@pytest.mark.parametrize("lose", ["token", "place"])
def test_who_holds_it_no_more_is_told_that_first(terminal: Terminal, lose: str) -> None:
    held = writer(terminal)
    terminal("wfledger release", env=held.env)
    take(terminal, held.task)
    held.folder.mkdir(exist_ok=True)
    ways: dict[str, Callable[[], str]] = {
        "token": lambda: terminal("wfledger show --brief", env=held.env).out,
        "place": lambda: brief(
            terminal.workspace, holding=Holding(held.task, attempt=1)
        ).text,
    }  # fmt: skip
    assert ways[lose]().startswith("Your claim is over: attempt 1 of")


def test_brief_needs_no_id_and_show_does(terminal: Terminal) -> None:
    found = terminal.json("wfledger show --brief")
    assert (found["about"], found["task"]) == ("ledger", None)
    assert "tasks: none" in found["text"]
    assert "which task?" in terminal("wfledger show", status=2).err
