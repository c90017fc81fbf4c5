"""Ctrl-C and SIGTERM while a run goes on; no sleeps: workers wait at a pipe."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.support.cli import plan, wf, wf_json
from tests.support.processes import PATIENCE_S
from tests.support.repos import files_at, git
from tests.support.workspaces import open_workspace
from wfledger.core.statuses import Status


class Held:
    """A run whose first task has written a file and waits until it is let go."""

    def __init__(self, repo: Path, folder: Path) -> None:
        self.repo = repo
        self.gate = folder / "gate"
        os.mkfifo(self.gate)
        # Open for both: a worker that comes later finds what was written before.
        self._end = os.open(self.gate, os.O_RDWR | os.O_NONBLOCK)
        self._reached = folder / "reached"
        os.mkfifo(self._reached)
        self._seen = os.open(self._reached, os.O_RDWR | os.O_NONBLOCK)
        self.path = plan(repo, {
            "a": {"command": f"echo 1 > a; echo up > {self._reached}; read x < {self.gate}; echo 2 >> a",
                  "write": ["a"]},
            "b": {"command": "echo 1 > b", "write": ["b"], "after": ["a"]},
        })  # fmt: skip

    def start(self, **streams: object) -> "subprocess.Popen[str]":
        """Start the run and return when its first task waits."""
        process = subprocess.Popen(
            [sys.executable, "-m", "wfledger", "run", "--yes", str(self.path), "--workers", "2"],
            cwd=self.repo, text=True, **({"stderr": subprocess.PIPE} | streams),  # type: ignore[call-overload]
        )  # fmt: skip
        readable, _, _ = select.select([self._seen], [], [], PATIENCE_S)
        assert readable
        os.read(self._seen, 100)
        return process

    def let_go(self) -> None:
        """Let the task go on, now or when it comes to its gate."""
        os.write(self._end, b"go\n")

    def run_id(self) -> str:
        """Return the id of the only run."""
        (run,) = open_workspace(self.repo).ledger.runs()
        return run.id

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._end)
        os.close(self._seen)


@pytest.fixture
def held(repo: Path, tmp_path: Path) -> Iterator[Held]:
    """A run that can be held up."""
    assert wf(repo, "init").status == 0
    found = Held(repo, tmp_path)
    yield found
    found.close()


def until(stream: IO[str] | None, text: str) -> None:
    """Read lines until one has *text*."""
    assert stream is not None
    assert any(text in line for line in stream), f"{text!r} never came"


@pytest.mark.long
def test_first_interrupt_lets_what_runs_come_to_its_end(held: Held) -> None:
    with held.start() as process:
        process.send_signal(signal.SIGINT)
        until(process.stderr, "nothing more is started")
        held.let_go()
        assert process.wait(PATIENCE_S) == 130
    ledger, run_id = open_workspace(held.repo).ledger, held.run_id()
    assert ledger.names(Status.DONE) == [f"{run_id}.a"]
    assert ledger.names(Status.WAITING) == [f"{run_id}.b"]
    assert wf_json(held.repo, "run", run_id)["verdict"] == "succeeded"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
def test_second_interrupt_stops_what_runs_and_keeps_its_work(
    held: Held, signals: tuple[signal.Signals, ...]
) -> None:
    with held.start() as process:
        for number in signals[:-1]:
            process.send_signal(number)
            until(process.stderr, "nothing more is started")
        process.send_signal(signals[-1])
        until(process.stderr, "stopping what runs")
        assert process.wait(PATIENCE_S) == 130
    workspace, run_id = open_workspace(held.repo), held.run_id()
    task = workspace.ledger.get(f"{run_id}.a").task
    (attempt,) = task.attempts
    assert attempt.outcome == "released"
    assert files_at(held.repo, f"refs/wfledger/keep/{run_id}.a/1")["a"] == "1"
    assert workspace.ledger.names(Status.WAITING) == [f"{run_id}.a", f"{run_id}.b"]
    assert git(held.repo, "worktree", "list").count("\n") == 1  # the checkout and the ledger


@pytest.mark.long
def test_interrupted_run_goes_on_where_it_was(held: Held) -> None:
    with held.start() as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 130
    held.let_go()
    found = wf_json(held.repo, "run", held.run_id())
    assert (found["verdict"], found["done"]) == ("succeeded", 2)


@pytest.mark.long
def test_terminal_shows_a_live_table(held: Held) -> None:
    ours, theirs = pty.openpty()
    os.environ.pop("NO_COLOR", None)
    os.environ["TERM"] = "xterm"
    try:
        with held.start(stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            process.send_signal(signal.SIGINT)
            shown = _read_until(ours, "nothing more is started")
            held.let_go()
            shown += _read_until(ours, "interrupted")
            assert process.wait(PATIENCE_S) == 130
    finally:
        os.close(ours)
    assert "in-progress" in shown
    assert "\x1b[" in shown


def _read_until(descriptor: int, text: str) -> str:
    shown = ""
    while text not in " ".join(shown.split()):
        readable, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        assert readable, shown
        shown += os.read(descriptor, 1 << 16).decode(errors="replace")
    return shown
