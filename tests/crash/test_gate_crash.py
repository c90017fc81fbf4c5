"""A gate that sends work back, killed at any point of that: the end is the same each time."""

from pathlib import Path

import pytest

from tests.support import crashing, processes
from tests.support.controllers import controller, decided, leaf
from tests.support.engines import statuses
from tests.support.invariants import check_ledger
from tests.support.landings import land
from tests.support.repos import git
from tests.support.workspaces import (
    BRANCH,
    RUN,
    add_task,
    hand_in,
    make_workspace,
    open_workspace,
)
from wfledger.core.control import GateTerms
from wfledger.core.statuses import Status
from wfledger.run.attempts.claims import claim
from wfledger.run.controllers.driving import step_through
from wfledger.run.scheduler import Scheduler
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

GATE = f"{RUN}.gate"
POINTS = (
    "control.added", "control.named", "control.noted", "control.superseded",
    "control.result-written", "control.decided",
)  # fmt: skip


def go_on(root: Path) -> None:
    """Step, and do what is on offer, until there is nothing: only the retry is good."""
    workspace = open_workspace(root)
    scheduler = Scheduler(workspace)
    while True:
        step_through(workspace, lambda: scheduler.step(slots=2), lambda *_: None)
        offers = workspace.ledger.names(Status.PENDING)
        if not offers:
            return
        for task_id in offers:
            _work(workspace, task_id)


def _work(workspace: Workspace, task_id: str) -> None:
    claimed = claim(workspace, worker="worker", task_id=task_id, dispatches=True)
    base = git(workspace.main, "rev-parse", BRANCH)
    if task_id == f"{RUN}.build":
        failure = {"class": "task", "source": "task", "message": "it is red"}
        hand_in(workspace, claimed.task, {}, base=base, failure=failure, status="failed")
        return
    hand_in(workspace, claimed.task, {}, base=base)
    land(workspace, workspace.ledger.get(task_id).task)


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
