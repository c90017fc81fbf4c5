"""`.wfledger/` removed while others work, and the rebuild killed at every point it passes.

Whatever a caller was told is there afterwards: each added task once, each claim with its number.
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.support import crashing, processes
from tests.support.checkups import checkup, codes, fix, look
from tests.support.repos import git, make_repo
from tests.support.workspaces import add_run, add_task, open_workspace
from wfledger.clock import SystemClock
from wfledger.core.statuses import Actor, Status
from wfledger.errors import NotFoundError, WfledgerError
from wfledger.run.attempts.claims import claim
from wfledger.run.commit import commit_journal
from wfledger.run.setup import initialise
from wfledger.run.workspace import Workspace

OFFERED = 24
ADDERS = CLAIMERS = 2


def _prepared(root: Path, *, offered: int = OFFERED) -> Workspace:
    """Make a ledger with tasks on offer, half of them committed."""
    make_repo(root, {"README.md": "x\n"})
    initialise(root, clock=SystemClock())
    workspace = open_workspace(root)
    add_run(workspace)
    for number in range(offered):
        task = add_task(workspace, f"offer{number}", write=(f"src/{number}",))
        with workspace.ledger.transaction("test") as changes:
            changes.move(task.id, Status.PENDING, actor=Actor.SCHEDULER, why="test", attempt=1)
        if number == offered // 2:
            commit_journal(workspace)
    return workspace


# -- the storm -----------------------------------------------------------------------------------


def _add_until_refused(root: Path, name: str) -> list[str]:
    """Add tasks until the ledger is gone; return what was acknowledged."""
    acknowledged: list[str] = []
    try:
        workspace = open_workspace(root)
        while True:
            task = add_task(workspace, f"{name}-{len(acknowledged)}", write=(f"{name}/x",))
            acknowledged.append(task.id)
            if len(acknowledged) % 16 == 0:
                commit_journal(workspace)
    except (WfledgerError, OSError):
        return acknowledged


def _claim_until_refused(root: Path, name: str) -> list[tuple[str, int]]:
    """Claim what is on offer until there is none or the ledger is gone."""
    acknowledged: list[tuple[str, int]] = []
    try:
        workspace = open_workspace(root)
    except (WfledgerError, OSError):
        return acknowledged  # it was gone before this one had begun
    for number in range(OFFERED):
        try:
            made = claim(workspace, worker=name, task_id=f"r1.offer{number}")
        except NotFoundError:
            break
        except (WfledgerError, OSError):
            continue
        acknowledged.append((made.task.id, made.attempt))
    return acknowledged


def _remove_under_way(root: Path) -> None:
    """Remove the ledger as soon as somebody has added something."""
    folder = root / ".wfledger"
    while not list((folder / "waiting").glob("r1/*1.json")):
        os.sched_yield()
    # What others write meanwhile may keep a folder from going; a second pass takes it.
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
    assert not folder.exists()


@pytest.mark.requirement("WFL-REC-009")
@pytest.mark.requirement("WFL-LEDGER-032")
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("round_", range(3))
def test_all_that_was_acknowledged_survives_the_removal_of_the_ledger(
    tmp_path: Path, round_: int
) -> None:
    del round_
    root = tmp_path / "repo"
    _prepared(root)
    workers = [processes.Worker(_add_until_refused, (root, f"a{n}")) for n in range(ADDERS)]
    workers += [processes.Worker(_claim_until_refused, (root, f"c{n}")) for n in range(CLAIMERS)]
    for worker in workers:
        worker.ready()
    for worker in workers:
        worker.go()
    _remove_under_way(root)
    added = [task_id for worker in workers[:ADDERS] for task_id in worker.result()]
    claimed = [pair for worker in workers[ADDERS:] for pair in worker.result()]
    assert added
    assert not (root / ".wfledger").exists()

    fix(root)

    again = open_workspace(root)
    for task_id in added:
        assert again.ledger.get(task_id).status is Status.WAITING
    for task_id, attempt in claimed:
        entry = again.ledger.get(task_id)
        assert (entry.status, entry.task.attempt) == (Status.IN_PROGRESS, attempt)
    assert len({task_id for task_id, _ in claimed}) == len(claimed)
    assert look(root) == []
    assert git(root, "status", "--short") == ""


def _add_through_the_rebuild(root: Path, name: str) -> list[str]:
    """Add tasks, whatever comes, until enough were acknowledged after a refusal."""
    acknowledged: list[str] = []
    workspace, refused, after, number = None, False, 0, 0
    while after < 8:
        number += 1
        try:
            workspace = workspace or open_workspace(root)
            task = add_task(workspace, f"{name}-{number}", write=(f"{name}/x",))
        except (WfledgerError, OSError):
            refused = True
            os.sched_yield()
            continue
        acknowledged.append(task.id)
        after += refused
    return acknowledged


@pytest.mark.long
@pytest.mark.timeout(900)
def test_processes_go_on_through_removal_and_rebuild(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    _prepared(root, offered=2)
    workers = [processes.start(_add_through_the_rebuild, root, f"a{n}") for n in range(2)]
    _remove_under_way(root)
    checkup(root).fix(lambda _: None)
    added = [task_id for worker in workers for task_id in worker.result()]
    fix(root)
    again = open_workspace(root)
    assert {task_id for task_id in added if again.ledger.find(task_id) is None} == set()
    assert look(root) == []


# -- the rebuild, killed -------------------------------------------------------------------------


def _remove(folder: Path) -> None:
    shutil.rmtree(folder / "repo/.wfledger")


def _fix(folder: Path) -> None:
    checkup(folder / "repo").fix(lambda _: None)


def _prepare(folder: Path) -> None:
    workspace = _prepared(folder / "repo", offered=3)
    claim(workspace, worker="ana", task_id="r1.offer1")
    _remove(folder)


def _relocate(folder: Path) -> None:
    """Let the copied repository be at home where it is."""
    for path in (
        folder / "repo/.git/wfledger/ledger-path.json",
        *folder.glob("repo/.git/worktrees/*/gitdir"),
    ):
        text = path.read_text()
        path.write_text(text.replace(str(folder.with_name("model")), str(folder)))


def _verify(folder: Path) -> None:
    root = folder / "repo"
    if "folder-gone" not in codes(root):
        _check_later_change(root)
    fix(root)
    ledger = open_workspace(root).ledger
    for number, status in enumerate((Status.PENDING, Status.IN_PROGRESS, Status.PENDING)):
        entry = ledger.get(f"r1.offer{number}")
        assert entry.status is status or entry.task.attempt == 2
    assert ledger.get("r1.offer1").task.attempt == 1
    assert look(root) == []


def _check_later_change(root: Path) -> None:
    """A change after the death is refused, or comes after all that was there before."""
    try:
        workspace = open_workspace(root)
        add_task(workspace, "later", write=("later",))
    except WfledgerError:
        return
    assert workspace.ledger.get("r1.offer1").task.attempt == 1
    assert workspace.ledger.find("r1.later") is not None


@pytest.mark.requirement("WFL-REC-001")
@pytest.mark.long
@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_rebuild_comes_to_the_same_end_from_every_point_at_which_it_dies(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        _relocate(folder)
        _fix(folder)

    def verify(folder: Path) -> None:
        _relocate(folder)
        _verify(folder)

    deaths = crashing.die_everywhere(
        tmp_path / "deaths", _prepare, act, verify, passes=crashing.first_and_last
    )
    assert deaths > 20
