"""Claims by several processes at once: wfledger beside queues and bare file operations."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import bare, queues
from tests.bench.measuring import Ratio, Row, Sizes, Table, rate, take_all
from tests.support import ledgers
from wfledger.clock import SystemClock
from wfledger.core.statuses import Status
from wfledger.errors import StaleError

OURS, FULL, DEFAULT, SAME = "wfledger", "litequeue FULL", "litequeue", "bare, same operations"


def table(sizes: Sizes, folder: Path) -> Table:
    """Measure every queue with the same number of tasks and processes."""
    found = Table(f"claims a second, {sizes.processes} processes, {sizes.tasks} tasks")
    seats = [(seat, sizes.processes) for seat in range(sizes.processes)]
    found.add(_row(OURS, sizes, folder / "ours", fill_ledger, [(drain_ledger, s) for s in seats]))
    for name, durable in ((SAME, True), ("bare rename", False)):
        work = partial(bare.drain, durable=durable)
        found.add(_row(name, sizes, folder / name, bare.fill, [(work, s) for s in seats]))
    for name, fill, drain, args in _peers():
        works = [(drain, args)] * sizes.processes
        found.add(_peer_row(name, sizes, folder / name, fill, works))
    found.ratios += [
        Ratio(OURS, FULL, ">=", 3.0), Ratio(OURS, DEFAULT, ">=", 1.0), Ratio(OURS, SAME, ">=", 0.4)
    ]  # fmt: skip
    return found


def _peers() -> list[tuple[str, Callable[..., None], Callable[..., Any], tuple[str, ...]]]:
    lite = (queues.fill_litequeue, queues.drain_litequeue)
    return [
        (FULL, *lite, ("FULL",)),
        (DEFAULT, *lite, ("NORMAL",)),
        ("huey sqlite", partial(queues.fill_huey, kind="sqlite"), queues.drain_huey, ("sqlite",)),
        ("huey files", partial(queues.fill_huey, kind="files"), queues.drain_huey, ("files",)),
        ("persistqueue", queues.fill_persist, queues.drain_persist, ()),
    ]


def _peer_row(
    name: str, sizes: Sizes, folder: Path, fill: Callable[..., None], works: list[Any]
) -> Row:
    package = name.partition(" ")[0]
    if importlib.util.find_spec(package) is None:
        return Row(name, None, "/s", "not installed: pip install '.[bench]'")
    return _row(name, sizes, folder, fill, works)


def _row(
    name: str, sizes: Sizes, folder: Path, fill: Callable[..., None], works: list[Any]
) -> Row:
    folder.mkdir()
    fill(folder, sizes.tasks)
    # What filling left in the page cache must not be written out at the cost of the first claims.
    os.sync()
    arguments = [(folder, work, args) for work, args in works]
    return rate(name, _at, arguments, expected=sizes.tasks)


def _at(folder: Path, work: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return work(folder, *args)


# -- wfledger ------------------------------------------------------------------------------------


def fill_ledger(folder: Path, count: int) -> None:
    """Create a ledger outside git with *count* tasks on offer."""
    ledgers.put(ledgers.make_ledger(folder), Status.PENDING, *queues.names(count))


def drain_ledger(folder: Path, seat: int, seats: int) -> tuple[float, float, list[str]]:
    """Claim one task in each transaction, durable when it returns, until nothing is left."""
    return take_all(partial(_claims, folder, seat / seats))


def _claims(folder: Path, share: float) -> Iterator[str]:
    ledger = ledgers.open_ledger(folder, clock=SystemClock())
    record = ledgers.record(f"w{share}")
    offered = ledger.names(Status.PENDING)
    first = int(len(offered) * share)
    for name in offered[first:] + offered[:first]:
        if not ledger.layout.task(Status.PENDING, name).exists():
            continue
        try:
            with ledger.transaction(record.worker) as changes:
                changes.claim(name, record)
        except StaleError:
            continue
        yield name
