"""Run the benchmark and print every row with the ratios that it is held against."""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from tests.bench import claims, cycle, fleet, hub, plans, shell
from tests.bench.measuring import Ratio, Sizes, Table, shown
from tests.support import sealed

FAMILIES: dict[str, Callable[[Sizes, Path], Table]] = {
    "claims": claims.table,
    "claim": shell.claim_table,
    "add": shell.add_table,
    "list": shell.list_table,
    "cycle": cycle.table,
    "plans": plans.table,
    "fleet": fleet.table,
    "hub": hub.table,
}


def main() -> int:
    """Measure the families asked for; exit status 1 when a goal is missed."""
    options = _options()
    sizes = Sizes(**{field.name: getattr(options, field.name) for field in fields(Sizes)})
    tables = []
    with tempfile.TemporaryDirectory(prefix="wfledger-bench-", dir=options.dir) as name:
        folder = Path(name)
        home = folder / "home"
        sealed.furnish(home)
        environment = sealed.variables(home)
        os.environ.clear()
        os.environ.update(environment)
        for family in options.families or FAMILIES:
            print(family, file=sys.stderr, flush=True)
            (folder / family).mkdir()
            tables.append(FAMILIES[family](sizes, folder / family))
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    missed = [_printed(table) for table in tables]
    return 1 if any(missed) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(FAMILIES))
    parser.add_argument("--dir", help="where to work (a real disk, not tmpfs)")
    for field in fields(Sizes):
        parser.add_argument(f"--{field.name}", type=int, default=field.default, metavar="N")
    options = parser.parse_args()
    unknown = set(options.families) - set(FAMILIES)
    if unknown:
        parser.error(f"no such family: {', '.join(sorted(unknown))}")
    return options


def _printed(table: Table) -> bool:
    """Print *table*; return whether one of its goals is missed."""
    print(f"\n{table.title}")
    for row in table.rows:
        print(f"  {row.name:<34} {shown(row)}")
    verdicts = [_verdict(table, ratio) for ratio in table.ratios]
    for text, _ in verdicts:
        print(f"  {text}")
    return any(missed for _, missed in verdicts)


def _verdict(table: Table, ratio: Ratio) -> tuple[str, bool]:
    ours = table.value(ratio.ours)
    theirs = table.value(ratio.theirs) if ratio.theirs else 1.0
    what = f"{ratio.ours} / {ratio.theirs}" if ratio.theirs else ratio.ours
    if ours is None or theirs is None:
        return f"= {what}: not measured", False
    found = ours / theirs
    met = found >= ratio.goal if ratio.sign == ">=" else found <= ratio.goal
    word = "met" if met else "MISSED"
    return f"= {what}: {found:.3g}, goal {ratio.sign} {ratio.goal:g}: {word}", not met


if __name__ == "__main__":
    sys.exit(main())
