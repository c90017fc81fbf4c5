"""What the history tells, whatever stands in it."""

from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.workspaces import add_task, make_workspace
from wfledger.run.commit import commit_journal
from wfledger.run.looks.past import happenings
from wfledger.run.workspace import Workspace

WHYS = ["plain", 'with "quotes": and -> arrows', "back\\slash\\", "line\nbreak: x", "é " * 200, ""]


@pytest.fixture
def workspace(tmp_path: Path, clock: FakeClock) -> Workspace:
    """A ledger with the run r1 and the task a."""
    found = make_workspace(tmp_path, clock=clock)
    add_task(found, "a")
    return found


def update(workspace: Workspace, why: str, *, by: str = "test") -> None:
    """Change the task for a reason."""
    with workspace.ledger.transaction(by) as changes:
        changes.update("r1.a", why=why, overtaken=1)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("why", WHYS)
def test_reason_is_read_back_as_it_was_given(workspace: Workspace, why: str) -> None:
    update(workspace, why, by='worker:"x": y')
    commit_journal(workspace)
    last = happenings(workspace, task="r1.a")[-1]
    assert last.by == 'worker:"x": y'
    assert last.commit is not None
    if len(why) < 100:
        assert last.why == why
    else:
        assert last.why.endswith("...")


def test_journal_follows_history(workspace: Workspace, clock: FakeClock) -> None:
    update(workspace, "first")
    commit_journal(workspace)
    clock.advance(5)
    update(workspace, "second")
    found = happenings(workspace, task="r1.a")
    assert [(one.why, one.commit is None) for one in found] == [
        ("added", False), ("first", False), ("second", True),
    ]  # fmt: skip


def test_what_is_committed_and_still_in_the_journal_is_told_once(workspace: Workspace) -> None:
    update(workspace, "first")
    (file,) = [path for path in workspace.ledger.journal.files() if path.stat().st_size]
    records = file.read_bytes()
    commit_journal(workspace)
    # As a process leaves it that dies between the commit and the end of the segment.
    file.with_suffix(".log").write_bytes(records)
    assert not workspace.ledger.journal.is_empty()
    assert [one.why for one in happenings(workspace, task="r1.a")] == ["added", "first"]
