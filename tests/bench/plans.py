"""Plans of growing size: checked and submitted, and what that costs for each task."""

import time
from pathlib import Path

from tests.bench import commanding
from tests.bench.measuring import Ratio, Row, Sizes, Table

_SECONDS = {1_000: 2.0, 10_000: 15.0}


def table(sizes: Sizes, folder: Path) -> Table:
    """Measure `check` and `run --detach` together, in a fresh ledger for each size."""
    found = Table("plans checked and submitted")
    for tasks in (sizes.plan // 10, sizes.plan, sizes.plan * 10):
        name = f"{tasks} tasks"
        if not commanding.is_there():
            found.add(Row(name, None, "s", "no command line"))
            continue
        repo = commanding.repository(folder / name)
        commanding.wfledger(repo, "init")
        plan = str(commanding.plan(folder / f"{tasks}.json", tasks))
        start = time.monotonic()
        commanding.wfledger(repo, "check", plan)
        commanding.wfledger(repo, "run", "--yes", plan, "--detach")
        seconds = time.monotonic() - start
        found.add(Row(name, seconds, "s", f"{1000 * seconds / tasks:.2f} ms each"))
        if tasks in _SECONDS:
            found.ratios.append(Ratio(name, None, "<=", _SECONDS[tasks]))
    if commanding.is_there():
        _nodes(found, sizes.plan, folder)
    return found


def _nodes(found: Table, nodes: int, folder: Path) -> None:
    """Measure a tree of nodes, compiled and submitted by one call."""
    name = f"{nodes} nodes"
    repo = commanding.repository(folder / name)
    commanding.wfledger(repo, "init")
    plan = str(commanding.tree(folder / f"{nodes}-nodes.json", nodes))
    start = time.monotonic()
    commanding.wfledger(repo, "run", "--yes", plan, "--detach")
    seconds = time.monotonic() - start
    found.add(Row(name, seconds, "s", f"{1000 * seconds / nodes:.2f} ms each"))
    if nodes in _SECONDS:
        found.ratios.append(Ratio(name, None, "<=", _SECONDS[nodes]))
