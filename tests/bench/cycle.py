"""A whole cycle of a task that does nothing, beside the same with plain git commands."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import commanding
from tests.bench.measuring import Ratio, Row, Sizes, Table
from tests.support.repos import git

_GIT, _COLD = "plain git commands", "wfledger"


def table(sizes: Sizes, folder: Path) -> Table:
    """Measure seconds for each cycle, one after the other."""
    found = Table(
        f"one task from start to landed, {sizes.files} files",
        ratios=[Ratio(_COLD, _GIT, "<=", 0.2)],
    )
    repo = commanding.repository(folder / "plain", files=sizes.files)
    git(repo, "worktree", "add", "--quiet", "-b", "results", str(folder / "results"))
    found.add(_each(_GIT, sizes.cycles, lambda: _plain(repo, sizes.cycles)))
    if not commanding.is_there():
        found.add(Row(_COLD, None, "s", "no command line"))
        return found
    repo = commanding.repository(folder / "ours", files=sizes.files)
    commanding.wfledger(repo, "init")
    plan = str(commanding.plan(folder / "plan.json", sizes.cycles, chained=True))
    found.add(_each(_COLD, sizes.cycles, lambda: commanding.wfledger(repo, "run", "--yes", plan)))
    return found


def _each(name: str, cycles: int, action: Callable[[], object]) -> Row:
    start = time.monotonic()
    action()
    return Row(name, (time.monotonic() - start) / cycles, "s")


def _plain(repo: Path, cycles: int) -> None:
    """Do by hand what a task's cycle is: worktree, work, commit, merge, removal."""
    for number in range(cycles):
        branch, tree = f"try-{number}", repo.parent / f"try-{number}"
        git(repo, "worktree", "add", "--quiet", "-b", branch, str(tree), "results")
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", "--allow-empty", "--message=nothing")
        git(repo.parent / "results", "merge", "--quiet", "--no-ff", "--no-edit", branch)
        git(repo, "worktree", "remove", "--force", str(tree))
        git(repo, "branch", "--quiet", "--delete", "--force", branch)
