"""What all rows share: rows themselves, processes that start together, repeated commands."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import processes


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the flags of the command line."""

    processes: int = 8
    tasks: int = 10_000
    adds: int = 24
    files: int = 2_000
    cycles: int = 20
    plan: int = 1_000
    repeat: int = 5
    workers: int = 300
    seconds: int = 60
    waves: int = 3
    claiming: int = 15


@dataclass(frozen=True)
class Row:
    """One line of the report: how much of what, and beside what it stands.

    `value` is a rate (per second) or a duration (seconds) as `unit` says; `None` was not measured,
    and `note` says why.
    """

    name: str
    value: float | None
    unit: str
    note: str = ""


@dataclass
class Table:
    """One line of the goals: its rows, and the ratios that are asked for."""

    title: str
    rows: list[Row] = field(default_factory=list)
    ratios: list["Ratio"] = field(default_factory=list)

    def value(self, name: str) -> float | None:
        """Return what a row measured."""
        return next((row.value for row in self.rows if row.name == name), None)

    def add(self, row: Row) -> None:
        """Append a row, and say so on stderr: a whole run takes minutes."""
        print(f"  {row.name}: {shown(row)}", file=sys.stderr, flush=True)
        self.rows.append(row)


@dataclass(frozen=True)
class Ratio:
    """`ours / theirs` and the bound it is held against: `>=` or `<=` of *goal*.

    Without *theirs* our value itself is held against the goal.
    """

    ours: str
    theirs: str | None
    sign: str
    goal: float


def shown(row: Row) -> str:
    """Return the value of a row for people."""
    if row.value is None:
        return f"- ({row.note})"
    digits = 0 if row.value >= 100 else 3 if row.value < 10 else 1
    return f"{row.value:,.{digits}f} {row.unit}" + (f" ({row.note})" if row.note else "")


def take_all(take: Callable[[], Iterable[str]]) -> tuple[float, float, list[str]]:
    """Run a worker's loop; return when it began, when it ended, and what it got."""
    start = time.monotonic()
    taken = list(take())
    return start, time.monotonic(), taken


def rate(
    name: str, worker: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], *, expected: int
) -> Row:
    """Start one process for each of *arguments* at once; return claims a second.

    The time is from the first start to the last end. What was lost or given out twice is noted.
    """
    results = processes.race(worker, arguments)
    taken = [item for _, _, items in results for item in items]
    seconds = max(end for _, end, _ in results) - min(start for start, _, _ in results)
    lost, doubled = expected - len(set(taken)), len(taken) - len(set(taken))
    faults = [f"{count} {what}" for count, what in ((lost, "LOST"), (doubled, "TWICE")) if count]
    return Row(name, len(taken) / seconds, "/s", ", ".join(faults))


def best(repeat: int, action: Callable[[], object]) -> float:
    """Return the seconds that the fastest of *repeat* calls took."""
    return min(_seconds(action) for _ in range(repeat))


def _seconds(action: Callable[[], object]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def call(argv: Sequence[str], cwd: Path, *, env: Mapping[str, str] | None = None) -> str:
    """Run a program that must succeed; return its standard output."""
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout.decode()


def call_together(commands: Sequence[Sequence[str]], cwd: Path) -> list[int]:
    """Start every command at once, wait for all, return their statuses."""
    quiet = subprocess.DEVNULL
    started = [subprocess.Popen(argv, cwd=cwd, stdout=quiet, stderr=quiet) for argv in commands]
    return [process.wait() for process in started]
