"""Two machines and one remote: what one does is seen by the other, and nothing is lost unsaid."""

from pathlib import Path

import pytest

from tests.support.sharing import granting, share, shows_the_tip, statuses, synced
from tests.support.workspaces import add_run, add_task
from wfledger.core.statuses import Status
from wfledger.run.attempts.claims import claim


@pytest.mark.requirement("WFL-HUB-020", "WFL-HUB-012")
def test_what_one_machine_adds_the_other_sees_and_works_on(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = add_task(one, "a")
    assert [met.outcome for met in synced(one, other)] == ["ok", "ok"]
    assert statuses(other) == {task.id: "waiting"}
    assert one.ledger.journal.is_empty()
    assert synced(other, proposers=[granting])[0].granted == (f"grant {task.id}",)
    assert statuses(other) == {task.id: "pending"}
    synced(one)
    assert statuses(one) == {task.id: "in-progress"}
    claim(other, worker="w", task_id=task.id)
    synced(other, one)
    for workspace in (one, other):
        shows_the_tip(workspace)
        assert workspace.ledger.get(task.id).status is Status.IN_PROGRESS
