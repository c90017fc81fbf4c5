"""Output that is followed: to its end, across attempts, and where its middle is dropped."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.workspaces import add_task, hand_in, make_workspace, start
from wfledger.core.documents import Failure
from wfledger.run.looks.following import TAIL, Piece, Said, follow
from wfledger.run.merger.landing import cancel_merging
from wfledger.run.processes.output import BoundedLog
from wfledger.run.workspace import Workspace

_FAILED = {"status": "failed", "failure": Failure(failure_class="task", source="task")}


class Steps(FakeClock):
    """A clock each of whose waits lets the next thing happen."""

    def __init__(self) -> None:
        super().__init__()
        self.then: list[object] = []

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        step = self.then.pop(0)
        assert callable(step)
        step()


def shown(pieces: Iterator[Piece]) -> str:
    """Return everything that is shown, notes in brackets."""
    return "".join(
        f"<{piece.text}>" if isinstance(piece, Said) else piece.decode() for piece in pieces
    )


@pytest.fixture
def clock() -> Steps:
    """A clock whose waits are the steps of a test."""
    return Steps()


@pytest.fixture
def workspace(tmp_path: Path, clock: Steps) -> Workspace:
    return make_workspace(tmp_path, clock=clock)


def log_of(workspace: Workspace, attempt: int, limit: int = 2**20) -> BoundedLog:
    return BoundedLog(workspace.ledger.layout.log("r1.a", attempt), limit)


def end(workspace: Workspace, **result: object) -> None:
    task = workspace.ledger.get("r1.a").task
    base = workspace.ledger.run("r1").base
    hand_in(workspace, task, {}, base=base, **result)


def test_it_goes_on_with_the_next_attempt(workspace: Workspace, clock: Steps) -> None:
    retry = {"on": ("task",), "max_attempts": 2, "backoff_s": 1.0}
    start(workspace, add_task(workspace, "a", retry=retry).id)
    first = log_of(workspace, 1)
    first.feed(b"one\n")
    second: list[BoundedLog] = []

    def begin_again() -> None:
        start(workspace, "r1.a")
        second.append(log_of(workspace, 2))
        second[0].feed(b"three\n")

    clock.then = [
        lambda: first.feed(b"two\n"), lambda: end(workspace, **_FAILED), begin_again,
        lambda: end(workspace, **_FAILED),
    ]  # fmt: skip
    text = shown(follow(workspace, "r1.a"))
    assert text.startswith("one\ntwo\n<attempt 1: task; r1.a tries again at ")
    assert text.endswith("three\n<r1.a is blocked (exhausted): wfledger retry r1.a>")


def test_nothing_is_lost_or_doubled_when_the_middle_is_dropped(
    workspace: Workspace, clock: Steps
) -> None:
    start(workspace, add_task(workspace, "a").id)
    log = log_of(workspace, 1, limit=4096)
    lines = [f"line {number:06d}\n" for number in range(1000)]

    def write(part: list[str]) -> None:
        for line in part:
            log.feed(line.encode())

    write(lines[:50])
    # Each look finds more, and the file has been cut in between again and again.
    parts = [lines[at : at + 50] for at in range(50, 1000, 50)]
    clock.then = [lambda part=part: write(part) for part in parts]
    clock.then.append(lambda: end(workspace))
    clock.then.append(lambda: _finish(workspace))
    text = shown(follow(workspace, "r1.a"))
    assert text.partition("<")[0] == "".join(lines)
    assert log.dropped > 0


def _finish(workspace: Workspace) -> None:
    cancel_merging(workspace, "r1.a")


def test_what_is_lost_between_two_looks_is_said(workspace: Workspace, clock: Steps) -> None:
    start(workspace, add_task(workspace, "a").id)
    log = log_of(workspace, 1, limit=4096)
    log.feed(b"".join(b"begun %04d\n" % number for number in range(300)))
    clock.then = [
        lambda: log.feed(b"".join(b"%07d\n" % number for number in range(5000))),
        lambda: end(workspace, **_FAILED),
    ]  # fmt: skip
    text = shown(follow(workspace, "r1.a"))
    assert "<output was dropped here; its last part follows>" in text
    assert "0004999\n<r1.a is blocked" in text


def test_of_much_output_the_end_is_shown(workspace: Workspace) -> None:
    start(workspace, add_task(workspace, "a").id)
    log_of(workspace, 1).feed(b"".join(b"%07d\n" % number for number in range(20_000)))
    end(workspace, **_FAILED)
    text = shown(follow(workspace, "r1.a"))
    assert text.startswith("<the last 64 KiB")
    body = text.partition(">")[2].partition("<")[0]
    assert TAIL - 8 <= len(body) <= TAIL
    assert body.endswith("0019999\n")


def test_it_waits_for_an_attempt_that_prints_nothing_yet(
    workspace: Workspace, clock: Steps
) -> None:
    start(workspace, add_task(workspace, "a").id)
    made = threading.Event()
    clock.then = [
        lambda: (log_of(workspace, 1).feed(b"at last\n"), made.set()),
        lambda: end(workspace, **_FAILED),
    ]  # fmt: skip
    assert shown(follow(workspace, "r1.a")).startswith("at last\n")
    assert made.is_set()
