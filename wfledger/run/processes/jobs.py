"""What a job is, and how its first process comes into the world: marked, and shut in if asked."""

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wfledger.core.text import clean_line
from wfledger.run.processes import proctree
from wfledger.run.processes.proctree import TAG_NAME
from wfledger.run.processes.sandbox import VARIABLES, Sandbox


@dataclass(frozen=True)
class ProcessLimits:
    """What a job is ended for, None for no limit; seconds in which the machine sleeps are none."""

    wall_s: float | None = None
    #: No output, and next to no CPU time of the whole tree.
    idle_s: float | None = None
    #: No output.
    silence_s: float | None = None
    #: All of its processes are stopped by a signal; an idle or silent job that is says so too.
    halted_s: float | None = None
    #: Bytes of output that are kept: the first and the last half.
    output_bytes: int = 10 * 2**20
    #: Between SIGTERM and SIGKILL.
    grace_s: float = 5.0


@dataclass(frozen=True)
class Job:
    """A program to run; no shell is involved."""

    argv: tuple[str, ...]
    cwd: Path
    #: The whole environment; `WFLEDGER_TAG` is added.
    env: Mapping[str, str]
    #: Standard output and error of the job; replaced if it is there, unless it goes on.
    output: Path
    limits: ProcessLimits
    #: Names this job alone; what carries it is found and ended even after a crash of the runtime.
    tag: str
    #: Descriptors that the job's processes inherit, such as a liveness lock.
    keep_open: tuple[int, ...] = ()
    #: What it runs in; None for nothing.
    sandbox: Sandbox | None = None
    #: Blotted out of its output before any of it is written.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    #: Written between what is in the output file already and what this job writes; None: replace.
    goes_on: str | None = None


def start(job: Job) -> tuple["subprocess.Popen[bytes]", int, int | None]:
    """Start the job's first process.

    Returns it, the read end of its output, and the one that a sandbox tells its state to.
    """
    if not job.argv:
        raise ValueError("the command is empty")
    read, write = os.pipe()
    told, tell = os.pipe() if job.sandbox is not None else (None, None)
    try:
        with proctree.born_with_mark(job.tag):
            process = subprocess.Popen(
                _shut_in(job, tell),
                cwd=job.cwd,
                env={**job.env, **(VARIABLES if job.sandbox else {}), TAG_NAME: job.tag},
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                start_new_session=True,
                pass_fds=(*job.keep_open, *(() if tell is None else (tell,))),
            )
    except BaseException:
        os.close(read)
        if told is not None:
            os.close(told)
        raise
    finally:
        os.close(write)
        if tell is not None:
            os.close(tell)
    return process, read, told


def _shut_in(job: Job, tell: int | None) -> tuple[str, ...]:
    """Return the command line of the job's first process."""
    if job.sandbox is None or tell is None:
        return job.argv
    # Bubblewrap would say in the output, as if the worker did, that there is no such program.
    program = str(job.cwd / job.argv[0]) if "/" in job.argv[0] else job.argv[0]
    if shutil.which(program, path=job.env.get("PATH", os.defpath)) is None:
        code = errno.EACCES if Path(program).exists() else errno.ENOENT
        raise OSError(code, os.strerror(code))
    return job.sandbox.argv(job.argv, cwd=job.cwd, status=tell)


def heard(told: int | None) -> tuple[bool, frozenset[int]]:
    """Return whether the command was run to an end, and which process is the sandbox's own.

    Of a job without a sandbox nothing is told: that is as if. Closes the descriptor.
    """
    if told is None:
        return True, frozenset()
    os.set_blocking(told, False)
    said = b""
    try:
        while piece := os.read(told, 4096):
            said += piece
    except BlockingIOError:
        pass
    finally:
        os.close(told)
    own = re.findall(rb'"child-pid": (\d+)', said)
    return b'"exit-code"' in said, frozenset(map(int, own))


def last_line(output: Path, start: int = 0) -> str:
    """Return the last line that a job has written, from *start* on, made safe to show."""
    lines = output.read_bytes()[start:][-1000:].decode("utf-8", "replace").splitlines()
    return clean_line(lines[-1]) if lines else "it said nothing"


def why_not(job: Job, error: Exception) -> str:
    """Return why *job* could not be started."""
    program = job.argv[0] if job.argv else ""
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.ENOENT, errno.ENOTDIR} and not job.cwd.is_dir():
        return f"the directory {job.cwd} is not there"
    known = {
        errno.ENOENT: f"{program!r} was not found; is it installed and on the PATH of the job?",
        errno.EACCES: f"{program!r} is not an executable file",
        errno.ENOEXEC: f"{program!r} is no program of this machine, or a script without a #! line",
        errno.E2BIG: "the arguments and the environment are longer than the system allows",
        errno.EAGAIN: "the system allows no more processes",
    }
    return known.get(number or 0, f"{program!r} could not be started: {error}")
