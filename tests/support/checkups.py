"""A ledger that has been lived in, and the doctor's look at it."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.support.landings import land
from tests.support.repos import git
from tests.support.workspaces import (
    BRANCH,
    add_task,
    make_workspace,
    open_workspace,
    put_merging,
    start,
)
from wfledger.clock import SystemClock
from wfledger.core.statuses import Status
from wfledger.run.commit import commit_journal
from wfledger.run.doctor.checkup import Checkup, Repaired
from wfledger.run.workspace import Workspace
from wfledger.store.inspect import Finding

#: What is no departure of a ledger that somebody uses.
USUAL = {"uncommitted", "unclaimed"}


def lived_in(tmp_path: Path) -> Workspace:
    """Return a ledger with a task in each stage of its life, everything committed."""
    model = _model()
    root = tmp_path / "repo"
    shutil.copytree(model.main, root, symlinks=True)
    for path in (
        root / ".wfledger/.git", root / ".git/wfledger/ledger-path.json",
        *root.glob(".git/worktrees/*/gitdir"),
    ):  # fmt: skip
        path.write_text(path.read_text().replace(str(model.main), str(root)))
    git(root / ".wfledger", "update-index", "-q", "--refresh")
    return open_workspace(root)


@cache
def _model() -> Workspace:
    """Live in a ledger, once for all tests of this process."""
    tmp_path = Path(tempfile.mkdtemp(prefix="wfledger-lived-in-"))
    atexit.register(shutil.rmtree, tmp_path, ignore_errors=True)
    workspace = make_workspace(tmp_path, {"src/app.py": "VALUE = 1\n"})
    with workspace.ledger.transaction("test") as changes:
        changes.adopt_file("fleet.toml", why="edited")
    done = put_merging(workspace, "done", {"src/done.py": "x\n"})
    land(workspace, done)
    put_merging(workspace, "merging", {"src/merging.py": "y\n"}, write=("src/merging.py",))
    start(workspace, add_task(workspace, "working", write=("src/w",)).id)
    add_task(workspace, "waiting", write=("src/z",))
    commit_journal(workspace)
    return workspace


#: Where `lived_in` leaves its tasks.
STATUSES = {
    "r1.done": Status.DONE, "r1.merging": Status.MERGING, "r1.working": Status.IN_PROGRESS,
    "r1.waiting": Status.WAITING,
}  # fmt: skip


def checkup(root: Path) -> Checkup:
    """Return the check-up of the repository at *root*."""
    return Checkup(root, SystemClock(), Path(os.environ["XDG_STATE_HOME"]))


def look(root: Path) -> list[Finding]:
    """Return what the doctor finds that is not usual."""
    return [finding for finding in checkup(root).look() if finding.code not in USUAL]


def codes(root: Path) -> set[str]:
    """Return the codes of what the doctor finds."""
    return {finding.code for finding in look(root)}


def fix(root: Path) -> Repaired:
    """Let the doctor repair, and check what it promises of every repair."""
    repaired = checkup(root).fix(lambda _: None)
    assert repaired.failed == [], repaired.failed
    assert [finding for finding in look(root) if finding.repair] == []
    return repaired


def statuses(workspace: Workspace) -> dict[str, Status]:
    """Return where every task is."""
    found = {
        name: status for status in Status for name in workspace.ledger.names(status)
    }
    return dict(sorted(found.items()))


def branch_tip(workspace: Workspace) -> str:
    """Return the tip of the run's branch."""
    return git(workspace.main, "rev-parse", BRANCH)
