"""A process that has left its tree in every way is found by the lock that it was born with."""

import fcntl
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.attempts import FILES, ID, run_task
from tests.support.engines import LIMITS, drive, statuses
from tests.support.waiting import until
from tests.support.workspaces import add_task, make_workspace, open_workspace
from wfledger.clock import SystemClock
from wfledger.run.processes import proctree
from wfledger.run.processes.holders import end_holders
from wfledger.store.locks import LiveLock, is_alive

pytestmark = pytest.mark.skipif(not proctree.HAS_PROC, reason="needs /proc")

#: Leaves session, parent, environment, output and mark behind; keeps what else it has open.
GHOST = f"""
import os, resource, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (0, 1, 2): os.close(number)
        resource.setrlimit(10, (1, resource.RLIM_INFINITY))
        os.execve({sys.executable!r}, ["ghost", "-S", "-E", "-c",
            "import os,time; open(%r, 'w').write(str(os.getpid())); time.sleep(1000)" % sys.argv[1]], {{}})
    os._exit(0)
while not os.path.exists(sys.argv[1]): pass
"""


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[LiveLock]:
    made = LiveLock(tmp_path / "lock", inheritable=True)
    yield made
    made.release()


@pytest.mark.requirement("WFL-PROC-005")
def test_holder_is_ended_and_who_only_looks_is_not(tmp_path: Path, lock: LiveLock) -> None:
    holder = subprocess.Popen(["sleep", "1000"], pass_fds=(lock.descriptor,), env={})
    lock.release()
    assert is_alive(lock.path)
    assert end_holders(lock.path, clock=SystemClock())
    assert holder.wait() == -signal.SIGKILL
    looking = os.open(lock.path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    looker = subprocess.Popen(["sleep", "1000"], pass_fds=(looking,))
    os.close(looking)
    assert end_holders(lock.path, clock=SystemClock())
    assert looker.poll() is None
    looker.kill()
    looker.wait()
    assert end_holders(tmp_path / "never", clock=SystemClock())


def ghost(seen: Path) -> tuple[str, ...]:
    return (sys.executable, "-S", "-E", "-c", GHOST, str(seen))


def is_gone(seen: Path) -> bool:
    process = proctree.read_process(int(seen.read_text() or 0))
    return process is None or process.is_zombie


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-005")
def test_nothing_of_an_attempt_is_left_when_it_ends(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    run_task(workspace, ghost(tmp_path / "seen"))
    assert is_gone(tmp_path / "seen")
    assert statuses(workspace)[ID] == "done"


def work(root: str) -> None:
    drive(open_workspace(Path(root)), slots=1)


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-005")
def test_nothing_of_an_attempt_is_left_when_its_runtime_was_killed(tmp_path: Path) -> None:
    workspace, seen = make_workspace(tmp_path, FILES), tmp_path / "seen"
    command = f"test -e {seen} && exit 0; {shlex.join(ghost(seen))}; sleep 1000"
    add_task(workspace, "a", command=command, limits=LIMITS, retry={"backoff_s": 0.01})
    runtime = processes.start(work, str(workspace.main))
    until(lambda: seen.exists() and bool(seen.read_text()))
    runtime.kill()
    assert not is_gone(seen)
    drive(workspace, slots=1)
    assert is_gone(seen)
    assert statuses(workspace)[ID] == "done"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_child_of_ours_that_has_not_begun_its_program_is_left(lock: LiveLock) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # until a program begins it has all that we have open
        os.close(writing)
        os.read(reading, 1)
        os._exit(7)
    os.close(reading)
    lock.release()

    class Looks(SystemClock):
        left = 3

        def wait(self, seconds: float) -> None:
            self.left -= 1
            if self.left == 0:
                os.close(writing)
            super().wait(seconds)

    assert end_holders(lock.path, clock=Looks())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
