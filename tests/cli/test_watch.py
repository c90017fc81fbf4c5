"""`watch` on a terminal: what it shows of a fleet at work, what its keys do, how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import contents, plan, wf, wf_json
from tests.support.screens import OnTerminal
from tests.support.workspaces import add_task, make_workspace, open_workspace, start
from wfledger.core.statuses import Status

#: Runs until it is stopped, or the test's limits end it.
_LONG = "echo it has begun; wfledger heartbeat --state model_wait --note 'asks its model'; sleep 60"
_ASKS = """echo '{"status": "blocked", "open_questions": ["which colour?"]}' > $WFLEDGER_RESULT_FILE"""


@pytest.fixture
def fleet(repo: Path) -> Iterator[Path]:
    """A repository in which `run` works on a task that does not end and one that asks."""
    assert wf(repo, "init").status == 0
    programs = repo.parent / "programs"
    programs.mkdir()
    program = programs / "wfledger"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m wfledger "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    path = plan(repo, {
        "asks": {"command": _ASKS, "write": ["b"]},
        "long": {"command": _LONG, "write": ["a"]},
        "later": {"command": "true", "write": ["c"], "after": ["long"]},
    })  # fmt: skip
    argv = [sys.executable, "-m", "wfledger", "run", "--yes", str(path)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(argv, cwd=repo, env=environment, **quiet) as running:
        yield repo
        running.send_signal(signal.SIGTERM)
        running.wait(60)


@pytest.mark.long
@pytest.mark.requirement("WFL-STATUS-046")
def test_board_shows_a_fleet_and_acts_on_it(fleet: Path) -> None:
    with OnTerminal("watch", cwd=fleet) as board:
        shown = board.until("model_wait", "asks its model", "escalated", "which colour?", "queued")
        assert "0/3" in shown
        assert "after long (in-progress)" in shown
        _choose(board, "long")
        board.press("l")
        board.until("output of", "it has begun")
        board.press("\x1b")
        board.until_gone("it has begun")
        board.press("s")
        board.until("[y/N]")
        board.press("n")
        board.until("nothing is done")
        board.press("s")
        board.until("[y/N]")
        board.press("y")
        board.until("was stopped", "interrupted")
        _choose(board, "asks")
        board.press("a")
        board.until("your answer:")
        board.press("blue\r")
        board.until("has its answer")
        board.press("w")
        board.until("why ", "is waiting")
        board.press("qq")
        assert board.end() == 0
    workspace = open_workspace(fleet)
    (run,) = workspace.ledger.runs()
    stopped = workspace.ledger.get(f"{run.id}.long").task
    assert [one.outcome for one in stopped.attempts] == ["stopped"]
    assert workspace.ledger.get(f"{run.id}.asks").task.answers == ("blue",)


def _choose(board: OnTerminal, node: str) -> None:
    """Choose a task by its words, as people do where there are many."""
    board.press(f"/{node} \r")
    board.until(f"> {node}", "with ")


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """A ledger with thirty waiting tasks, the text of one of which is hostile."""
    workspace = make_workspace(tmp_path)
    for number in range(30):
        needs = () if number else ("\x1b[2Jgone\x07",)
        add_task(workspace, f"t{number:02d}", needs=needs)
    return workspace.main


def test_board_scrolls_and_gives_the_terminal_back(still: Path) -> None:
    with OnTerminal("watch", cwd=still, columns=70, lines=16) as board:
        shown = board.until("> t00", "nobody works on it")
        assert "t20" not in shown
        assert "no worker offers gone" in shown
        board.press("G")
        board.until("> t29")
        assert board.screen.is_alternate
        board.press("\x1b[A")
        board.until("> t28")
        board.press("q")
        assert board.end() == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 0), (signal.SIGHUP, 129)],
)
@pytest.mark.requirement("WFL-STATUS-046")
def test_signal_gives_the_terminal_back(still: Path, number: signal.Signals, status: int) -> None:
    with OnTerminal("watch", cwd=still) as board:
        board.until("> t00")
        board.child.kill(number)
        assert board.end() == status


@pytest.mark.long
def test_board_fits_a_window_that_changes(still: Path) -> None:
    with OnTerminal("watch", cwd=still, columns=120, lines=40) as board:
        board.until("t29")
        board.resize(50, 12)
        shown = board.until("> t00", "of 30")
        assert "t29" not in shown
        board.press("q")
        board.end()


@pytest.mark.long
def test_trouble_of_an_action_is_a_line_and_the_board_goes_on(still: Path) -> None:
    with OnTerminal("watch", cwd=still) as board:
        board.until("> t00")
        board.press("r")
        board.until("not blocked")
        board.press("p")
        board.until("[y/N]")
        board.press("y")
        board.until("PAUSED")
        board.press("p")
        board.until_gone("PAUSED")
        board.press("?")
        board.until("the fleet goes on")
        board.press("\x1bq")
        board.end()
    assert open_workspace(still).config().paused is None


@pytest.mark.long
@pytest.mark.requirement("WFL-STATUS-045")
def test_looking_changes_nothing(still: Path) -> None:
    before = contents(still)
    with OnTerminal("watch", cwd=still) as board:
        board.until("> t00")
        board.press("jjw")
        board.until("why ")
        board.press("qq")
        board.end()
    assert contents(still) == before


def test_watch_without_a_terminal_says_what_to_do_instead(still: Path) -> None:
    done = wf(still, "watch")
    assert done.status == 2
    assert "wfledger logs -f" in done.err


@pytest.mark.long
def test_programs_are_told_of_each_change(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    task = add_task(workspace, "a")
    argv = [sys.executable, "-m", "wfledger", "watch", "--json"]
    with subprocess.Popen(argv, cwd=workspace.main, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        first = [json.loads(watching.stdout.readline()) for _ in range(2)]
        assert [one["event"] for one in first] == ["run", "task"]
        assert (first[1]["task"], first[1]["state"]) == (task.id, "queued")
        start(workspace, task.id)
        states = [first[1]["state"]]
        for line in watching.stdout:
            event = json.loads(line)
            if event["event"] == "task":
                states.append(event["state"])
            if states[-1] == "leased":
                break
        watching.terminate()
    assert states[-1] == "leased"


def test_states_of_tasks_are_in_every_answer(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    task = start(workspace, add_task(workspace, "a").id)
    token = workspace.ledger.layout.token(task.id, 1).read_text()
    heartbeat = ("heartbeat", "a", "--token", token, "--state", "running_tool", "--note", "pytest")
    assert wf(workspace.main, *heartbeat).status == 0
    (working,) = wf_json(workspace.main, "status")["working"]
    assert (working["state"], working["text"], working["attempt"]) == ("running_tool", "pytest", 1)
    (listed,) = wf_json(workspace.main, "list")["tasks"]
    shown = wf_json(workspace.main, "show", "a")["task"]
    why = wf_json(workspace.main, "why", "a")
    assert listed["state"] == shown["state"] == why["state"] == "running_tool"
    assert "pytest" in why["reason"]
    assert workspace.ledger.names(Status.IN_PROGRESS) == [task.id]


@pytest.mark.requirement("WFL-RESULT-064")
def test_state_is_taken_from_the_holder_only(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    start(workspace, add_task(workspace, "a").id)
    said = ("heartbeat", "a", "--token", "wrong", "--state", "running_tool")
    assert wf(workspace.main, *said).status == 4
    (working,) = wf_json(workspace.main, "status")["working"]
    assert working["state"] == "leased"
