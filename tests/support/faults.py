"""Orders for `wfledger.faults`, given to processes that a test starts."""

import os
import select
from pathlib import Path
from typing import Self

from wfledger import faults

#: How long a forced race may take to get to its point before the test fails.
PATIENCE_S = 30.0


def ordered(*orders: str) -> dict[str, str]:
    """Return the environment that gives *orders*, for `processes.start` and `run_cli`."""
    faults.parse(";".join(orders))
    return {faults.VARIABLE: ";".join(orders)}


def kill_at(name: str, hit: int = 1) -> dict[str, str]:
    """Return the environment in which a process dies at the *hit*-th time it reaches *name*."""
    return ordered(f"kill:{name}:{hit}")


def raise_at(name: str, hit: int = 1) -> dict[str, str]:
    """Return the environment in which *name* fails with EIO at its *hit*-th time."""
    return ordered(f"raise:{name}:{hit}")


def trace_to(path: Path) -> dict[str, str]:
    """Return the environment in which every point reached is appended to *path*."""
    return ordered(f"trace:*:{path}")


class Pause:
    """A place at which a process waits until the test lets it go on.

        with Pause(tmp_path, "ledger.claim.after-rename") as pause:
            worker = processes.start(claim, root, env=pause.env)
            pause.wait()        # the worker stands there now
            ...                 # what happens meanwhile
            pause.go()
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"pause-{name}"
        self.order = f"pause:{name}:{self._path}"
        self.env = ordered(self.order)
        self._ends: list[int] = []

    def __enter__(self) -> Self:
        for side in ("reached", "go"):
            fifo = f"{self._path}.{side}"
            os.mkfifo(fifo)
            # Open for both: neither side ever blocks in open(), and end of file is ours to give.
            self._ends.append(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))
        return self

    def __exit__(self, *_: object) -> None:
        self.go()
        for end in self._ends:
            os.close(end)
        self._ends.clear()

    def wait(self) -> None:
        """Return when the process stands at the point; fail after `PATIENCE_S`."""
        readable, _, _ = select.select([self._ends[0]], [], [], PATIENCE_S)
        if not readable:
            raise TimeoutError(f"nobody reached {self.order}")
        os.read(self._ends[0], 1)

    def go(self) -> None:
        """Let the process go on, now or as soon as it comes."""
        os.write(self._ends[1], b"g")
