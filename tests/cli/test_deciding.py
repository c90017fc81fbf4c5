"""stop, cancel, retry: people end what runs, give up what is open, and let go on what is blocked."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.processes import Cli
from tests.support.repos import git, write
from tests.support.terminal import Terminal, open_terminal
from tests.support.workspaces import open_workspace
from wfledger.core.policy import Policy
from wfledger.core.statuses import Status
from wfledger.run.ticking import tick_once


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


class Barrier:
    """A named pipe by which a worker says that it works."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "barrier"
        os.mkfifo(self._path)
        #: Says so, then works on for as long as nobody ends it.
        self.command = f"echo half > src/app.py; echo here > {self._path}; sleep 600"

    def wait(self) -> None:
        """Return when the worker works."""
        with self._path.open() as end:
            assert end.read() == "here\n"


@contextmanager
def running(terminal: Terminal, *lines: str) -> Iterator[list[Cli]]:
    """Type *lines* in another process; what it came to is in the list at the end."""
    found: list[Cli] = []

    def work() -> None:
        for line in lines:
            found.append(terminal.shell(f"{line}; echo status $?"))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield found
    finally:
        thread.join(60)
        assert not thread.is_alive()


def said_status(done: Cli) -> int:
    return int(done.out.splitlines()[-1].removeprefix("status "))


def detached(terminal: Terminal, *tasks: dict[str, object]) -> str:
    run = terminal.json(f"wfledger run --yes --detach {terminal.plan(*tasks)}")["run"]
    assert isinstance(run, str)
    return run


@pytest.mark.long
def test_stop_ends_an_attempt_that_another_process_runs(terminal: Terminal, tmp_path: Path) -> None:
    barrier = Barrier(tmp_path)
    run = detached(terminal, {"id": "one", "command": barrier.command, "write": ["src"]})
    with running(terminal, f"wfledger run {run}") as ended:
        barrier.wait()
        terminal(f"wfledger stop {run}.one --reason 'wrong way'")
    assert said_status(ended[0]) == 10
    task = terminal.task(f"{run}.one")
    assert terminal.status(task.id) == "blocked"
    assert task.block is not None
    assert (task.block.code, task.attempts[0].outcome) == ("stopped", "stopped")
    assert "wrong way" in task.block.reason
    assert task.attempts[0].kept == git(terminal.root, "rev-parse", f"refs/wfledger/keep/{task.id}/1")
    assert "half" in terminal(f"wfledger diff {task.id}").out


@pytest.mark.long
def test_stopped_run_starts_nothing_more_until_it_is_run_again(
    terminal: Terminal, tmp_path: Path
) -> None:
    barrier = Barrier(tmp_path)
    run = detached(
        terminal,
        {"id": "one", "command": barrier.command, "write": ["src"]},
        {"id": "two", "command": "echo 2 > src/app.py", "write": ["src"]},
        {"id": "three", "command": "echo 3 > src/app.py", "write": ["src"], "after": ["two"]},
    )
    with running(terminal, f"wfledger run {run} --workers 1") as ended:
        barrier.wait()
        assert terminal.json(f"wfledger stop {run}")["stopped"] == [f"{run}.one"]
    assert said_status(ended[0]) == 10
    assert terminal.status(f"{run}.two") == "waiting"
    terminal("wfledger tick")
    terminal("wfledger claim", status=3)
    terminal(f"wfledger cancel {run}.one")
    terminal(f"wfledger run {run}", status=9)
    assert terminal.status(f"{run}.three") == "done"


def test_offers_of_a_stopped_run_are_taken_back_at_once(terminal: Terminal) -> None:
    run = detached(terminal, {"id": "one", "command": "true"}, {"id": "two", "command": "true"})
    terminal("wfledger tick")
    assert terminal.status(f"{run}.one") == "pending"
    terminal(f"wfledger stop {run}")
    assert terminal.status(f"{run}.one") == "waiting"
    terminal("wfledger claim", status=3)
    terminal(f"wfledger run {run}")
    assert terminal.status(f"{run}.two") == "done"


def test_accepted_result_in_a_stopped_run_holds_nobody_up(terminal: Terminal) -> None:
    run = terminal.run({"id": "one", "command": "echo 1 > x", "write": ["src"]}, status=10)
    terminal(f"wfledger widen {run}.one x")
    terminal(f"wfledger stop {run}")
    terminal("wfledger tick")
    assert terminal.status(f"{run}.one") == "waiting"
    terminal(f"wfledger run {run}")
    assert terminal.status(f"{run}.one") == "done"


def test_stop_leaves_a_run_that_is_over_as_it_is(terminal: Terminal) -> None:
    run = terminal.run({"id": "one", "command": "true"})
    terminal(f"wfledger land {run} --yes")
    terminal(f"wfledger stop {run}")
    assert terminal.workspace.ledger.run(run).state == "landed"


def test_stop_of_what_does_not_run_is_refused(terminal: Terminal) -> None:
    run = terminal.run({"id": "one", "command": "true"})
    terminal(f"wfledger stop {run}.one", status=4)


@pytest.mark.long
def test_cancel_gives_up_a_task_wherever_it_is(terminal: Terminal) -> None:
    run = detached(
        terminal,
        {"id": "first", "command": "true"},
        {"id": "waits", "command": "true", "after": ["first"]},
        {"id": "taken", "command": "true", "write": ["src"]},
        {"id": "merges", "command": "true", "write": ["b"]},
        {"id": "blocked", "command": "true"},
    )
    terminal("wfledger tick")
    for name in ("taken", "merges", "blocked"):
        held = terminal.json(f"wfledger claim {run}.{name} --worktree")
        if name == "taken":
            folder, token = Path(held["worktree"]), held["token"]
            write(folder, {"src/app.py": "half\n"})
        elif name == "merges":
            terminal(f"wfledger complete {run}.{name} --token {held['token']} --queue")
        else:
            terminal(f"wfledger fail {run}.{name} --token {held['token']} --reason x")
    names = ["waits", "first", "taken", "merges", "blocked"]
    before = [terminal.status(f"{run}.{name}") for name in names]
    assert before == ["waiting", "pending", "in-progress", "merging", "blocked"]
    terminal("wfledger cancel " + " ".join(f"{run}.{name}" for name in names))
    assert {terminal.status(f"{run}.{name}") for name in names} == {"cancelled"}
    terminal(f"wfledger complete {run}.taken --token {token}", status=4)
    assert "half" in git(terminal.root, "show", f"refs/wfledger/keep/{run}.taken/1:src/app.py")
    assert not folder.exists()
    assert terminal(f"wfledger cancel {run}", status=2).err


@pytest.mark.long
def test_cancel_ends_what_another_process_runs(terminal: Terminal, tmp_path: Path) -> None:
    barrier = Barrier(tmp_path)
    run = detached(terminal, {"id": "one", "command": barrier.command, "write": ["src"]})
    with running(terminal, f"wfledger run {run}") as ended:
        barrier.wait()
        terminal(f"wfledger cancel {run} --reason 'not wanted'")
    assert said_status(ended[0]) == 1
    assert terminal.status(f"{run}.one") == "cancelled"
    assert "half" in git(terminal.root, "show", f"refs/wfledger/keep/{run}.one/1:src/app.py")


def test_what_is_done_is_not_cancelled(terminal: Terminal) -> None:
    run = terminal.run({"id": "one", "command": "echo 1 > src/app.py", "write": ["src"]})
    before = terminal.task(f"{run}.one")
    refused = terminal(f"wfledger cancel {run}.one", status=4)
    assert "done" in refused.err
    assert terminal.task(f"{run}.one") == before


@pytest.mark.parametrize("verb", ["retry", "answer", "widen", "accept"])
def test_decision_about_a_task_that_is_not_blocked_is_refused(
    terminal: Terminal, verb: str
) -> None:
    run = detached(terminal, {"id": "one", "command": "true", "write": ["src"]})
    more = "" if verb in {"retry", "accept"} else "more"
    before = terminal.task(f"{run}.one")
    terminal(f"wfledger {verb} {run}.one {more}", status=4)
    assert terminal.task(f"{run}.one") == before


@pytest.mark.long
def test_widen_of_unfinished_work_tries_again_and_lands_nothing_half(terminal: Terminal) -> None:
    line = "test $WFLEDGER_ATTEMPT = 2 || { echo half > src/app.py; exit 1; }; echo whole > src/app.py"
    run = terminal.run({"id": "one", "command": line, "write": ["src"]}, status=10)
    terminal(f"wfledger widen {run}.one docs")
    terminal(f"wfledger run {run}")
    assert git(terminal.root, "show", f"wf/{run}:src/app.py") == "whole"
    assert terminal.task(f"{run}.one").attempt == 2


@pytest.mark.sampled(3)
@pytest.mark.parametrize("pattern", ["../x", "/etc", "a\\b"])
def test_widen_by_what_is_no_pattern_changes_nothing(terminal: Terminal, pattern: str) -> None:
    run = terminal.run({"id": "one", "command": "echo 1 > x", "write": ["src"]}, status=10)
    before = terminal.task(f"{run}.one")
    terminal(f"wfledger widen {run}.one '{pattern}'", status=7)
    assert terminal.task(f"{run}.one") == before


def test_lease_that_runs_out_hands_the_task_on_and_keeps_its_work(tmp_path: Path) -> None:
    clock = FakeClock()
    terminal = open_terminal(tmp_path, policy=Policy(lease_s=30.0), clock=clock)
    run = detached(terminal, {"id": "one", "command": "true", "write": ["src"]})
    held = terminal.json("wfledger claim --worktree")
    write(Path(held["worktree"]), {"src/app.py": "half\n"})
    env = {"WFLEDGER_TASK": f"{run}.one", "WFLEDGER_TOKEN": held["token"]}
    workspace = open_workspace(terminal.root, clock=clock)

    def tick() -> int:
        return tick_once(workspace, owner="test", report=lambda _task, _text: None).recovered

    assert tick() == 0
    for _ in range(3):  # between two looks at most half a lease counts
        clock.advance(14)
        terminal("wfledger heartbeat", env=env)
        assert tick() == 0
    clock.advance(14)
    assert tick() == 0
    clock.advance(14)
    assert tick() == 0
    clock.advance(3)
    assert tick() == 1
    entry = workspace.ledger.get(f"{run}.one")
    assert entry.status is Status.WAITING
    assert entry.task.attempts[0].outcome == "lost"
    assert git(terminal.root, "show", f"refs/wfledger/keep/{run}.one/1:src/app.py") == "half"
    terminal("wfledger heartbeat", env=env, status=4)
    clock.advance(10)
    tick()
    assert workspace.ledger.get(f"{run}.one").status is Status.PENDING
    assert workspace.ledger.get(f"{run}.one").task.attempt == 2
    terminal("wfledger complete", env=env, status=4)
