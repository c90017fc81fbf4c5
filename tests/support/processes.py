"""Processes for tests: the command line, and Python functions that race each other.

Nothing sleeps: a process says through a pipe that it is ready and starts when its own pipe is
closed. Output goes to files, so that a grandchild that keeps a pipe open cannot hold a test up.
"""

import os
import pickle
import select
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

PATIENCE_S: Final = 60.0
_CHILD: Final = "from tests.support.processes import _child; _child()"
_RUNNING: Final[list["Worker"]] = []


class Cli(NamedTuple):
    """What a call of the command line came to."""

    status: int
    out: str
    err: str


class WorkerFailedError(AssertionError):
    """The function in the other process raised, or the process died."""


def run_cli(
    *args: str | Path,
    cwd: Path,
    input: str | None = None,  # noqa: A002 - the name that subprocess has for it
    env: Mapping[str, str] | None = None,
    timeout: float = PATIENCE_S,
) -> Cli:
    """Run `python -m wfledger ARGS` in *cwd*; a status below zero is the signal that ended it."""
    return run(sys.executable, "-m", "wfledger", *args, cwd=cwd, input=input, env=env, timeout=timeout)


def run(
    *argv: str | Path,
    cwd: Path,
    input: str | None = None,  # noqa: A002
    env: Mapping[str, str] | None = None,
    timeout: float = PATIENCE_S,
) -> Cli:
    """Run any program with *env* on top of the sealed environment."""
    with _scratch() as out, _scratch() as err, _stdin(input) as stdin:
        status = subprocess.run(
            [str(arg) for arg in argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=stdin,
            stdout=out,
            stderr=err,
            timeout=timeout,
            check=False,
        ).returncode
        return Cli(status, _text(out), _text(err))


def _stdin(text: str | None) -> IO[bytes]:
    stdin = _scratch()
    stdin.write((text or "").encode())
    stdin.seek(0)
    return stdin


def _scratch() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class Worker:
    """A function of an importable module, about to run in a process of its own."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...] = (),
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._order, self._answer, self._err = _scratch(), _scratch(), _scratch()
        pickle.dump((function, args), self._order)
        self._order.flush()
        self._order.seek(0)
        self._ready, ready = os.pipe()
        go, self._go = os.pipe()
        inherited = (self._answer.fileno(), ready, go)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, *map(str, inherited)],
            env={**os.environ, **(env or {})},
            stdin=self._order,
            stdout=self._err,
            stderr=self._err,
            pass_fds=inherited,
            start_new_session=True,
        )
        os.close(ready)
        os.close(go)
        _RUNNING.append(self)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ready(self) -> None:
        """Return when the process has imported everything and waits for `go`."""
        waiting = select.poll()
        waiting.register(self._ready, select.POLLIN | select.POLLHUP)
        readable = waiting.poll(PATIENCE_S * 1000)
        if not readable or not os.read(self._ready, 1):
            raise WorkerFailedError(f"{self.name} did not start:\n{self.output()}")

    def go(self) -> None:
        """Let the function begin."""
        os.close(self._go)
        self._go = -1

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """Return the exit status; below zero, the signal that ended the process."""
        return self._process.wait(within_s)

    def result(self, within_s: float = PATIENCE_S) -> Any:
        """Wait and return what the function returned, or raise with its traceback."""
        status = self.wait(within_s)
        if status != 0:
            raise WorkerFailedError(f"{self.name} ended with {status}:\n{self.output()}")
        self._answer.seek(0)
        return pickle.load(self._answer)

    def output(self) -> str:
        """Return what the process has printed so far, both streams together."""
        return _text(self._err)

    def kill(self) -> None:
        """SIGKILL the process and wait for it; nothing happens when it has ended."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill what still runs and give the descriptors back."""
        self.kill()
        for end in (self._ready, self._go):
            if end >= 0:
                os.close(end)
        self._ready = self._go = -1
        for file in (self._order, self._answer, self._err):
            file.close()
        if self in _RUNNING:
            _RUNNING.remove(self)


def start(function: Callable[..., Any], *args: Any, env: Mapping[str, str] | None = None) -> Worker:
    """Run `function(*args)` in another process and return once it has begun."""
    worker = Worker(function, args, env=env)
    worker.ready()
    worker.go()
    return worker


def race(
    function: Callable[..., Any],
    arguments: Iterable[tuple[Any, ...]],
    *,
    env: Mapping[str, str] | None = None,
    within_s: float = PATIENCE_S,
) -> list[Any]:
    """Run *function* once for each of *arguments*, all at the same moment; return the results."""
    workers = [Worker(function, args, env=env) for args in arguments]
    try:
        for worker in workers:
            worker.ready()
        for worker in workers:
            worker.go()
        return [worker.result(within_s) for worker in workers]
    finally:
        for worker in workers:
            worker.close()


def end_all() -> None:
    """End what tests left running."""
    while _RUNNING:
        _RUNNING[-1].close()


def _child() -> None:
    """Be the other process: load the order, say ready, wait for go, answer."""
    answer, ready, go = (int(number) for number in sys.argv[1:])
    function, args = pickle.load(sys.stdin.buffer)
    os.write(ready, b"r")
    os.close(ready)
    os.read(go, 1)
    try:
        value = function(*args)
    except BaseException:
        traceback.print_exc()
        sys.exit(70)
    with os.fdopen(answer, "wb") as file:
        pickle.dump(value, file)
