"""Daemons: in a thread of the test, quick to begin, or as the process that a user starts."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import run_cli
from tests.support.waiting import until
from wfledger.clock import SystemClock
from wfledger.core.statuses import Status
from wfledger.run.service.daemon import Daemon, Settings
from wfledger.run.service.instance import Instance
from wfledger.run.service.logbook import Logbook
from wfledger.run.workspace import Workspace


def make_daemon(workspace: Workspace, *, slots: int = 2, events: bool = True) -> Daemon:
    """Return a daemon whose turns the test takes itself."""
    log = Logbook(workspace.ledger.layout.local / "logs" / "daemon.log", clock=workspace.clock)
    settings = Settings(slots, "daemon", events=events)
    return Daemon(workspace, Instance(workspace), settings, log)


@contextmanager
def serving(workspace: Workspace, *, slots: int = 2, events: bool = True) -> Iterator[Daemon]:
    """Have a daemon at work in a thread while the block lasts; it has ended well afterwards."""
    daemon = make_daemon(workspace, slots=slots, events=events)
    try:
        with in_thread(daemon):
            yield daemon
    finally:
        daemon.instance.release()


@contextmanager
def in_thread(daemon: Daemon) -> Iterator[None]:
    """Have *daemon* serve while the block lasts."""
    ended: list[object] = []
    thread = threading.Thread(target=lambda: ended.append(daemon.serve()))
    thread.start()
    try:
        yield
    finally:
        daemon.stop_requests = 1
        thread.join(60)
    assert ended, "the daemon raised, or did not end"


def turns_of(daemon: Daemon) -> list[float]:
    """Return a list to which the moment of each turn of *daemon* will be added."""
    turns: list[float] = []
    turn, clock = daemon.turn, SystemClock()

    def counted() -> None:
        turns.append(clock.elapsed())
        turn()

    daemon.turn = counted  # type: ignore[method-assign]
    return turns


def log_of(workspace: Workspace) -> str:
    """Return what the daemon has logged."""
    return (workspace.ledger.layout.local / "logs" / "daemon.log").read_text()


def all_done(workspace: Workspace, count: int) -> bool:
    """Whether so many tasks are done."""
    return len(workspace.ledger.names(Status.DONE)) == count


def status_of(root: Path) -> dict[str, Any]:
    """Return what `daemon status --json` prints."""
    found: dict[str, Any] = json.loads(run_cli("daemon", "status", "--json", cwd=root).out)
    return found


@contextmanager
def detached(root: Path, *args: str) -> Iterator[int]:
    """Have a daemon in the background, as `daemon --detach` leaves it; yields its pid."""
    done = run_cli("daemon", "--detach", "--json", *args, cwd=root)
    assert done.status == 0, done.err
    pid = json.loads(done.out)["pid"]
    try:
        yield pid
    finally:
        stopped = run_cli("daemon", "stop", cwd=root)
        assert stopped.status == 0, stopped.err
        until(lambda: not _is_there(pid))


def _is_there(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z" and pid != os.getpid()
