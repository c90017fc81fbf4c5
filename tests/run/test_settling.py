"""What a step settles while others move tasks on."""

from pathlib import Path

from tests.support.workspaces import add_task, make_workspace
from wfledger.core.statuses import Status
from wfledger.run.looks.view import View
from wfledger.run.settling import Pass


def test_task_stays_waiting_when_several_that_it_needs_moved_on_after_the_look(
    tmp_path: Path,
) -> None:
    workspace = make_workspace(tmp_path)
    needed = [add_task(workspace, name) for name in ("a", "b", "c")]
    task = add_task(workspace, "last", after=tuple(one.id for one in needed))
    # The look saw none of them: from elsewhere many tasks move on in one moment.
    view = View({status: [] for status in Status} | {Status.WAITING: [task]}, frozenset())
    with workspace.ledger.transaction("test") as changes:
        one = Pass(workspace, changes, view=view, runs=workspace.ledger.runs())
        assert one.settle() == []
    assert workspace.ledger.get(task.id).status is Status.WAITING
