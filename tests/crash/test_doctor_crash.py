"""`doctor --fix` killed at each fault point of its repairs: the next one comes to the same end."""

from pathlib import Path

import pytest

from tests.support import crashing, planting
from tests.support.checkups import STATUSES, checkup, fix, lived_in, look, statuses
from tests.support.workspaces import open_workspace
from wfledger.core.statuses import Status

KILLED = (
    "a-repository", "both", "landed", "folder", "diverted", "ledger-path", "task", "declared",
    "machine-garbled", "branch-empty",
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

    assert crashing.die_everywhere(tmp_path / "deaths", prepare, act, verify) > 0
