"""Workers that are stopped while their runtime lives: no sign of life is no life."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.engines import AT_ONCE, LIMITS, drive, note, noted, outcomes
from tests.support.jobs import Leash, Running, job, leash, python
from tests.support.waiting import until
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core.policy import Policy
from wfledger.run.processes.process import Ended, ProcessLimits

WAIT = "time.sleep(600)"


@pytest.fixture
def line() -> Iterator[Leash]:
    """What a job says, and whether anything of it lives."""
    with leash() as made:
        yield made


def _end(running: Running, clock: FakeClock, step: float) -> Ended:
    """Let time pass until the job is over."""
    ended: list[Ended] = []
    waiter = threading.Thread(target=lambda: ended.append(running.end()))
    waiter.start()
    while not ended:
        clock.advance(step)
        waiter.join(0.05)
    return ended[0]


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-007")
@pytest.mark.parametrize("limit", ["halted_s", "silence_s", "idle_s"])
def test_job_whose_processes_are_all_stopped_is_ended_as_halted(
    tmp_path: Path, line: Leash, limit: str
) -> None:
    clock = FakeClock()
    limits = ProcessLimits(**{limit: 30.0})
    stops = f"say('up'); os.kill(0, signal.SIGSTOP); {WAIT}"
    running = Running(job(tmp_path, *python(stops), limits=limits, keep_open=(line.fd,)), clock)
    assert line.line() == "up"
    ended = _end(running, clock, 2.0)
    assert ended.reason == "halted"
    assert not line.held()


@pytest.mark.requirement("WFL-PROC-006")
def test_suspended_machine_uses_up_no_limit(tmp_path: Path, line: Leash) -> None:
    clock = FakeClock()
    limits = ProcessLimits(wall_s=100.0, silence_s=100.0, idle_s=100.0)
    work = job(tmp_path, *python(f"say('up'); {WAIT}"), limits=limits, keep_open=(line.fd,))
    running = Running(work, clock)
    assert line.line() == "up"
    clock.sleep(9 * 3600.0)
    running.stop.set()
    assert running.end().reason == "stopped"


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-007")
def test_stopped_worker_of_a_living_runtime_is_lost_and_tried_again(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, policy=Policy(lease_s=1.5))
    told = note(tmp_path, "$WFLEDGER_ATTEMPT.$$")
    command = f"{told}; [ $WFLEDGER_ATTEMPT -gt 1 ] || exec sleep 60"
    add_task(workspace, "a", command=command, retry=AT_ONCE, limits=LIMITS)

    def stop_it() -> None:
        until(lambda: len(noted(tmp_path)) == 1)
        os.kill(int(noted(tmp_path)[0].partition(".")[2]), signal.SIGSTOP)

    stopper = threading.Thread(target=stop_it)
    stopper.start()
    assert drive(workspace).verdict.state == "succeeded"
    stopper.join()
    assert outcomes(workspace, f"{RUN}.a") == ["lost", "succeeded"]
