"""Single commands, as a shell runs them: `claim`, many `add` at once, `status` and `list`."""

import json
from pathlib import Path

from tests.bench import commanding
from tests.bench.measuring import Ratio, Row, Sizes, Table, best, call, call_together

_BARE = "python -c 'import click, pydantic'"
_ABSENT = "no command line"


def claim_table(sizes: Sizes, folder: Path) -> Table:
    """Measure one claim beside what any program of click and pydantic needs to start."""
    found = Table(
        f"claim from the shell, {sizes.tasks} tasks",
        ratios=[Ratio("claim", _BARE, "<=", 2.5)],
    )
    found.add(Row(_BARE, best(sizes.repeat, lambda: call(commanding.IMPORTS, folder)), "s"))
    if not commanding.is_there():
        found.add(Row("claim", None, "s", _ABSENT))
        return found
    repo = commanding.filled_ledger(folder, sizes.tasks)
    claim = best(sizes.repeat, lambda: commanding.wfledger(repo, "claim", "--worker", "bench"))
    found.add(Row("claim", claim, "s"))
    return found


def add_table(sizes: Sizes, folder: Path) -> Table:
    """Measure many `add` started at once, and count what was kept."""
    ours, theirs = f"{sizes.adds} add at once", f"{sizes.adds} bare imports at once"
    found = Table("add from the shell", ratios=[Ratio(ours, theirs, "<=", 3.0)])
    bare = [commanding.IMPORTS] * sizes.adds
    found.add(Row(theirs, best(sizes.repeat, lambda: call_together(bare, folder)), "s"))
    if not commanding.is_there():
        found.add(Row(ours, None, "s", _ABSENT))
        return found
    repo = commanding.repository(folder / "repo")
    commanding.wfledger(repo, "init")
    adds = [(*commanding.PROGRAM, "add", f"task {n}", "--", "true") for n in range(sizes.adds)]
    seconds = best(sizes.repeat, lambda: call_together(adds, repo))
    counts = json.loads(commanding.wfledger(repo, "status", "--json"))["counts"]
    lost = sizes.adds * sizes.repeat - sum(counts.values())
    found.add(Row(ours, seconds, "s", f"{lost} LOST" if lost else "all kept"))
    return found


def list_table(sizes: Sizes, folder: Path) -> Table:
    """Measure the verbs that look at everything."""
    found = Table(f"reading, {sizes.tasks} tasks")
    if commanding.is_there():
        repo = commanding.filled_ledger(folder, sizes.tasks)
    for verb in ("status", "list"):
        found.ratios.append(Ratio(verb, None, "<=", 0.3))
        if not commanding.is_there():
            found.add(Row(verb, None, "s", _ABSENT))
            continue
        args = (verb, "--json") if verb == "status" else (verb, "--status", "waiting", "--json")
        seconds = best(sizes.repeat, lambda args=args: commanding.wfledger(repo, *args))  # type: ignore[misc]
        found.add(Row(verb, seconds, "s"))
    return found
