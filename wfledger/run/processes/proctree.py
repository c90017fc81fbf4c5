"""Which processes there are and which job each belongs to, read from /proc.

A process belongs to a job when it is in the session of the job's first process, when it carries
the job's mark or tag, or when its parent belongs. The mark is the soft RLIMIT_LOCKS, which no
kernel since 2.4.25 looks at: it passes on through fork, exec, setsid and an emptied environment,
and can be read of zombies and of programs that hide their environment. The tag is the variable
WFLEDGER_TAG, for systems that refuse the mark. Only what removes both on purpose, leaves the
session and loses its parent is not found.

Signals go through pidfd and only to a process whose start time is the one that was seen, so a
number that the kernel gave away again is never hit (WFL-PROC-004).
"""

import ctypes
import hashlib
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from wfledger.clock import Clock

TAG_NAME: Final = "WFLEDGER_TAG"


def _shows_own_pids() -> bool:
    """Whether /proc is that of our pid namespace.

    That of another one names processes by numbers which are strangers' here (WFL-PROC-004).
    """
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return False
    known = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), None)
    if known is None:  # a kernel that does not say
        return Path("/proc/self").resolve().name == str(os.getpid())
    return len(known) == 1


HAS_PROC: Final = sys.platform == "linux" and _shows_own_pids()
_RLIMIT_LOCKS: Final = 10
_KERNEL_THREAD: Final = 0x0020_0000
_PR_SET_CHILD_SUBREAPER: Final = 36
_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Stands in the environment of every git command that this process runs (`vcs.proc`).
_HELPER: Final = b"GIT_TERMINAL_PROMPT="
_BIRTH: Final = threading.Lock()


class Process(NamedTuple):
    """One process as it was seen; (pid, started) is its identity."""

    pid: int
    parent: int
    session: int
    #: Clock ticks since boot.
    started: int
    #: Seconds of CPU time, its own and that of the children it has waited for.
    cpu_s: float
    #: Ended, but not waited for.
    is_zombie: bool
    #: Stopped by a signal; what a debugger holds is not.
    is_stopped: bool = False


class Table:
    """All processes of one look at /proc; several threads may ask it at once."""

    def __init__(self, processes: Collection[Process]) -> None:
        self.processes = {process.pid: process for process in processes}
        self._children: dict[int, list[Process]] = {}
        self._sessions: dict[int, list[Process]] = {}
        for process in processes:
            self._children.setdefault(process.parent, []).append(process)
            self._sessions.setdefault(process.session, []).append(process)
        self._lock = threading.Lock()
        self._youngest_last = sorted(processes, key=lambda process: process.started)
        self._owners: dict[int, int] = {}
        self._owned: dict[int, list[Process]] = {}
        #: Marks that do not change any more, by pid and start.
        self.settled: dict[tuple[int, int], int] = {}

    def inherit(self, earlier: "Table") -> None:
        """Take over what *earlier* knows of processes that are still there; before any question."""
        self.settled = {
            (one.pid, one.started): mark
            for one in self.processes.values()
            if (mark := earlier.settled.get((one.pid, one.started))) is not None
        }

    def children(self, pid: int) -> list[Process]:
        """Return the processes whose parent is *pid*."""
        return self._children.get(pid, [])

    def session(self, number: int) -> list[Process]:
        """Return the processes of the session *number*."""
        return self._sessions.get(number, [])

    def owner(self, process: Process) -> int:
        """Return the mark of the job that *process* says it belongs to, or 0."""
        owner = self._owners.get(process.pid)
        if owner is None:
            identity = process.pid, process.started
            owner, is_settled = self.settled.get(identity, 0), True
            if not owner:
                owner, is_settled = _read_owner(process)
            self._owners[process.pid] = owner
            if is_settled:
                self.settled[identity] = owner
        return owner

    def owned(self, mark: int, *, since: int) -> list[Process]:
        """Return the processes, none started before *since*, that say they belong to *mark*."""
        with self._lock:
            # Each process is asked once for all jobs, and none that is older than all of them.
            while self._youngest_last and self._youngest_last[-1].started >= since:
                process = self._youngest_last.pop()
                self._owned.setdefault(self.owner(process), []).append(process)
            return list(self._owned.get(mark, ()))


class Looks:
    """One look at /proc for all threads that ask at the same time.

    Hundreds of jobs that end together would each read all of /proc otherwise.
    """

    def __init__(self, read: Callable[[], Table]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._begun = 0
        self._table = Table(())
        self._taken = float("-inf")

    def fresh(self, clock: Clock) -> Table:
        """Return a look that began after this call did."""
        begun = self._begun
        with self._lock:
            if self._begun == begun:
                self._begun += 1
                table = self._read()
                table.inherit(self._table)
                self._table = table
                self._taken = clock.elapsed()
            return self._table

    def recent(self, clock: Clock, *, age_s: float) -> Table:
        """Return a look that is not much older than *age_s*; good enough to watch by."""
        if 0 <= clock.elapsed() - self._taken < age_s:
            return self._table
        return self.fresh(clock)


def look() -> Table:
    """Read /proc."""
    with os.scandir("/proc") as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    return Table([process for pid in pids if (process := read_process(pid)) is not None])


#: What this process itself has been given; read before it is ever changed.
_OWN_SOFT_LIMIT: Final = resource.getrlimit(_RLIMIT_LOCKS)[0] if HAS_PROC else 0

#: Shared by every job of this process.
LOOKS: Final = Looks(look)


def read_process(pid: int) -> Process | None:
    """Return the process *pid*, or None if there is none or it is a thread of the kernel."""
    raw = _read(pid, "stat")
    if raw is None:
        return None
    # The program's name stands in parentheses and may hold any byte, parentheses too.
    fields = raw[raw.rindex(b")") + 2 :].split()
    if int(fields[6]) & _KERNEL_THREAD:
        return None
    # A zombie leader whose other threads live is a running process.
    is_zombie = fields[0] in {b"Z", b"X"} and int(fields[17]) <= 1
    ticks = sum(int(field) for field in fields[11:15])
    return Process(
        pid, parent=int(fields[1]), session=int(fields[3]), started=int(fields[19]),
        cpu_s=ticks / _TICKS, is_zombie=is_zombie, is_stopped=fields[0] == b"T",
    )  # fmt: skip


def send(process: Process, number: int) -> bool:
    """Send a signal to exactly *process*; return whether that was possible."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError:  # an old kernel or no descriptor left; the gap before kill is microseconds
        return _is(process) and _kill(process.pid, number)
    try:
        if not _is(process):
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def reap(process: Process) -> bool:
    """Take a zombie that was re-parented to this process out of the table; return whether it was.

    Only ever called with processes of one's own job: waiting for any child would steal the
    status of a program that another thread has started.
    """
    if not process.is_zombie or process.parent != os.getpid():
        return False
    try:
        return os.waitpid(process.pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def kill_newest_orphan(mark: int) -> bool:
    """SIGKILL the last child that came to this process, if it has *mark*; return whether it died.

    For what lives some microseconds only. The mark is read when the pidfd is there already, so it
    is that of the process which the signal goes to.
    """
    # Orphans go to the main thread, the last one to the end of its list.
    pids = (_read(os.getpid(), f"task/{os.getpid()}/children") or b"").split()
    if not pids:
        return False
    pid = int(pids[-1])
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if _soft_limit(pid) not in {mark, mark | 1}:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return os.waitpid(pid, 0)[1] == signal.SIGKILL
    except OSError:
        return False
    finally:
        os.close(handle)


def mark_of(tag: str) -> int:
    """Return the number that stands for *tag* where only a number fits; it is even."""
    digest = hashlib.sha256(tag.encode("utf-8", "surrogateescape")).digest()
    return (int.from_bytes(digest[:7], "big") | 1 << 56) & ~1


def set_mark(pid: int, tag: str) -> bool:
    """Mark the process *pid* and what it will start; return whether the system allows it."""
    return _set_soft_limit(pid, mark_of(tag))


@contextmanager
def born_with_mark(tag: str) -> Iterator[None]:
    """Have what is started inside come into the world with a mark.

    A program may have started others before a mark set from outside is there. So this process
    itself bears the job's mark, made odd, for as long as starting takes, and hands it down. What
    another thread starts meanwhile has it too; `Table.owner` tells the two apart.
    """
    with _BIRTH:
        marked = _set_soft_limit(os.getpid(), mark_of(tag) | 1)
        try:
            yield
        finally:
            if marked:
                _set_soft_limit(os.getpid(), _OWN_SOFT_LIMIT)


def _set_soft_limit(pid: int, value: int) -> bool:
    try:
        _, hard = resource.getrlimit(_RLIMIT_LOCKS)
        if hard != resource.RLIM_INFINITY:
            return False
        resource.prlimit(pid, _RLIMIT_LOCKS, (value, hard))
    except (AttributeError, OSError, ValueError):
        return False
    return True


def tags() -> Iterator[tuple[int, str]]:
    """Yield the pid and the tag of every process whose environment can be read and has one."""
    for pid in look().processes:
        tag = _read_tag(pid)
        if tag is not None:
            yield pid, tag


def lineage() -> set[int]:
    """Return the pid of this process and of all its ancestors."""
    pids: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in pids:
        pids.add(pid)
        process = read_process(pid)
        pid = process.parent if process else 0
    return pids


def inhabited(folder: Path) -> bool:
    """Whether a process that can be seen stands in *folder* or below; a courtesy, no proof."""
    if not HAS_PROC or not folder.is_dir():
        return False
    inside = os.fspath(folder.resolve())
    with os.scandir("/proc") as entries:
        return any(_stands_in(entry.name, inside) for entry in entries if entry.name.isdigit())


def stands_in(pid: int, folder: Path) -> bool:
    """Whether a process can be seen to stand in *folder*, a resolved path, or below."""
    return _stands_in(str(pid), os.fspath(folder))


def _stands_in(pid: str, folder: str) -> bool:
    try:
        place = os.fspath(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:  # it ended, or is another user's
        return False
    return place == folder or place.startswith(f"{folder}/")


def become_subreaper() -> bool:
    """Have orphans of jobs re-parented to this process; return whether the system can.

    Can be repeated; a forked child has to call it again.
    """
    if sys.platform != "linux":
        return False
    try:
        return bool(_libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _is(process: Process) -> bool:
    now = read_process(process.pid)
    return now is not None and now.started == process.started


def _kill(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def _read(pid: int, name: str) -> bytes | None:
    try:
        file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pieces = []
        while piece := os.read(file, 65536):
            pieces.append(piece)
    except OSError:  # it ended, or hides itself
        return None
    finally:
        os.close(file)
    return b"".join(pieces) or None


def _soft_limit(pid: int) -> int | None:
    """Return the soft limit that serves as a mark; None where there is none to read."""
    _, found, rest = (_read(pid, "limits") or b"").partition(b"Max file locks")
    soft = rest.split(maxsplit=1)[0] if found else b""
    return int(soft) if soft.isdigit() else None


def _read_owner(process: Process) -> tuple[int, bool]:
    """Return the mark of the job that *process* belongs to, or 0, and whether it will stay."""
    soft = _soft_limit(process.pid)
    # A supervisor that is itself part of a job bears that job's mark, and so do its git calls.
    if soft is None or soft == _OWN_SOFT_LIMIT:
        tag = _read_tag(process.pid)
        return (mark_of(tag) if tag is not None else 0), False
    if soft & 1 and (process.is_zombie or _is_bystander(process.pid)):
        return 0, False
    # Odd only for a moment, in one that has not come to its program yet or that starts a job.
    return soft & ~1, not soft & 1


def _is_bystander(pid: int) -> bool:
    """Whether *pid* was started by another thread of this process while a job was started."""
    environment = _read(pid, "environ") or b""
    # The same as ours: it has not come to its exec yet. The variable: a git command of ours.
    return _HELPER in environment or environment == _read(os.getpid(), "environ")


def _read_tag(pid: int) -> str | None:
    environment = b"\0" + (_read(pid, "environ") or b"")
    _, found, rest = environment.partition(f"\0{TAG_NAME}=".encode())
    return rest.partition(b"\0")[0].decode("utf-8", "surrogateescape") if found else None
