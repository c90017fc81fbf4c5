"""Every change of the ledger, killed at every fault point that it passes.

The matrix is generated: the changes are listed here, the points are those that a change reaches.
Afterwards the ledger is opened again and mended, everything acknowledged is there, and the change
can be made or made again.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.support import crashing, processes
from tests.support.clock import FakeClock
from tests.support.invariants import check_ledger
from tests.support.ledgers import make_ledger, make_task, open_ledger, record
from tests.support.marks import rarely
from wfledger import faults
from wfledger.core.documents import Result, Run
from wfledger.core.statuses import TRANSITIONS, Actor, Status
from wfledger.errors import EnvironmentFailedError
from wfledger.store import folders
from wfledger.store.claiming import take_back
from wfledger.store.ledger import Ledger
from wfledger.store.rebuild import redo
from wfledger.store.repair import repair

#: Late enough that whatever lies in tmp/ is old.
LATER = datetime(2040, 1, 1, tzinfo=UTC)

#: How a task comes to each status, from waiting on.
WAYS: dict[Status, tuple[Status, ...]] = {
    Status.WAITING: (),
    Status.PENDING: (Status.PENDING,),
    Status.IN_PROGRESS: (Status.PENDING, Status.IN_PROGRESS),
    Status.MERGING: (Status.PENDING, Status.IN_PROGRESS, Status.MERGING),
    Status.DONE: (Status.PENDING, Status.IN_PROGRESS, Status.MERGING, Status.DONE),
    Status.BLOCKED: (Status.BLOCKED,),
    Status.CANCELLED: (Status.CANCELLED,),
}


def _step(ledger: Ledger, target: Status) -> None:
    """Move r.a along an arrow, by the first actor that may; the claim is a claim."""
    entry = ledger.get("r.a")
    arrow = TRANSITIONS[entry.status, target]
    facts = {"attempt": entry.task.attempt + 1} if target is Status.PENDING else {}
    with ledger.transaction("test") as changes:
        if target is Status.IN_PROGRESS:
            changes.claim("r.a", record("ana"))
        else:
            changes.move("r.a", target, actor=min(arrow.actors), why="test", **facts)


def _prepare(source: Status, folder: Path) -> None:
    ledger = make_ledger(folder)
    folders.create(ledger.layout)
    with ledger.transaction("author") as changes:
        changes.add(make_task("r.a"))
        changes.add(make_task("r.bystander"))
    for target in WAYS[source]:
        _step(ledger, target)


def _move(target: Status, folder: Path) -> None:
    _step(open_ledger(folder), target)


def _add(folder: Path) -> None:
    with open_ledger(folder).transaction("author") as changes:
        changes.add(make_task("r.new"))


def _update(folder: Path) -> None:
    with open_ledger(folder).transaction("scheduler") as changes:
        changes.update("r.a", why="test", overtaken=1)


def _run() -> Run:
    return Run(id="r", seq=1, created="", branch="refs/heads/wf/r", target="refs/heads/main", base="0" * 40)


def _put_run(folder: Path) -> None:
    with open_ledger(folder).transaction("author") as changes:
        changes.put_run(_run(), why="test")


def _put_result(folder: Path) -> None:
    with open_ledger(folder).transaction("worker") as changes:
        changes.put_result(Result(task="r.a", attempt=1, status="succeeded"))


def _several(folder: Path) -> None:
    with open_ledger(folder).transaction("test") as changes:
        changes.put_result(Result(task="r.a", attempt=1, status="succeeded"))
        if changes.get("r.a").status is Status.IN_PROGRESS:  # a part may be done already
            changes.move("r.a", Status.MERGING, actor=Actor.WORKER, why="test")
        changes.move("r.bystander", Status.PENDING, actor=Actor.SCHEDULER, why="test", attempt=1)


def _rotate(folder: Path) -> None:
    ledger = open_ledger(folder)
    with ledger.transaction("author") as changes:
        changes.add(make_task("r.new"))
    with ledger.locks.hold("ledger"):
        ledger.journal.rotate()


def _adopt(folder: Path) -> None:
    """Put back what somebody has moved by hand."""
    ledger = open_ledger(folder)
    here, there = (ledger.layout.task(status, "r.a") for status in (Status.WAITING, Status.BLOCKED))
    if here.exists():
        here.rename(there)
    with ledger.transaction("scheduler") as changes:
        task = changes.get("r.a").task.next()
        changes.adopt(task, Status.BLOCKED, Status.WAITING, recorded=Status.WAITING, why="by hand")


def _take_in(folder: Path) -> None:
    """Make a task of a file that somebody has put into waiting/."""
    ledger = open_ledger(folder)
    path = ledger.layout.folder(Status.WAITING) / "new.json"
    path.write_text('{"command": "true"}')
    with ledger.transaction("scheduler") as changes:
        changes.take_in(make_task("r.new"), path, why="by hand")


@dataclass(frozen=True)
class Operation:
    """A change, and how to see whether it was made."""

    source: Status
    act: Callable[[Path], None]
    is_made: Callable[[Ledger], bool]

    def acknowledged(self, folder: Path) -> None:
        """Make the change and then say so."""
        self.act(folder)
        (folder / "acknowledged").touch()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: the disk is not what is killed here."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def _stands(task_id: str, status: Status, ledger: Ledger) -> bool:
    found = ledger.find(task_id)
    return found is not None and found.status is status


OPERATIONS = {
    **{
        f"{source.value}->{target.value}": Operation(
            source, partial(_move, target), partial(_stands, "r.a", target)
        )
        for source, target in TRANSITIONS
    },
    "add": Operation(Status.WAITING, _add, partial(_stands, "r.new", Status.WAITING)),
    "update": Operation(Status.IN_PROGRESS, _update, lambda ledger: ledger.get("r.a").task.overtaken == 1),
    "put_run": Operation(Status.WAITING, _put_run, lambda ledger: bool(ledger.runs())),
    "put_result": Operation(
        Status.IN_PROGRESS, _put_result, lambda ledger: ledger.result("r.a", 1) is not None
    ),
    "several": Operation(
        Status.IN_PROGRESS, _several, partial(_stands, "r.bystander", Status.PENDING)
    ),
    "adopt": Operation(Status.WAITING, _adopt, lambda ledger: ledger.get("r.a").task.seq > 1),
    "take_in": Operation(Status.WAITING, _take_in, partial(_stands, "r.new", Status.WAITING)),
    "rotate": Operation(Status.WAITING, _rotate, partial(_stands, "r.new", Status.WAITING)),
}


#: One change for each way in which changes are made; the full suite has them all.
SORTS = [
    "add", "update", "waiting->pending", "pending->waiting", "pending->in-progress",
    "in-progress->merging", "put_result", "several", "rotate",
]


def _later(folder: Path) -> Ledger:
    return open_ledger(folder, clock=FakeClock(LATER))


def _mend(folder: Path) -> None:
    repair(_later(folder))


def _verify(operation: Operation, folder: Path) -> None:
    _mend(folder)
    ledger = _later(folder)
    check_ledger(ledger)
    if (folder / "acknowledged").exists():
        assert operation.is_made(ledger)
    if not operation.is_made(ledger):
        operation.act(folder)
    assert operation.is_made(ledger)
    _verify_claim(ledger)
    assert {entry for status in Status for entry in ledger.names(status)} >= {"r.a", "r.bystander"}
    check_ledger(_later(folder))


def _verify_claim(ledger: Ledger) -> None:
    """A claim that nobody recorded is nobody's, and the task can be claimed again."""
    entry = ledger.get("r.a")
    if entry.status is not Status.IN_PROGRESS or ledger.is_claimed("r.a", entry.task.attempt):
        return
    with ledger.transaction("finder") as changes:
        assert take_back(ledger.layout, "r.a", entry.task.attempt)
        changes.move("r.a", Status.WAITING, actor=Actor.FINDER, why="taken back")
    _step(ledger, Status.PENDING)
    _step(ledger, Status.IN_PROGRESS)


def _matrix(folder: Path, name: str) -> int:
    operation = OPERATIONS[name]
    return crashing.die_everywhere(
        folder, partial(_prepare, operation.source), operation.acknowledged, partial(_verify, operation)
    )


def _all(folder: Path, names: list[str]) -> dict[str, int]:
    return {name: _matrix(folder / str(number), name) for number, name in enumerate(names)}


@pytest.mark.long
def test_change_of_every_other_sort_survives_a_death_at_every_point(memory: Path) -> None:
    deaths = processes.start(_all, memory, SORTS[::2]).result()
    assert min(deaths.values()) >= 8, deaths


@pytest.mark.long
@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_every_change_survives_a_death_at_every_point(memory: Path) -> None:
    for name in OPERATIONS:
        assert processes.start(_all, memory / name.replace(">", ""), [name]).result()[name] >= 8


# -- recovery is killed as well ------------------------------------------------------------------


def _snapshot(folder: Path) -> dict[str, bytes]:
    root = folder / "ledger"
    files = (path for path in root.rglob("*") if path.is_file() and path.name != ".keep")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _recovered_alike(folder: Path) -> None:
    """Kill recovery at each of its points; whoever recovers then comes to the same end."""
    ends: list[dict[str, bytes]] = []

    def prepare(case: Path) -> None:
        for name in ("ledger", "local"):
            _copy(folder / name, case / name)

    def verify(case: Path) -> None:
        _mend(case)
        check_ledger(_later(case))
        ends.append(_snapshot(case))

    crashing.die_everywhere(folder.with_name(folder.name + "-again"), prepare, _mend, verify)
    assert all(end == ends[-1] for end in ends)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)


def _doubly(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        operation = OPERATIONS[name]
        crashing.die_everywhere(
            folder / str(number), partial(_prepare, operation.source), operation.act, _recovered_alike
        )


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [*(rarely(name) if name == "several" else name for name in SORTS), "adopt", "take_in"]
)
def test_killed_recovery_of_a_change_comes_to_the_same_end(memory: Path, name: str) -> None:
    processes.start(_doubly, memory, [name]).result()


# -- damage and loss -----------------------------------------------------------------------------


def _damage(folder: Path) -> None:
    """Fill a ledger and do to it what power loss, people and other programs do."""
    _prepare(Status.IN_PROGRESS, folder)
    ledger = open_ledger(folder)
    with ledger.transaction("author") as changes:
        for name in ("zero", "twice", "gone", "moved", "stale"):
            changes.add(make_task(f"r.{name}"))
        changes.put_run(_run(), why="test")
        changes.move("r.stale", Status.PENDING, actor=Actor.SCHEDULER, why="", attempt=1)
    layout = ledger.layout
    waiting = partial(layout.task, Status.WAITING)
    waiting("r.zero").write_bytes(b"")
    layout.task(Status.BLOCKED, "r.twice").write_bytes(waiting("r.twice").read_bytes())
    waiting("r.gone").unlink()
    waiting("r.moved").rename(layout.task(Status.MERGING, "r.moved"))
    layout.task(Status.PENDING, "r.stale").unlink()
    waiting("r.stale").write_bytes(json.dumps({"half": 1}).encode()[:5])
    layout.claim("r.a", 1).unlink()
    (layout.root / "runs" / "r.json").write_bytes(b"")
    (layout.tmp / "999999-1.tmp").write_bytes(b"half")


def _redo(folder: Path) -> None:
    redo(_later(folder), [])


def _verify_mended(folder: Path) -> None:
    _mend(folder)
    ledger = _later(folder)
    check_ledger(ledger)
    where = {name: status for status in Status for name in ledger.names(status)}
    assert where == {
        "r.a": Status.IN_PROGRESS, "r.bystander": Status.WAITING, "r.zero": Status.WAITING,
        "r.twice": Status.WAITING, "r.gone": Status.WAITING, "r.moved": Status.WAITING,
        "r.stale": Status.PENDING,
    }
    assert ledger.run("r") == _run()


def _killed_while(folder: Path, name: str, stride: int) -> int:
    def passes(numbers: list[int]) -> list[int]:
        return [number for number in numbers if number % stride == 0]

    act = {"repair": _mend, "redo": _redo}[name]
    return crashing.die_everywhere(folder, _damage, act, _verify_mended, passes=passes)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ["repair", "redo"])
def test_mending_of_damage_survives_a_death(memory: Path, name: str) -> None:
    assert processes.start(_killed_while, memory, name, 7).result() > 5


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["repair", "redo"])
def test_mending_of_damage_survives_a_death_at_every_point(memory: Path, name: str) -> None:
    assert processes.start(_killed_while, memory, name, 1).result() > 30


def _reached(folder: Path) -> set[str]:
    """Return the fault points that this module's changes pass."""
    trace = folder / "trace-all"
    seen: set[str] = set()
    for number, operation in enumerate(OPERATIONS.values()):
        case = folder / str(number)
        case.mkdir()
        _prepare(operation.source, case)
        crashing._arm(f"trace:*:{trace}")
        operation.act(case)
        crashing._arm("")
        seen |= set(trace.read_text().split())
    return seen


def test_matrix_reaches_every_point_of_a_change(memory: Path) -> None:
    reached = processes.start(_reached, memory).result()
    elsewhere = ("ledger.restore.", "ledger.quarantine.", "ledger.finish.", "ledger.take-back.")
    ours = {name for name in faults.names() if name.startswith(("ledger.", "journal.", "atomic."))}
    assert {name for name in ours - reached if not name.startswith(elsewhere)} == set()


@pytest.mark.long
def test_change_whose_storage_fails_is_not_acknowledged_and_leaves_a_whole_ledger(
    memory: Path,
) -> None:
    processes.start(_fail_everywhere, memory).result()


def _fail_everywhere(folder: Path) -> None:
    for number, name in enumerate(("in-progress->merging", "pending->waiting", "add", "put_run")):
        operation, hit, made = OPERATIONS[name], 0, False
        while not made:
            hit += 1
            case = folder / f"{number}-{hit}"
            case.mkdir()
            _prepare(operation.source, case)
            crashing._arm(f"raise:*:{hit}")
            try:
                operation.act(case)
                made = True
            except (OSError, EnvironmentFailedError):
                pass
            crashing._arm("")
            _verify(operation, case)
