"""A job's processes cannot leave its tree, and no other process is taken for one of them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.jobs import Leash, Running, job, leash, python, run, shell
from wfledger.clock import SystemClock
from wfledger.run.processes import endings, proctree
from wfledger.run.processes.process import ProcessLimits, capabilities, sweep, tagged

linux = pytest.mark.skipif(not proctree.HAS_PROC, reason="needs /proc")
WAIT = "signal.pause()"


@pytest.fixture
def line() -> Iterator[Leash]:
    with leash() as made:
        yield made


ESCAPES = {
    "child": "spawn(idle)",
    "session": "spawn(lambda: (os.setsid(), idle()))",
    "daemon": "spawn(lambda: (os.setsid(), spawn(idle), os._exit(0)))",
    "deaf": "spawn(lambda: (deaf(), os.setsid(), spawn(idle), os._exit(0)))",
    "stopped": "spawn(lambda: (os.setsid(), idle(signal.SIGSTOP)))",
    "bare": "spawn(lambda: (os.setsid(), spawn(bare), os._exit(0)))",
    "hidden": "spawn(lambda: (os.setsid(), hide(), spawn(idle), os._exit(0)))",
    "headless": "spawn(headless)",
}
KIT = f"""
import ctypes, threading
def spawn(what):
    if os.fork() == 0:
        what()
        os._exit(0)
def idle(number=None):
    say(f'up {{os.getpid()}}')
    if number is not None: os.kill(os.getpid(), number)
    while True: signal.pause()
def deaf():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
def bare():
    script = "import os, signal; os.write(%s, f'up {{os.getpid()}}\\\\n'.encode()); os.closerange(0, 999); signal.pause()"
    os.chdir('/')
    os.execve({sys.executable!r}, ['x', '-S', '-E', '-c', script % os.environ['LEASH']], {{}})
def hide():
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
def headless():
    threading.Thread(target=lambda: (say(f'up {{os.getpid()}}'), time.sleep(10000))).start()
    ctypes.CDLL(None).syscall({93 if os.uname().machine == "aarch64" else 60}, 0)
"""


@pytest.mark.sampled(4)
@linux
@pytest.mark.parametrize("first", ["exits", "stays"])
@pytest.mark.parametrize("escape", ESCAPES)
def test_no_way_out_of_the_tree(tmp_path: Path, line: Leash, escape: str, first: str) -> None:
    script = f"{KIT}\n{ESCAPES[escape]}\nsys.stdout.flush()\n{WAIT if first == 'stays' else ''}"
    if first == "exits":
        (tmp_path / "go").mkdir()
        script += "\nwhile os.path.exists('go'): time.sleep(0.005)\nos._exit(0)"
    running = Running(job(tmp_path, *python(script), keep_open=(line.fd,)))
    pid = int(line.line().split()[1])
    handle = os.pidfd_open(pid)
    if first == "exits":
        (tmp_path / "go").rmdir()
    else:
        running.stop.set()
    ended = running.end()
    assert ended.left == ()
    assert ended.leftover == (1 if first == "exits" else 0)
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(handle, 0)
    os.close(handle)
    assert not line.held()


def test_grandchild_that_holds_the_output_does_not_delay_the_end(
    tmp_path: Path, line: Leash
) -> None:
    work = job(tmp_path, *shell("echo said; setsid sleep 1000 & exit 0"), keep_open=(line.fd,))
    ended = run(work)
    assert (ended.reason, ended.status) == ("exited", 0)
    assert work.output.read_text() == "said\n"
    assert not line.held()


@linux
def test_exit_status_zero_with_work_going_on_is_told(tmp_path: Path, line: Leash) -> None:
    work = job(
        tmp_path, *shell("(setsid sleep 1000 &); (sleep 1000 &); exit 0"), keep_open=(line.fd,)
    )
    ended = run(work)
    assert (ended.status, ended.leftover) == (0, 2)
    assert not line.held()


BOMB = """
import resource
if os.getuid() == 0: os.setgroups([]); os.setgid(64242); os.setuid(64242)
else: sys.exit(0)
resource.setrlimit(resource.RLIMIT_NPROC, (60, 60))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
said = False
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError:
        if not said: say('full')
        said = True
        time.sleep(0.001)
"""


@pytest.mark.long
@linux
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give the bomb a user of its own")
def test_fork_bomb_is_ended(tmp_path: Path, line: Leash) -> None:
    work = job(tmp_path, *python(BOMB), limits=ProcessLimits(grace_s=0), keep_open=(line.fd,))
    running = Running(work)
    assert line.line() == "full"
    running.stop.set()
    assert running.end().left == ()
    assert not line.held()


HOPPER = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
hops = 0
while True:
    if os.fork(): os._exit(0)
    os.setsid()
    hops += 1
    if hops == 50: say('hopping')
"""


@linux
def test_process_that_forks_and_exits_for_ever_is_ended(tmp_path: Path, line: Leash) -> None:
    work = job(tmp_path, *python(HOPPER), keep_open=(line.fd,))
    ended = run(work)
    assert ended.status == 0
    assert ended.left == ()
    assert not line.held()


@linux
def test_no_zombies_are_kept(tmp_path: Path) -> None:
    script = "for i in range(20):\n if os.fork() == 0:\n  os.setsid()\n  if os.fork(): os._exit(0)\n  os._exit(0)\ntime.sleep(0.2)"
    # Orphans of other tests may come to us at any moment.
    before = {path.name for path in Path("/proc").iterdir()}
    run(job(tmp_path, *python(script)))
    ours = [one for one in proctree.look().children(os.getpid()) if str(one.pid) not in before]
    assert [one for one in ours if one.is_zombie] == []


# Several at once.


def test_jobs_do_not_touch_each_other_or_other_children(tmp_path: Path, line: Leash) -> None:
    stays = tmp_path / "stays"
    stays.mkdir()
    script = f"signal.signal(signal.SIGUSR1, lambda *_: os._exit(42)); say(os.getpid()); {WAIT}"
    running = Running(job(stays, *python(script), keep_open=(line.fd,)))
    pid = int(line.line())
    other = subprocess.Popen(["/bin/sh", "-c", "exit 7"], start_new_session=True)
    daemon = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    threads = []
    for number in range(8):
        folder = tmp_path / str(number)
        folder.mkdir()
        work = job(folder, *shell("(setsid sleep 1000 &); (env -i setsid sleep 1000 &)"))
        # The mark is there before the program: both are found however soon they were started.
        threads.append(Running(work))
    ended = [thread.end() for thread in threads]
    assert [one.left for one in ended] == [()] * 8
    assert [one.leftover for one in ended] == [2] * 8
    assert other.wait() == 7
    assert daemon.poll() is None
    daemon.kill()
    assert daemon.wait() == -signal.SIGKILL
    os.kill(pid, signal.SIGUSR1)
    assert running.end().status == 42


@linux
def test_job_inside_a_job_is_ended_with_it(tmp_path: Path, line: Leash) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    script = (
        "import sys; sys.path[:0] = sys.argv[1].split(':')\n"
        "from pathlib import Path\n"
        "from tests.support.jobs import job, run, shell\n"
        "run(job(Path(sys.argv[2]), *shell('(setsid sleep 1000 &); echo up >/dev/fd/$LEASH; sleep 1000'),"
        " keep_open=(int(sys.argv[3]),)))"
    )
    argv = (sys.executable, "-c", script, ":".join(["/", *sys.path]), str(inner), str(line.fd))
    running = Running(job(tmp_path, *argv, keep_open=(line.fd,)))
    line.line()
    running.stop.set()
    assert running.end().left == ()
    assert not line.held()


def test_one_look_serves_all_who_ask_meanwhile() -> None:
    looks, started, go = [], threading.Event(), threading.Event()

    def read() -> proctree.Table:
        looks.append(1)
        started.set()
        go.wait()
        return proctree.Table(())

    shared = proctree.Looks(read)
    first = threading.Thread(target=shared.fresh, args=(SystemClock(),))
    first.start()
    started.wait()
    asked = threading.Barrier(6)
    late = [
        threading.Thread(target=lambda: (asked.wait(), shared.fresh(SystemClock())))
        for _ in range(5)
    ]
    for thread in late:
        thread.start()
    asked.wait()
    go.set()
    for thread in [first, *late]:
        thread.join()
    # A look that had begun before the question is not an answer to it.
    assert 2 <= len(looks) <= 6
    shared.fresh(SystemClock())
    count = len(looks)
    shared.recent(SystemClock(), age_s=1000)
    assert len(looks) == count


# After the runtime itself has died.


def supervise(folder: str, tag: str, fifo: str) -> None:
    script = f"exec 9>{fifo}; (setsid sleep 1000 &); (env -i setsid sleep 1000 &); sleep 1000 & echo up >&9; wait"
    run(job(Path(folder), *shell(script), tag=tag))


@pytest.mark.requirement("WFL-PROC-005")
@linux
def test_sweep_ends_what_a_killed_runtime_left(tmp_path: Path) -> None:
    fifo, tag = tmp_path / "fifo", f"{tmp_path}:t.1"
    os.mkfifo(fifo)
    runtime = processes.start(supervise, str(tmp_path), tag, str(fifo))
    with fifo.open("rb", buffering=0) as reading:
        assert reading.readline() == b"up\n"
        runtime.kill()
        assert set(tagged(str(tmp_path))) == {tag}
        assert sweep(f"{tag}0", grace_s=0) == 0
        assert sweep(tag, grace_s=0.2) == 4
        assert reading.read(1) == b""
    assert tagged(str(tmp_path)) == {}
    assert sweep(tag, grace_s=0) == 0


def sweep_own(tag: str) -> int:
    child = subprocess.Popen(["sleep", "1000"])
    swept = sweep(tag, grace_s=10)
    child.wait()
    return swept


@linux
def test_sweep_spares_who_sweeps(tmp_path: Path) -> None:
    tag = f"{tmp_path}:own"
    worker = processes.start(sweep_own, tag, env={"WFLEDGER_TAG": tag})
    assert worker.result() == 1


# Parts.


@pytest.mark.requirement("WFL-PROC-004")
@linux
def test_signal_goes_only_to_the_process_that_was_seen() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    seen = proctree.read_process(child.pid)
    assert seen is not None
    assert not proctree.send(seen._replace(started=seen.started - 1), signal.SIGKILL)
    assert child.poll() is None
    assert proctree.send(seen, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not proctree.send(seen, signal.SIGKILL)


@linux
def test_program_name_cannot_forge_its_parents(tmp_path: Path) -> None:
    program = tmp_path / "x) S 1 1 1"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "1000"])
    seen = proctree.read_process(child.pid)
    child.kill()
    child.wait()
    assert seen is not None
    assert (seen.parent, seen.session) == (os.getpid(), os.getsid(0))


def test_group_is_ended_where_there_is_no_proc() -> None:
    script = "trap '' TERM; (trap '' TERM; sleep 1000; sleep 1000) & echo up; wait"
    with subprocess.Popen(shell(script), start_new_session=True, stdout=subprocess.PIPE) as root:
        assert root.stdout is not None
        assert root.stdout.readline() == b"up\n"
        tree = endings.GroupTree(root)
        assert tree.look().running == (root.pid,)
        clock = SystemClock()
        assert endings.end(tree, grace_s=0.05, clock=clock, pause=clock.wait) == ()
        assert root.returncode == -signal.SIGKILL
        with suppress(ProcessLookupError):
            os.killpg(root.pid, 0)
            pytest.fail("something of the group is left")
        assert root.stdout.read() == b""


def test_capabilities_say_what_holds() -> None:
    found = capabilities()
    assert found.escape_proof is proctree.HAS_PROC
    assert found.note
