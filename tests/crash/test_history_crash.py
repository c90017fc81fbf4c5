"""Bringing the journal into the history, killed: each transition comes into it once, in order."""

from pathlib import Path

import pytest

from tests.support.crashing import die_on
from tests.support.workspaces import add_task, make_workspace, open_workspace
from wfledger.core.statuses import Actor, Status
from wfledger.run.commit import GROUP, TRANSITION, commit_journal, trailers_of

pytestmark = pytest.mark.long

ID = "r1.a"


def _commit(root: Path) -> None:
    commit_journal(open_workspace(root))


def _steps(root: Path) -> list[str]:
    """Return the transitions that the history tells, oldest first."""
    log = reversed(open_workspace(root).history.log(limit=10_000))
    return [f"{key}: {value}" for info in log for key, value in info.pairs if key == TRANSITION]


@pytest.mark.requirement("WFL-LEDGER-040")
@pytest.mark.parametrize("point", ["commit.composed", "commit.committed"])
def test_more_than_fits_into_a_commit_comes_into_the_history_once(
    tmp_path: Path, point: str
) -> None:
    workspace = make_workspace(tmp_path / "made")
    add_task(workspace, "a")
    with workspace.ledger.transaction("test") as changes:
        for number in range(GROUP // 2 + 10):
            at = {"actor": Actor.SCHEDULER, "why": f"for the {number}th time"}
            changes.move(ID, Status.PENDING, attempt=number + 1, **at)
            changes.move(ID, Status.WAITING, **at)
    expected = [trailers_of(record)[-1] for record in workspace.ledger.journal.records()]
    assert die_on(workspace.main, _commit, point)
    _commit(workspace.main)
    assert _steps(workspace.main) == [line for line in expected if line.startswith(TRANSITION)]
    assert workspace.ledger.journal.is_empty()
