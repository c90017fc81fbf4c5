"""A gate that sends work back, killed at any point of that: the end is the same each time."""

from pathlib import Path

import pytest

from tests.support import crashing, processes
from tests.support.controllers import controller, decided, finish, leaf, work_through
from tests.support.engines import statuses
from tests.support.invariants import check_ledger
from tests.support.workspaces import (
    RUN,
    add_task,
    make_workspace,
    open_workspace,
)
from wfledger.core.control import GateTerms
from wfledger.core.documents import Task
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

GATE = f"{RUN}.gate"
POINTS = (
    "control.added", "control.named", "control.noted", "control.superseded",
    "control.result-written", "control.decided",
)  # fmt: skip


def go_on(root: Path) -> None:
    """Do everything: only the retry is good."""
    work_through(root, _work)


def _work(workspace: Workspace, task: Task) -> None:
    if task.id == f"{RUN}.build":
        failure = {"class": "task", "source": "task", "message": "it is red"}
        finish(workspace, task, failure=failure, status="failed")
    else:
        finish(workspace, task)


def die_there(root: Path) -> int:
    """Go on, dying at each point of a controller in turn; returns how many deaths there were."""
    return crashing.die_in_turn(root, go_on, POINTS)


@pytest.mark.requirement("WFL-CTRL-044")
def test_death_at_every_point_sends_back_as_often_and_passes_as_well(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    build = add_task(workspace, "build", plays="builder", on_failure="skip_continue").id
    terms = GateTerms(role="builder", gate="verify", on_fail="retry", max_retries=1)
    controller(
        workspace, "gate", kind="gate", gate=terms, members=(build,), bound=1, after=(build,),
        body=(leaf("build", "true", role="builder"),), on_failure="hold",
    )  # fmt: skip
    add_task(workspace, "next", after=(build, GATE))
    assert processes.start(die_there, workspace.main).result() >= 3
    workspace = open_workspace(workspace.main)
    assert statuses(workspace) == {
        f"{RUN}.build": "cancelled", f"{GATE}.1.build": "done", GATE: "done", f"{RUN}.next": "done",
    }  # fmt: skip
    sent = workspace.ledger.get(f"{GATE}.1.build").task.spec.sent_back
    assert len(sent) == 1
    assert "it is red" in sent[0]
    assert decided(workspace, GATE).outputs["retries"] == 1
    assert workspace.ledger.get(f"{RUN}.next").task.missing == ()
    check_ledger(workspace.ledger)
