"""Branches and sequences: over when what they are made of is over."""

from pathlib import Path

import pytest

from tests.support.engines import drive, statuses
from tests.support.workspaces import add_task, make_workspace
from wfledger.core.control import Control
from wfledger.core.documents import Task
from wfledger.run.workspace import Workspace


def group(workspace: Workspace, node: str, members: tuple[str, ...]) -> Task:
    control = Control(kind="branch_set", members=members)
    return add_task(
        workspace, node, command=None, control=control, after=members, on_failure="skip_continue"
    )


@pytest.mark.requirement("WFL-CTRL-001")
@pytest.mark.requirement("WFL-CTRL-004")
def test_branch_is_done_with_a_result_when_its_members_are(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    good = add_task(workspace, "good", command="true", on_failure="skip_continue").id
    bad = add_task(workspace, "bad", command="false", on_failure="skip_continue").id
    branch = group(workspace, "all", (good, bad))
    outer = group(workspace, "outer", (branch.id,))
    verdict = drive(workspace).verdict
    assert statuses(workspace)[outer.id] == "done"
    result = workspace.ledger.result(branch.id, 1)
    assert result is not None
    assert result.outputs == {"members": {good: "succeeded", bad: "missing"}, "partial": True}
    assert workspace.ledger.get(branch.id).task.missing == (bad,)
    assert verdict.state == "degraded"
