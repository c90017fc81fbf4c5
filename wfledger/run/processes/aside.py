"""Asking a process of its own: whatever becomes of it, who asks stays as it was.

Question and answer are files without a name, so nothing is left behind when either side is killed.
The module that answers has `main(question, answer)`, which is given two descriptors, limits itself
(`limiting`) before it reads more than it must, and returns its exit status.
"""

import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.clock import Clock
from wfledger.run.processes.environment import build
from wfledger.run.processes.process import Ended, Job, ProcessLimits, run_job

#: How long processes that are left of one are given to end.
GRACE_S: Final = 2.0
_LOG_BYTES: Final = 2**16
#: Signals that say nothing of the question: somebody else has ended the process. What it allows
#: itself ends it by SIGXCPU, or not at all.
_FROM_OUTSIDE: Final = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM}
)
#: How often a process is started for one question, where others end it.
_TRIES: Final = 3
_ROOT: Final = str(Path(__file__).parents[3])
#: The folder of the package stands after the standard library's: it may be anything's home.
_START: Final = (
    "import sys; from importlib import import_module; sys.path.append(sys.argv[1]); "
    "sys.exit(import_module(sys.argv[2]).main(int(sys.argv[3]), int(sys.argv[4])))"
)


@dataclass(frozen=True)
class Errand:
    """What is asked, of which module, and how long that may take."""

    #: Full name of the module that answers.
    module: str
    question: bytes
    #: Where the process runs.
    folder: Path
    #: What it prints; removed when it has answered.
    log: Path
    #: By which its processes are found again.
    tag: str
    wall_s: float


@dataclass(frozen=True)
class Said:
    """The answer, and how the process that gave it ended."""

    answer: bytes
    ended: Ended

    @property
    def is_out_of_time(self) -> bool:
        """Whether it was ended because it computed for too long."""
        return self.ended.signal == signal.SIGXCPU

    @property
    def is_cut_off(self) -> bool:
        """Whether somebody else has ended it, within its limits and unasked."""
        return self.ended.reason == "exited" and self.ended.signal in _FROM_OUTSIDE


def ask(errand: Errand, *, stop: threading.Event, clock: Clock) -> Said:
    """Run *errand* to its end and return what it came to; its processes are gone then.

    Where somebody else ends the process, the same is asked again.
    """
    for _ in range(_TRIES - 1):
        said = _ask(errand, stop=stop, clock=clock)
        if not said.is_cut_off or stop.is_set():
            return said
    return _ask(errand, stop=stop, clock=clock)


def _ask(errand: Errand, *, stop: threading.Event, clock: Clock) -> Said:
    with ExitStack() as files:
        question = files.enter_context(tempfile.TemporaryFile())
        answer = files.enter_context(tempfile.TemporaryFile())
        question.write(errand.question)
        question.flush()
        question.seek(0)
        kept = (question.fileno(), answer.fileno())
        job = Job(
            argv=(sys.executable, "-I", "-c", _START, _ROOT, errand.module, *map(str, kept)),
            cwd=errand.folder,
            env=build((), {}, errand.folder),
            output=errand.log,
            limits=ProcessLimits(wall_s=errand.wall_s, output_bytes=_LOG_BYTES, grace_s=GRACE_S),
            tag=errand.tag,
            keep_open=kept,
        )
        ended = run_job(job, stop=stop, clock=clock)
        answer.seek(0)
        return Said(answer.read(), ended)
