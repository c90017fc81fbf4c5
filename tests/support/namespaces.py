"""Commands in a pid namespace of their own, as containers on one directory are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.processes import Cli, run

PYTHON: Final = sys.executable


def _unshare(*, sees_own: bool = True) -> list[str]:
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    proc = ["--mount-proc"] if sees_own else []
    return ["unshare", *own, "--pid", "--fork", "--kill-child", *proc]


@cache
def can_unshare() -> bool:
    """Whether this system lets us make such namespaces."""
    try:
        return run(*_unshare(), "true", cwd=Path("/")).status == 0
    except FileNotFoundError:
        return False


def apart(*argv: str, cwd: Path, sees_own: bool = True) -> Cli:
    """Run a command to its end in a namespace; *sees_own*: with a /proc of that namespace."""
    return run(*_unshare(sees_own=sees_own), *argv, cwd=cwd)


def wf_apart(*args: str, cwd: Path) -> Cli:
    """Run wfledger to its end in a namespace of its own."""
    return apart(PYTHON, "-m", "wfledger", *args, cwd=cwd)


class Container:
    """A shell script that runs in a namespace of its own, which dies with `kill`."""

    def __init__(self, script: str, cwd: Path, log: Path) -> None:
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [*_unshare(), "sh", "-c", script], cwd=cwd, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def processes(self, word: str) -> list[int]:
        """Return the processes in it, as they are called here, that have *word* in their command."""
        found, queue = [], [self._process.pid]
        while queue:
            pid = queue.pop()
            queue += _children(pid)
            if word in _command(pid):
                found.append(pid)
        return found

    def kill(self) -> None:
        """End everything in it at once, as a host ends a container."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Wait until the script has ended."""
        return self._process.wait(60)


@contextmanager
def container(script: str, *, cwd: Path, log: Path) -> Iterator[Container]:
    """Run *script* in a namespace; nothing of it is left afterwards."""
    made = Container(script, cwd, log)
    try:
        yield made
    finally:
        made.kill()


def _children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(one) for path in threads for one in (path / "children").read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
