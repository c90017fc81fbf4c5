"""`doctor --fix` killed at each fault point of its repairs: the next one comes to the same end."""

import signal
from pathlib import Path

import pytest

from tests.support import crashing, planting, processes
from tests.support.checkups import STATUSES, checkup, fix, lived_in, look, statuses
from tests.support.faults import kill_at
from tests.support.landings import assert_landed_once, land_there
from tests.support.marks import rarely
from tests.support.workspaces import open_workspace
from wfledger.core.statuses import Status

KILLED = (
    "both", "landed", "diverted", "machine-garbled", "branch-empty",
    *map(rarely, ("a-repository", "folder", "ledger-path", "task", "declared")),
)  # fmt: skip


def _relocate(folder: Path) -> None:
    """Let the copied repository be at home where it is."""
    root = folder / "repo"
    known = [root / ".wfledger/.git", root / ".git/wfledger/ledger-path.json"]
    for path in (*known, *root.glob(".git/worktrees/*/gitdir")):
        if path.is_file():
            text = path.read_text()
            path.write_text(text.replace(str(folder.with_name("model")), str(folder)))


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", KILLED)
def test_repair_comes_to_the_same_end_wherever_it_is_killed(tmp_path: Path, name: str) -> None:
    plant = planting.PLANTS[name]
    moved = dict(plant.moved)
    if name in planting.REBUILT:
        moved["r1.merging"] = Status.WAITING

    def prepare(folder: Path) -> None:
        plant.make(lived_in(folder))

    def act(folder: Path) -> None:
        _relocate(folder)
        checkup(folder / "repo").fix(lambda _: None)

    def verify(folder: Path) -> None:
        root = folder / "repo"
        fix(root)
        assert look(root) == []
        found = statuses(open_workspace(root))
        assert found == dict(sorted((STATUSES | moved).items()))

    # The longest repair passes ninety points, the same thirty over and over.
    deaths = crashing.die_everywhere(
        tmp_path / "deaths", prepare, act, verify, passes=crashing.first_and_last
    )
    assert deaths > 0


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-021")
@pytest.mark.parametrize("point", ["landing.ref-moved", "landing.proof-made", "landing.noted"])
def test_doctor_closes_what_a_merger_had_landed_when_it_died(tmp_path: Path, point: str) -> None:
    workspace = lived_in(tmp_path)
    child = processes.start(land_there, workspace.main, "r1.merging", env=kill_at(point))
    assert child.wait() == -signal.SIGKILL
    child.close()
    assert [one.code for one in look(workspace.main) if one.severity == "error"] == ["landed-open"]
    fix(workspace.main)
    assert look(workspace.main) == []
    assert_landed_once(workspace, workspace.ledger.get("r1.merging").task)
