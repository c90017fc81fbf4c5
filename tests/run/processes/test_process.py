"""A job runs under its limits, and its whole process tree is gone when it is over."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.jobs import Leash, Running, job, leash, python, run, shell
from wfledger.clock import SystemClock
from wfledger.errors import EnvironmentFailedError
from wfledger.run.processes import proctree
from wfledger.run.processes.process import (
    Ended,
    Job,
    ProcessLimits,
    run_job,
)

linux = pytest.mark.skipif(not proctree.HAS_PROC, reason="needs /proc")
WAIT = "signal.pause()"


@pytest.fixture
def line() -> Iterator[Leash]:
    with leash() as made:
        yield made


def text(work: Job) -> str:
    return work.output.read_text()


# How a job starts and what it says.


@pytest.mark.parametrize("status", [0, 1, 77])
def test_exit_status_is_reported(tmp_path: Path, status: int) -> None:
    ended = run(job(tmp_path, *shell(f"exit {status}")))
    assert (ended.reason, ended.status, ended.signal) == ("exited", status, None)
    assert (ended.leftover, ended.left) == (0, ())


def test_end_by_a_signal_is_reported(tmp_path: Path) -> None:
    ended = run(job(tmp_path, *shell("kill -9 $$")))
    assert (ended.reason, ended.status, ended.signal) == ("exited", None, 9)
    assert "SIGKILL" in ended.message


def test_both_streams_go_to_the_output_in_order(tmp_path: Path) -> None:
    work = job(tmp_path, *shell("echo one; echo two >&2; printf three"))
    ended = run(work)
    assert text(work) == "one\ntwo\nthree"
    assert (ended.output_bytes, ended.truncated) == (13, False)
    assert work.output.stat().st_mode & 0o777 == 0o600


def test_standard_input_is_empty(tmp_path: Path) -> None:
    assert run(job(tmp_path, "cat")).status == 0


def test_job_sees_the_given_environment_and_its_tag(tmp_path: Path) -> None:
    work = job(tmp_path, "env", tag="the-tag")
    run(work)
    assert set(text(work).splitlines()) == {
        f"PATH={os.environ['PATH']}",
        "LEASH=",
        "WFLEDGER_TAG=the-tag",
    }


def test_earlier_output_is_replaced(tmp_path: Path) -> None:
    work = job(tmp_path, *shell("echo new"))
    work.output.write_text("old and longer\n")
    run(work)
    assert text(work) == "new\n"


def test_output_is_not_written_through_a_link(tmp_path: Path) -> None:
    work = job(tmp_path, "true")
    work.output.symlink_to(tmp_path / "victim")
    with pytest.raises(EnvironmentFailedError):
        run(work)
    assert not (tmp_path / "victim").exists()


def unstartable(folder: Path) -> dict[str, tuple[tuple[str, ...], Path]]:
    (folder / "plain").write_text("no program")
    (folder / "garbage").write_bytes(b"\x00\x01\x02")
    (folder / "garbage").chmod(0o755)
    return {
        "was not found": (("no-such-program",), folder),
        "is not there": (("true",), folder / "gone"),
        "not an executable": ((str(folder / "plain"),), folder),
        "no program of this machine": ((str(folder / "garbage"),), folder),
        "longer than the system allows": (("true", "x" * 200_000), folder),
        "null byte": (("true", "a\0b"), folder),
        "could not be started": ((), folder),
    }


@pytest.mark.parametrize(
    "said",
    ["was not found", "is not there", "not an executable", "no program of this machine",
     "longer than the system allows", "null byte", "could not be started"],
)  # fmt: skip
def test_program_that_cannot_start_is_a_result(tmp_path: Path, said: str) -> None:
    argv, cwd = unstartable(tmp_path)[said]
    work = Job(argv, cwd, {"PATH": os.environ["PATH"]}, tmp_path / "out", ProcessLimits(), tag="t")
    ended = run(work)
    assert (ended.reason, ended.status, ended.signal) == ("spawn_failed", None, None)
    assert said in ended.message


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    run(job(tmp_path, "true"))
    before = descriptors()
    for argv in (("true",), ("no-such-program",), shell("exit 1")):
        run(job(tmp_path, *argv))
    assert descriptors() == before


# Limits.


def test_stopped_before_the_start_starts_nothing(tmp_path: Path) -> None:
    work = job(tmp_path, *shell("touch started"))
    stop = threading.Event()
    stop.set()
    ended = run_job(work, stop=stop, clock=SystemClock())
    assert (ended.reason, ended.status) == ("stopped", None)
    assert not (tmp_path / "started").exists()


def test_stop_ends_the_job(tmp_path: Path, line: Leash) -> None:
    running = Running(job(tmp_path, *python(f"say('up'); {WAIT}"), keep_open=(line.fd,)))
    assert line.line() == "up"
    running.stop.set()
    ended = running.end()
    assert (ended.reason, ended.signal) == ("stopped", signal.SIGTERM)
    assert not line.held()


@pytest.mark.requirement("WFL-PROC-003")
@pytest.mark.parametrize("limit", ["wall_s", "silence_s", "idle_s"])
def test_limits_end_a_job_that_does_nothing(tmp_path: Path, line: Leash, limit: str) -> None:
    clock = FakeClock()
    limits = ProcessLimits(**{limit: 100.0})
    work = job(tmp_path, *python(f"say('up'); {WAIT}"), limits=limits, keep_open=(line.fd,))
    running = Running(work, clock)
    assert line.line() == "up"
    clock.advance(99)
    ended: list[Ended] = []
    waiter = threading.Thread(target=lambda: ended.append(running.end()))
    waiter.start()
    while not ended:  # what it did before the first look counts as work once
        clock.advance(100)
        waiter.join(0.1)
    assert ended[0].reason == limit.removesuffix("_s")
    assert ended[0].signal == signal.SIGTERM
    assert not line.held()


@pytest.mark.long
def test_output_puts_off_the_silence_and_idle_limits(tmp_path: Path) -> None:
    limits = ProcessLimits(silence_s=1.0, idle_s=1.0, grace_s=0)
    script = "for i in range(8):\n print(i, flush=True)\n time.sleep(0.2)"
    assert run(job(tmp_path, *python(script), limits=limits)).status == 0


@pytest.mark.long
@linux
def test_work_puts_off_the_idle_limit_and_not_the_silence_limit(tmp_path: Path) -> None:
    busy = shell("setsid sh -c 'while :; do :; done' & wait")
    ended = run(job(tmp_path, *busy, limits=ProcessLimits(idle_s=0.4, wall_s=1.5, grace_s=0)))
    assert ended.reason == "wall"
    ended = run(job(tmp_path, *busy, limits=ProcessLimits(idle_s=0.4, silence_s=0.8, grace_s=0)))
    assert ended.reason == "silence"


@pytest.mark.long
@linux
def test_event_loop_that_only_ticks_is_idle(tmp_path: Path) -> None:
    ticking = python("while True: time.sleep(0.2)")
    ended = run(job(tmp_path, *ticking, limits=ProcessLimits(idle_s=1.0, wall_s=30, grace_s=0)))
    assert ended.reason == "idle"


@pytest.mark.requirement("WFL-PROC-003")
def test_grace_lets_a_job_finish_its_sentence(tmp_path: Path, line: Leash) -> None:
    script = (
        "def bye(*_):\n print('bye ' * 100_000, flush=True)\n os._exit(5)\n"
        f"signal.signal(signal.SIGTERM, bye); say('up'); {WAIT}"
    )
    limits = ProcessLimits(grace_s=30)
    work = job(tmp_path, *python(script), limits=limits, keep_open=(line.fd,))
    running = Running(work)
    line.line()
    running.stop.set()
    ended = running.end()
    assert (ended.reason, ended.status) == ("stopped", 5)
    assert text(work) == "bye " * 100_000 + "\n"


@pytest.mark.requirement("WFL-PROC-003")
def test_what_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path, line: Leash) -> None:
    script = f"signal.signal(signal.SIGTERM, signal.SIG_IGN); say('up'); {WAIT}"
    running = Running(job(tmp_path, *python(script), keep_open=(line.fd,)))
    line.line()
    running.stop.set()
    assert running.end().signal == signal.SIGKILL
    assert not line.held()


def test_talkative_process_that_ignores_sigterm_is_killed(tmp_path: Path, line: Leash) -> None:
    script = "trap '' TERM; echo up >/dev/fd/$LEASH; while :; do echo noise; done"
    limits = ProcessLimits(output_bytes=4096, grace_s=0.2)
    running = Running(job(tmp_path, *shell(script), limits=limits, keep_open=(line.fd,)))
    line.line()
    running.stop.set()
    assert running.end().signal == signal.SIGKILL


@pytest.mark.long
def test_beats_come_and_what_they_raise_ends_the_tree(tmp_path: Path, line: Leash) -> None:
    class LeaseLostError(Exception):
        pass

    def beat() -> None:
        raise LeaseLostError

    work = job(tmp_path, *shell("setsid sleep 1000 & wait"), keep_open=(line.fd,))
    with pytest.raises(LeaseLostError):
        run(work, on_beat=beat)
    assert not line.held()
