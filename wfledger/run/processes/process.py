"""One job: a program run under limits, with its whole process tree gone when it returns.

The worker of an attempt, a verification, a gate and the setup of a worktree all run through
`run_job`. What a job's end means to its task is decided elsewhere.
"""

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from signal import Signals
from typing import Final, Literal

from wfledger.clock import Clock, SystemClock
from wfledger.errors import EnvironmentFailedError
from wfledger.run.processes import endings, proctree
from wfledger.run.processes.jobs import Job, ProcessLimits, heard, last_line, start, why_not
from wfledger.run.processes.output import BoundedLog, Pump
from wfledger.run.processes.proctree import HAS_PROC, TAG_NAME, become_subreaper

__all__ = [
    "TAG_NAME",
    "Capabilities",
    "Ended",
    "Job",
    "ProcessLimits",
    "become_subreaper",
    "capabilities",
    "run_job",
    "sweep",
    "tagged",
]

#: How long a stop can go unnoticed; longer the more jobs there are, for each turn costs CPU time.
_TURN_S: Final = 0.05
_TURN_PER_JOB_S: Final = 0.001
_LONGEST_TURN_S: Final = 0.5
_BEAT_S: Final = 1.0
#: Less than this share of one core over a beat counts as no CPU time: event loops tick for ever.
_IDLE_SHARE: Final = 0.005

Reason = Literal["exited", "wall", "idle", "silence", "halted", "stopped", "spawn_failed"]


@dataclass(frozen=True)
class Ended:
    """How a job ended. No process of it runs any more, except those in `left`."""

    #: Exit status of the first process; None if a signal ended it or it never started.
    status: int | None
    signal: int | None
    #: What came first; `exited` says nothing about success.
    reason: Reason
    #: One line for people.
    message: str
    wall_s: float
    #: Bytes that the job wrote, kept or not.
    output_bytes: int
    truncated: bool
    #: Processes that were still there when the first process had ended by itself.
    leftover: int = 0
    #: Pids that SIGKILL did not end. The place they run in must not be used again.
    left: tuple[int, ...] = ()
    #: Where in the output file that of this job begins.
    output_start: int = 0


@dataclass(frozen=True)
class Capabilities:
    """What this system lets `run_job` promise."""

    #: Processes that leave the session and lose their parent are found and ended.
    escape_proof: bool
    subreaper: bool
    pidfd: bool
    note: str


class _Clocks:
    """When the job began, last wrote and last worked."""

    def __init__(self, limits: ProcessLimits, now: float) -> None:
        self._limits = limits
        self._began = self._wrote = self._worked = now
        self._halted: float | None = None

    def wrote(self, now: float) -> None:
        self._wrote = self._worked = now

    def worked(self, now: float) -> None:
        self._worked = now

    def halted(self, now: float, *, is_halted: bool) -> None:
        since = self._halted if self._halted is not None else now
        self._halted = since if is_halted else None

    def over(self, now: float) -> Reason | None:
        reason = self._reached(now)
        # Who stopped it was not its task: that is no silence of a worker's own.
        is_halted = self._halted is not None and reason in {"idle", "silence"}
        return "halted" if is_halted else reason

    def _reached(self, now: float) -> Reason | None:
        limits = self._limits
        halted_s = now - self._halted if self._halted is not None else 0.0
        if limits.halted_s is not None and halted_s >= limits.halted_s:
            return "halted"
        if limits.wall_s is not None and now - self._began >= limits.wall_s:
            return "wall"
        if limits.silence_s is not None and now - self._wrote >= limits.silence_s:
            return "silence"
        if limits.idle_s is not None and now - self._worked >= limits.idle_s:
            return "idle"
        return None


class _Running:
    """How many jobs this process runs now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def __enter__(self) -> None:
        with self._lock:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1

    def turn_s(self) -> float:
        """Return how long each of them waits for output before it looks around."""
        return min(max(_TURN_S, self._count * _TURN_PER_JOB_S), _LONGEST_TURN_S)


_RUNNING: Final = _Running()


class _Watch:
    """Looks after a running job until there is a reason to end it."""

    def __init__(self, job: Job, *, pump: Pump, tree: endings.Tree, clock: Clock) -> None:
        now = clock.awake()
        idle_s = job.limits.idle_s
        self._pump = pump
        self._tree = tree
        self._clock = clock
        self._clocks = _Clocks(job.limits, now)
        self._beat_s = min(_BEAT_S, idle_s / 8) if idle_s is not None else _BEAT_S
        self._beaten = now
        self._seen = endings.Signs()

    def until_over(self, stop: threading.Event, on_beat: Callable[[], None] | None) -> Reason:
        """Return why the job is over; it may still run."""
        while True:
            wrote = self._pump.turn(_RUNNING.turn_s())
            if self._pump.exited:
                return "exited"
            if stop.is_set():
                return "stopped"
            now = self._clock.awake()
            if wrote:
                self._clocks.wrote(now)
            if now - self._beaten >= self._beat_s:
                self._beat(now)
                if on_beat is not None:
                    on_beat()
            reason = self._clocks.over(now)
            if reason is not None:
                return reason

    def _beat(self, now: float) -> None:
        passed, self._beaten = now - self._beaten, now
        if not isinstance(self._tree, endings.JobTree):
            self._clocks.worked(now)  # CPU time is not known here: only silence and wall hold
            return
        signs = self._tree.watch(age_s=self._beat_s)
        is_busy = signs.cpu_s - self._seen.cpu_s > passed * _IDLE_SHARE
        if is_busy or signs.pids != self._seen.pids:
            self._clocks.worked(now)
        self._clocks.halted(now, is_halted=signs.is_halted)
        self._seen = signs


def run_job(
    job: Job,
    *,
    stop: threading.Event,
    clock: Clock,
    on_beat: Callable[[], None] | None = None,
    on_start: Callable[[], None] | None = None,
) -> Ended:
    """Run *job* and return when its whole process tree is gone.

    Blocks its thread; any number may run in threads of one process. *stop* ends the job early.
    *on_start* is called once the first process has what it inherits. *on_beat* is called in this
    thread about once a second; what it raises ends the tree and is passed on. A program that cannot
    be started is a result, not an exception; `EnvironmentFailedError` is raised when the output
    file cannot be made.
    """
    began = clock.elapsed()
    if stop.is_set():
        return _not_started("stopped", "stopped before it was started", 0.0)
    become_subreaper()
    try:
        limit = job.limits.output_bytes
        log = BoundedLog(job.output, limit, job.secrets, said=job.goes_on)
    except OSError as error:
        raise EnvironmentFailedError(
            f"the output file {job.output} cannot be made: {error}"
        ) from error
    try:
        process, pipe, told = start(job)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.finish()
        return _not_started("spawn_failed", why_not(job, error), clock.elapsed() - began)
    if on_start is not None:
        on_start()
    with Pump(log, pipe=pipe, ended=lambda: process.poll() is not None) as pump, _RUNNING:
        tree = _tree(job, process, clock)
        pump.watch(process.pid)
        watch = _Watch(job, pump=pump, tree=tree, clock=clock)
        sight = endings.Glimpse((process.pid,))
        left: tuple[int, ...] = ()
        try:
            reason = watch.until_over(stop, on_beat)
            sight = tree.look() if reason == "exited" else sight
        finally:
            if not sight.is_quiet:
                left = _end(job, tree, pump=pump, clock=clock)
            status = process.poll() if process.pid in left else process.wait()
            has_begun, own = heard(told)
        pump.drain()
    if reason == "exited" and not has_begun and status is not None and status >= 0:
        message = f"the sandbox could not be made: {last_line(job.output, log.start)}"
        return _not_started("spawn_failed", message, clock.elapsed() - began)
    leftover = len(set(sight.running) - own) if reason == "exited" else 0
    return Ended(
        status=status if status is not None and status >= 0 else None,
        signal=-status if status is not None and status < 0 else None,
        reason=reason,
        message=_message(job.limits, reason, status, leftover=leftover, left=left),
        wall_s=clock.elapsed() - began,
        output_bytes=log.total,
        truncated=log.dropped > 0,
        leftover=leftover,
        left=left,
        output_start=log.start,
    )


def sweep(tag: str, *, grace_s: float, clock: Clock | None = None) -> int:
    """End what a runtime that died has left of the job *tag*; return how many processes it was.

    Waits until they are gone: the place of the job may be used again afterwards. This process and
    its ancestors are spared. `EnvironmentFailedError` is raised when some outlive SIGKILL. Without
    /proc there is nothing to find them by, and 0 is returned.
    """
    if not HAS_PROC:
        return 0
    clock = clock or SystemClock()
    tree = endings.JobTree(tag, root=None, clock=clock)
    sight = tree.look()
    left: tuple[int, ...] = ()
    if not sight.is_quiet:
        left = endings.end(tree, grace_s=grace_s, clock=clock, pause=clock.wait)
    if left:
        raise EnvironmentFailedError(
            f"{len(left)} processes of an earlier attempt do not end", tag=tag, pids=list(left)
        )
    return len(sight.running)


def tagged(prefix: str) -> dict[str, tuple[int, ...]]:
    """Return the tags that begin with *prefix* and the processes that carry each."""
    found: dict[str, tuple[int, ...]] = {}
    if HAS_PROC:
        for pid, tag in proctree.tags():
            if tag.startswith(prefix):
                found[tag] = (*found.get(tag, ()), pid)
    return found


def capabilities() -> Capabilities:
    """Return what can be promised on this system."""
    note = "every process of a job is found and ended"
    if not HAS_PROC:
        note = "no /proc of our own: what leaves its group outlives its job; no idle limits"
    return Capabilities(
        escape_proof=HAS_PROC,
        subreaper=become_subreaper(),
        pidfd=hasattr(os, "pidfd_open"),
        note=note,
    )


def _tree(job: Job, process: "subprocess.Popen[bytes]", clock: Clock) -> endings.Tree:
    root = proctree.read_process(process.pid) if HAS_PROC else None
    if root is None:
        return endings.GroupTree(process)
    proctree.set_mark(process.pid, job.tag)
    is_wrapped = job.sandbox is not None
    return endings.JobTree(job.tag, root=root, clock=clock, is_wrapped=is_wrapped)


def _end(job: Job, tree: endings.Tree, *, pump: Pump, clock: Clock) -> tuple[int, ...]:
    def pause(seconds: float) -> None:
        # What ends may still print; a full pipe must not hold it up. Output does not shorten the
        # pause, else a talkative process would have all of /proc read in a tight loop.
        until = clock.elapsed() + seconds
        while pump.turn(max(until - clock.elapsed(), 0.0)) and clock.elapsed() < until:
            pass

    return endings.end(tree, grace_s=job.limits.grace_s, clock=clock, pause=pause)


def _not_started(reason: Reason, message: str, wall_s: float) -> Ended:
    return Ended(
        status=None,
        signal=None,
        reason=reason,
        message=message,
        wall_s=wall_s,
        output_bytes=0,
        truncated=False,
    )


def _message(
    limits: ProcessLimits,
    reason: Reason,
    status: int | None,
    *,
    leftover: int,
    left: tuple[int, ...],
) -> str:
    said = {
        "wall": f"it ran for {limits.wall_s:g} s, its limit" if limits.wall_s is not None else "",
        "idle": f"no output and no work for {limits.idle_s:g} s" if limits.idle_s else "",
        "silence": f"no output for {limits.silence_s:g} s" if limits.silence_s else "",
        "halted": "all of its processes were stopped by a signal, and nobody let them go on",
        "stopped": "stopped on request",
        "exited": _exit(status),
    }[reason]
    if leftover:
        said += f"; processes that it had left behind were ended: {leftover}"
    if left:
        said += f"; these do not end: {', '.join(map(str, left))}"
    return said


def _exit(status: int | None) -> str:
    if status is None:
        return "it does not end"
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"ended by {Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"
