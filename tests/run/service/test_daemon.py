"""A daemon that is left alone: what it starts, what it gets over, and what it leaves."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support import faults, processes
from tests.support.daemons import all_done, in_thread, log_of, make_daemon, serving, turns_of
from tests.support.engines import (
    AT_ONCE,
    LIMITS,
    NOTHING_LEFT,
    drive_there,
    leftovers,
    meet,
    note,
    noted,
    statuses,
)
from tests.support.invariants import check_ledger
from tests.support.repos import files_at
from tests.support.waiting import until
from tests.support.workspaces import BRANCH, RUN, add_run, add_task, make_workspace, open_workspace
from wfledger.clock import SystemClock
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.attempts.orphans import sweep_orphans
from wfledger.run.pausing import pause_run, set_paused
from wfledger.run.processes.process import TAG_NAME
from wfledger.run.service.daemon import RESCAN_S
from wfledger.run.service.instance import facts_of
from wfledger.run.session import reopen
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A ledger with the run r1."""
    return make_workspace(tmp_path)


def _holds_up(workspace: Workspace, part: str) -> bool:
    facts = facts_of(workspace)
    return facts is not None and part in {setback.part for setback in facts.setbacks}


def _is_clear(workspace: Workspace) -> bool:
    facts = facts_of(workspace)
    return facts is not None and facts.setbacks == ()


@pytest.mark.requirement("WFL-DAEMON-021")
def test_tasks_of_every_run_are_done_as_they_come(workspace: Workspace) -> None:
    add_run(workspace, "r2")
    with serving(workspace):
        for name, run in (("a", RUN), ("b", "r2")):
            add_task(workspace, name, run_id=run, command=f"echo {name} > {name}", write=(name,))
        until(lambda: all_done(workspace, 2))
    assert files_at(workspace.main, BRANCH)["a"] == "a"
    assert files_at(workspace.main, "refs/heads/wf/r2")["b"] == "b"
    assert leftovers(workspace) == NOTHING_LEFT
    check_ledger(workspace.ledger)


@pytest.mark.requirement("WFL-DAEMON-020")
@pytest.mark.requirement("WFL-DAEMON-021")
@pytest.mark.parametrize("events", [True, False])
def test_task_that_appears_is_started_by_its_event_or_by_the_next_look(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: bool
) -> None:
    if events:
        monkeypatch.setattr("wfledger.run.service.daemon.RESCAN_S", 1000.0)
    with serving(workspace, events=events):
        until(lambda: facts_of(workspace) is not None)
        for number in range(3):
            add_task(workspace, f"t{number}", command=note(tmp_path))
            until(lambda: len(noted(tmp_path)) == number + 1)  # noqa: B023


class Adrift(SystemClock):
    """A clock whose wall time somebody sets."""

    off = timedelta()

    def now(self) -> datetime:
        return super().now() + self.off


@pytest.mark.requirement("WFL-DAEMON-024")
@pytest.mark.parametrize("days", [-3650, 2])
def test_clock_that_is_set_loses_and_doubles_nothing(tmp_path: Path, days: int) -> None:
    clock = Adrift()
    workspace = make_workspace(tmp_path, clock=clock)
    once = f"test -e {tmp_path}/tried || {{ touch {tmp_path}/tried; exit 75; }}"
    add_task(workspace, "again", command=once, retry=AT_ONCE)
    add_task(workspace, "long", command=f"{meet(tmp_path, 'long', 'test')}; {note(tmp_path)}", limits=LIMITS)
    with serving(workspace):
        until((tmp_path / "tried").exists)
        until(lambda: statuses(workspace)[f"{RUN}.long"] == "in-progress")
        clock.off = timedelta(days=days)
        processes.run("/bin/sh", "-c", meet(tmp_path, "test", "long"), cwd=tmp_path)
        until(lambda: all_done(workspace, 2))
        add_task(workspace, "later", command=note(tmp_path))
        until(lambda: all_done(workspace, 3))
    assert noted(tmp_path) == [f"{RUN}.long", f"{RUN}.later"]
    assert workspace.ledger.get(f"{RUN}.long").task.attempt == 1


@pytest.mark.requirement("WFL-DAEMON-032")
def test_ledger_that_is_taken_away_is_waited_for_and_not_made(workspace: Workspace) -> None:
    root = workspace.ledger.layout.root
    with serving(workspace):
        root.rename(root.with_name("away"))
        until(lambda: _holds_up(workspace, "ledger"))
        assert not root.exists()
        root.with_name("away").rename(root)
        until(lambda: _is_clear(workspace))
        add_task(workspace, "a", command="true")
        until(lambda: all_done(workspace, 1))
    assert not log_of(workspace).count("held up") > 1


@pytest.mark.requirement("WFL-DAEMON-031")
@pytest.mark.parametrize("name", ["fleet.toml", "ledger.json"])
def test_file_that_is_edited_into_nonsense_holds_dispatch_until_it_is_mended(
    workspace: Workspace, name: str
) -> None:
    path = workspace.ledger.layout.root / name
    before = path.read_text()
    with serving(workspace):
        path.write_text("{ this is [ nothing")
        until(lambda: _holds_up(workspace, "dispatch"))
        add_task(workspace, "a", command="true")
        path.write_text(before)
        until(lambda: all_done(workspace, 1))
        until(lambda: _is_clear(workspace))


@pytest.mark.requirement("WFL-DAEMON-031")
def test_lock_whose_holder_is_stopped_is_waited_for(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wfledger.run.service.daemon._STUCK_S", 0.2)
    add_task(workspace, "a", command="true")
    with faults.Pause(tmp_path, "ledger.lock.taken") as pause:
        holder = processes.start(_hold, workspace.main, env=pause.env)
        pause.wait()
        os.kill(holder.pid, signal.SIGSTOP)
        with serving(workspace):
            until(lambda: _holds_up(workspace, "ledger"))
            assert statuses(workspace)[f"{RUN}.a"] == "waiting"
            os.kill(holder.pid, signal.SIGCONT)
            pause.go()
            until(lambda: all_done(workspace, 1))


def _hold(root: Path) -> None:
    with open_workspace(root).ledger.transaction("test"):
        pass


@pytest.mark.requirement("WFL-DAEMON-031")
def test_no_descriptor_left_is_got_over(workspace: Workspace) -> None:
    daemon = processes.start(_serve_until, workspace.main, "enough")
    until(lambda: facts_of(workspace) is not None)
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (5, before[1]))
    until(lambda: _holds_up(workspace, "dispatch") or _holds_up(workspace, "ledger"))
    add_task(workspace, "a", command="true")
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
    until(lambda: all_done(workspace, 1))
    (workspace.main / "enough").touch()
    assert daemon.result() is True


def _serve_until(root: Path, name: str) -> bool:
    """Be a daemon in a process of its own until a file of that name appears in the checkout."""
    daemon = make_daemon(open_workspace(root))
    turn = daemon.turn

    def turn_or_end() -> None:
        daemon.stop_requests = int((root / name).exists())
        turn()

    daemon.turn = turn_or_end  # type: ignore[method-assign]
    return daemon.serve()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own at the place of the repository."""
    place = tmp_path / "repo"
    place.mkdir()
    if processes.run("mount", "-t", "tmpfs", "-o", "size=8m", "none", place, cwd=tmp_path).status:
        pytest.skip("nothing may be mounted here")
    yield place
    processes.run("umount", "-l", place, cwd=tmp_path)


def _fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (2**16, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


@pytest.mark.requirement("WFL-DAEMON-030")
@pytest.mark.requirement("WFL-DAEMON-031")
def test_full_disk_is_got_over(disk: Path, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    held = f"[ $WFLEDGER_ATTEMPT -gt 1 ] || {{ {meet(tmp_path, 'a', 'test')}; }}"
    body = f"echo a > a; {note(tmp_path)}; {held}"
    add_task(workspace, "a", command=body, write=("a",), limits=LIMITS, retry=AT_ONCE)
    with serving(workspace):
        until(lambda: len(noted(tmp_path)) == 1)
        _fill(disk)
        processes.run("/bin/sh", "-c", meet(tmp_path, "test", "a"), cwd=tmp_path)
        until(lambda: _holds_up(workspace, "dispatch") or _holds_up(workspace, "recovery"))
        (disk / "ballast").unlink()
        # An attempt whose end could not be written down is lost, and made again.
        until(lambda: all_done(workspace, 1))
        until(lambda: _is_clear(workspace))
    assert files_at(workspace.main, BRANCH)["a"] == "a"
    check_ledger(workspace.ledger)


@pytest.mark.requirement("WFL-DAEMON-031")
def test_ledger_that_is_read_only_is_waited_for(disk: Path, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    root = workspace.ledger.layout.root
    add_task(workspace, "a", command="true")
    for order in (("--bind", root, root), ("-o", "remount,ro,bind", root)):
        assert processes.run("mount", *order, cwd=tmp_path).status == 0
    with serving(workspace):
        until(lambda: _holds_up(workspace, "dispatch"))
        assert processes.run("umount", "-l", root, cwd=tmp_path).status == 0
        until(lambda: all_done(workspace, 1))
        until(lambda: _is_clear(workspace))
    check_ledger(workspace.ledger)


@pytest.mark.requirement("WFL-DAEMON-040")
def test_daemon_that_is_killed_loses_and_doubles_nothing(workspace: Workspace, tmp_path: Path) -> None:
    body = f"{note(tmp_path)}; echo $WFLEDGER_ATTEMPT > $(basename $WFLEDGER_TASK); exec sleep 0.3"
    for number in range(6):
        add_task(workspace, f"t{number}", command=body, write=(f"{RUN}.t{number}",), retry=AT_ONCE)
    for kill in range(2):
        daemon = processes.start(_serve_until, workspace.main, "never")
        until(lambda: len(noted(tmp_path)) >= 2 + 2 * kill)  # noqa: B023
        daemon.kill()
    with serving(workspace):
        until(lambda: all_done(workspace, 6))
    landed = files_at(workspace.main, BRANCH)
    for number in range(6):
        task = workspace.ledger.get(f"{RUN}.t{number}").task
        assert landed[task.id] == str(task.attempt)
        assert [one.outcome for one in task.attempts[:-1]] == ["lost"] * (task.attempt - 1)
    assert leftovers(workspace) == NOTHING_LEFT
    check_ledger(workspace.ledger)


@pytest.mark.requirement("WFL-DAEMON-040")
def test_processes_of_attempts_that_are_over_are_ended(workspace: Workspace) -> None:
    add_task(workspace, "a", command="true")
    over = _orphan(tag_for(workspace, f"{RUN}.a.1"))
    foreign = _orphan(f"{workspace.ledger.layout.local}-of-another:{RUN}.a.1")
    unknown = _orphan(tag_for(workspace, "somebody"))
    assert sweep_orphans(workspace) == 1
    over.wait(10)
    assert foreign.poll() is unknown.poll() is None
    for process in (foreign, unknown):
        process.kill()
        process.wait()


def _orphan(tag: str) -> "subprocess.Popen[bytes]":
    """Return a process that bears *tag*."""
    return subprocess.Popen(["sleep", "100"], env={**os.environ, TAG_NAME: tag})


@pytest.mark.requirement("WFL-DAEMON-041")
def test_daemon_that_ends_keeps_work_and_takes_offers_back(workspace: Workspace, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    held = f"echo half > half; {note(tmp_path)}; exec cat {tmp_path}/never"
    add_task(workspace, "a", command=held, write=("half",), limits=LIMITS)
    add_task(workspace, "b", command="true")
    with serving(workspace, slots=1):
        until(lambda: len(noted(tmp_path)) == 1)
    assert statuses(workspace) == {f"{RUN}.a": "waiting", f"{RUN}.b": "waiting"}
    assert files_at(workspace.main, f"refs/wfledger/keep/{RUN}.a/1")["half"] == "half"
    assert workspace.ledger.get(f"{RUN}.a").task.attempts[0].outcome == "released"
    assert leftovers(workspace) == NOTHING_LEFT
    assert workspace.ledger.journal.is_empty()


@pytest.mark.requirement("WFL-CLAIM-060")
@pytest.mark.requirement("WFL-CLAIM-062")
@pytest.mark.parametrize("whole", [True, False])
def test_pause_lets_what_runs_go_on_and_starts_nothing(
    workspace: Workspace, tmp_path: Path, whole: bool
) -> None:
    add_task(workspace, "a", command=f"{meet(tmp_path, 'a', 'test')}; {note(tmp_path)}", limits=LIMITS)
    with serving(workspace):
        until(lambda: statuses(workspace)[f"{RUN}.a"] == "in-progress")
        if whole:
            set_paused(workspace, "lunch")
        else:
            pause_run(workspace, RUN, reason="lunch")
        add_task(workspace, "b", command=note(tmp_path))
        processes.run("/bin/sh", "-c", meet(tmp_path, "test", "a"), cwd=tmp_path)
        until(lambda: all_done(workspace, 1))
        assert statuses(workspace)[f"{RUN}.b"] == "waiting"
        if whole:
            set_paused(workspace, None)
        else:
            reopen(workspace, workspace.ledger.run(RUN))
        until(lambda: all_done(workspace, 2))
    assert noted(tmp_path) == [f"{RUN}.a", f"{RUN}.b"]


@pytest.mark.requirement("WFL-DAEMON-014")
def test_run_beside_a_daemon_comes_to_the_right_end(workspace: Workspace, tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    with serving(workspace, slots=1):
        for number in range(6):
            add_task(workspace, f"t{number}", command=f"mkdir {busy} && {note(tmp_path)} && rmdir {busy}")
        # One slot of the machine for both: no two tasks run at the same time.
        assert processes.race(drive_there, [(workspace.main, RUN, 1, "run")]) == [0]
    assert sorted(noted(tmp_path)) == [f"{RUN}.t{number}" for number in range(6)]
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.requirement("WFL-DAEMON-023")
def test_daemon_with_nothing_to_do_is_quiet(workspace: Workspace) -> None:
    daemon = make_daemon(workspace)
    turns = turns_of(daemon)
    add_task(workspace, "a", command="true")
    looks = 4
    with in_thread(daemon):
        until(lambda: all_done(workspace, 1))
        before = len(turns)
        until(lambda: len(turns) >= before + looks)
        began = turns[before]
    assert turns[before + looks - 1] - began > (looks - 2) * RESCAN_S * 0.75
