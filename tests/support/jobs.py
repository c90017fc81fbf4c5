"""Jobs for tests, and proof that nothing of them is left.

The proof is a pipe that every process of a job inherits: its read end is at end of file when the
last of them is gone.
"""

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wfledger.clock import Clock, SystemClock
from wfledger.run.processes.process import Ended, Job, ProcessLimits, run_job

PATIENCE_S: Final = 60.0


class Leash:
    """A pipe that a job's processes hold and may write to."""

    def __init__(self) -> None:
        self._read, self.fd = os.pipe()

    def line(self) -> str:
        """Wait for the next line that a process of the job writes to the descriptor."""
        text = b""
        while not text.endswith(b"\n"):
            readable, _, _ = select.select([self._read], [], [], PATIENCE_S)
            piece = os.read(self._read, 1) if readable else b""
            assert piece, f"no line, only {text!r}"
            text += piece
        return text.decode().strip()

    def let_go(self) -> None:
        """Close the test's own write end."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def held(self) -> bool:
        """Whether any process still holds the pipe; what is in it is thrown away."""
        self.let_go()
        os.set_blocking(self._read, False)
        try:
            while os.read(self._read, 65536):
                pass
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        """Give the descriptors back."""
        self.let_go()
        os.close(self._read)


@contextmanager
def leash() -> Iterator[Leash]:
    """Make a `Leash` for one job."""
    made = Leash()
    try:
        yield made
    finally:
        made.close()


def job(
    folder: Path,
    *argv: str,
    limits: ProcessLimits | None = None,
    tag: str | None = None,
    keep_open: tuple[int, ...] = (),
) -> Job:
    """Return a job that runs *argv* in *folder*, where its output goes too."""
    tag = tag or f"test:{folder}"
    return Job(
        argv=argv,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LEASH": str(keep_open[0]) if keep_open else ""},
        output=folder / "output",
        limits=limits or ProcessLimits(grace_s=0.2),
        tag=tag,
        keep_open=keep_open,
    )


def python(script: str) -> tuple[str, ...]:
    """Return the arguments that run *script* with `say(text)`, which writes to the leash."""
    head = "import os, sys, signal, time\ndef say(text): os.write(int(os.environ['LEASH']), f'{text}\\n'.encode())\n"
    return (sys.executable, "-S", "-E", "-c", head + script)


def shell(script: str) -> tuple[str, ...]:
    """Return the arguments that run *script* in a shell."""
    return ("/bin/sh", "-c", script)


class Running:
    """A job in a thread of this process."""

    def __init__(self, work: Job, clock: Clock | None = None) -> None:
        self.stop = threading.Event()
        self._clock = clock or SystemClock()
        self._ended: list[Ended] = []
        self._thread = threading.Thread(target=self._run, args=(work,))
        self._thread.start()

    def end(self) -> Ended:
        """Wait for the job and return how it ended."""
        self._thread.join(PATIENCE_S)
        assert self._ended, "the job did not end"
        return self._ended[0]

    def _run(self, work: Job) -> None:
        self._ended.append(run_job(work, stop=self.stop, clock=self._clock))


def run(work: Job, *, on_beat: Callable[[], None] | None = None) -> Ended:
    """Run *work* here."""
    return run_job(work, stop=threading.Event(), clock=SystemClock(), on_beat=on_beat)
