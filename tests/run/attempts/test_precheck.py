"""A result that is checked before it is handed in: what is refused can be mended by the same claim."""

import threading
from pathlib import Path

import pytest

from tests.support.driving import Held, submit_tasks, take, writer
from tests.support.repos import files_at, git, write
from tests.support.terminal import Terminal, open_terminal
from wfledger.core.statuses import Status
from wfledger.run.attempts.handing import Foreground
from wfledger.run.attempts.precheck import check
from wfledger.run.attempts.recovery import sweep_worktrees


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


def status(terminal: Terminal, held: Held) -> Status:
    return terminal.workspace.ledger.get(held.task).status


@pytest.mark.long
@pytest.mark.requirement("WFL-MCP-020")
def test_what_is_refused_is_mended_and_handed_in_by_the_same_claim(terminal: Terminal) -> None:
    held = writer(terminal, verify="grep -q 3 src/app.py")
    write(held.folder, {"README.md": "stray\n", "src/app.py": "VALUE = 2\n"})
    refused = terminal.json("wfledger complete --check", env=held.env, status=5)
    codes = [one["code"] for one in refused["reasons"]]
    assert codes == ["out_of_scope", "verification"]  # all at once
    assert refused["reasons"][0]["paths"] == ["README.md"]
    assert (refused["status"], refused["checked"]) == ("in-progress", "failed")
    assert held.folder.is_dir()
    git(held.folder, "checkout", "README.md")
    refused = terminal.json("wfledger complete --check", env=held.env, status=1)
    assert [one["code"] for one in refused["reasons"]] == ["verification"]
    write(held.folder, {"src/app.py": "VALUE = 3\n"})
    done = terminal.json("wfledger complete --check", env=held.env)
    assert (done["status"], done["landing"]) == ("done", "done")
    assert files_at(terminal.root, f"wf/{held.run}")["src/app.py"] == "VALUE = 3"
    assert len(terminal.task(held.task).attempts) == 1


@pytest.mark.long
def test_nothing_done_is_refused_until_it_is_explained(terminal: Terminal) -> None:
    held = writer(terminal)
    refused = terminal.json("wfledger complete --check", env=held.env, status=1)
    assert [one["code"] for one in refused["reasons"]] == ["no_change"]
    said = terminal.root.parent / "envelope.json"
    said.write_text('{"status": "no_change", "summary": "it was so already"}')
    assert terminal.json(f"wfledger complete --check --result {said}", env=held.env)["landing"] == "done"


@pytest.mark.long
def test_check_by_a_zombie_is_refused_and_moves_nothing(terminal: Terminal) -> None:
    held = writer(terminal)
    terminal("wfledger release", env=held.env)
    again = take(terminal, held.task)
    write(held.folder, {"src/app.py": "VALUE = 2\n"})
    refused = terminal.json("wfledger complete --check", env=held.env, status=4)
    assert refused["error"] == "stale"
    assert status(terminal, again) is Status.IN_PROGRESS


@pytest.mark.long
def test_check_is_not_swept_by_who_tidies_up_meanwhile(terminal: Terminal) -> None:
    held = writer(terminal, verify="test -e src/app.py")
    write(held.folder, {"src/app.py": "VALUE = 2\n"})
    swept = []

    def report(text: str) -> None:
        if text == "verify: test -e src/app.py":
            swept.append(sweep_worktrees(terminal.workspace))

    found = check(
        terminal.workspace, held.task, held.token, envelope=None, waiter=Foreground(report)
    )
    assert (swept, found.passed) == ([0], True)


@pytest.mark.long
def test_check_that_is_stopped_is_no_verdict(terminal: Terminal) -> None:
    held = writer(terminal, verify="sleep 60")
    write(held.folder, {"src/app.py": "VALUE = 2\n"})
    stop = threading.Event()

    def report(text: str) -> None:
        if text == "verify: sleep 60":
            stop.set()

    waiter = Foreground(report, stop)
    found = check(terminal.workspace, held.task, held.token, envelope=None, waiter=waiter)
    assert (found.passed, found.stopped, found.refusals) == (False, True, ())
    assert status(terminal, held) is Status.IN_PROGRESS


@pytest.mark.long
def test_outcome_of_a_submitted_task_is_told_without_a_check(terminal: Terminal) -> None:
    run = submit_tasks(terminal, {"id": "one", "command": "true"})
    held = take(terminal, f"{run}.one", worktree=False)
    assert terminal.json("wfledger complete --check", env=held.env)["landing"] == "done"
