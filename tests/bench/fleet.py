"""Many workers at once on one machine: how full its slots are, and what the supervisor takes."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import commanding
from tests.bench.measuring import Ratio, Row, Sizes, Table
from wfledger.core.statuses import Status
from wfledger.store.locks import is_alive

_EVERY_S: Final = 0.5
_FULL, _MEMORY = "slots taken while tasks are left", "supervisor's memory"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class _Sample(NamedTuple):
    """One look at the fleet."""

    elapsed: float
    taken: int
    #: Workers that run; a slot is taken longer than that, for the worktree and the result.
    running: int
    #: Tasks that nobody has begun.
    left: int
    memory_mb: float
    cpu_s: float
    threads: int


def table(sizes: Sizes, folder: Path) -> Table:
    """Measure `run` with many slots and several times as many tasks that mostly wait."""
    slots, seconds = sizes.workers, float(sizes.seconds)
    tasks = sizes.waves * slots
    found = Table(
        f"{slots} workers of {seconds:g} s at once, {tasks} tasks",
        ratios=[Ratio(_FULL, None, ">=", 0.95), Ratio(_MEMORY, None, "<=", 150.0)],
    )
    repo = commanding.repository(folder / "repo")
    commanding.wfledger(repo, "init")
    plan = _plan(folder / "plan.json", tasks, seconds)
    run = json.loads(commanding.wfledger(repo, "run", "--yes", str(plan), "--detach", "--json"))["run"]
    began = time.monotonic()
    with _supervisor(repo, run, slots) as process:
        samples = list(_samples(repo, process))
    took = time.monotonic() - began
    filled = next((i for i, one in enumerate(samples) if one.taken >= 0.95 * slots), 0)
    steady = [one for one in samples[filled:] if one.left > 0]
    share = sum(one.taken for one in steady) / (len(steady) * slots) if steady else 0.0
    found.add(Row(_FULL, share, "", f"{len(steady)} looks, full after {samples[filled].elapsed:.0f} s"))
    working = sum(one.running for one in steady) / (len(steady) * slots) if steady else 0.0
    found.add(Row("workers running meanwhile", working, "", "as a share of the slots"))
    all_run = next((one for one in samples if one.running >= 0.95 * slots), None)
    if all_run is not None:
        found.add(Row("until 95 % of the workers run", all_run.elapsed, "s"))
        found.add(Row("memory then", all_run.memory_mb, "MB"))
    found.add(Row(_MEMORY, max(one.memory_mb for one in samples), "MB"))
    found.add(Row("its threads", max(one.threads for one in samples), ""))
    found.add(Row("its time of a processor for each task", samples[-1].cpu_s / tasks, "s"))
    found.add(Row("whole run", took, "s", f"at best {sizes.waves * seconds:g} s"))
    return found


def _plan(path: Path, tasks: int, seconds: float) -> Path:
    listed = [
        {"id": f"t{n:05}", "command": f"sleep {seconds:g}; echo {n} > f{n:05}", "write": [f"f{n:05}"]}
        for n in range(tasks)
    ]
    path.write_text(json.dumps({"goal": "measure", "tasks": listed}))
    return path


@contextmanager
def _supervisor(repo: Path, run: str, slots: int) -> Iterator["subprocess.Popen[bytes]"]:
    argv = [*commanding.PROGRAM, "run", run, "--workers", str(slots)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=repo, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            yield process
        finally:
            process.kill()


def _samples(repo: Path, process: "subprocess.Popen[bytes]") -> Iterator[_Sample]:
    began = time.monotonic()
    while process.poll() is None:
        seen = _look(repo, process.pid, time.monotonic() - began)
        if seen is not None:
            yield seen
        time.sleep(_EVERY_S)


def _look(repo: Path, pid: int, elapsed: float) -> _Sample | None:
    """Return one sample; None where the process ended meanwhile."""
    live, ledger = repo / ".git/wfledger/live", repo / ".wfledger"
    folders = [ledger / status for status in (Status.WAITING, Status.PENDING)]
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    facts = dict(line.split(":", 1) for line in status.splitlines())
    if "VmRSS" not in facts:
        return None
    return _Sample(
        elapsed,
        sum(is_alive(path) for path in live.glob("slot-*")),
        _children(pid),
        sum(1 for folder in folders for _ in folder.rglob("*.json")),
        int(facts["VmRSS"].split()[0]) / 1024,
        (int(stat[11]) + int(stat[12])) / _TICKS,
        int(facts["Threads"]),
    )


def _children(pid: int) -> int:
    """Count the processes that *pid* has started and that are no git of its own."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = path.read_text().rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        count += int(fields[1]) == pid and fields[0] != "Z" and "(git" not in head
    return count
