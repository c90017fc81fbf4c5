"""Scripts, killed at any point of what they record and begin: nothing is done or begun twice."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support import crashing, processes
from tests.support.controllers import controller, decided
from tests.support.invariants import check_ledger
from tests.support.landings import land
from tests.support.repos import git
from tests.support.workspaces import BRANCH, RUN, hand_in, make_workspace, open_workspace
from wfledger.core.statuses import Status
from wfledger.run.attempts.claims import claim
from wfledger.run.controllers.driving import step_through
from wfledger.run.scheduler import Scheduler
from wfledger.run.workspace import Workspace

pytest.importorskip("quickjs")
pytestmark = pytest.mark.long

POINTS = (
    "control.added", "control.named", "control.noted", "control.result-written", "control.decided",
)  # fmt: skip
SCRIPT = f"{RUN}.s"
#: What it asks for in the end depends on which of its tasks ends first.
TEXT = """
const order = [];
const go = async (label) => {
  const said = await task({ label, command: "true" }).catch((error) => error.kind);
  order.push(label + ":" + said);
  return said;
};
await Promise.all(["a", "b"].map(go));
await task({ label: "bad", command: "true", writeRoots: [".git"] }).catch(() => order.push("no"));
await go(order.join("-"));
return order
"""


def _prepare(folder: Path) -> Path:
    workspace = make_workspace(folder)
    controller(workspace, "s", kind="script", script=TEXT, on_failure="abort")
    return workspace.main


def go_on(root: Path) -> None:
    """Step, and do the last thing that is on offer, until there is nothing."""
    workspace = open_workspace(root)
    scheduler = Scheduler(workspace)
    while True:
        step_through(workspace, lambda: scheduler.step(slots=4), lambda *_: None)
        offers = sorted(workspace.ledger.names(Status.PENDING))
        if not offers:
            return
        _work(workspace, offers[-1])


def _work(workspace: Workspace, task_id: str) -> None:
    claimed = claim(workspace, worker="worker", task_id=task_id, dispatches=True)
    failed = {"status": "failed", "failure": {"class": "task", "source": "task"}}
    result = failed if task_id.endswith("1-a") else {"summary": "done"}
    base = git(workspace.main, "rev-parse", BRANCH)
    hand_in(workspace, claimed.task, {}, base=base, **result)
    if result is not failed:
        land(workspace, workspace.ledger.get(task_id).task)


def die_there(root: Path) -> int:
    """Go on, dying at each point of a controller in turn; returns how many deaths there were."""
    return crashing.die_in_turn(root, go_on, POINTS)


@pytest.mark.requirement("WFL-CTRL-091")
@pytest.mark.requirement("WFL-CTRL-092")
def test_death_at_every_point_changes_nothing_of_the_end(tmp_path: Path) -> None:
    root = _prepare(tmp_path)
    deaths = processes.start(die_there, root).result()
    assert deaths > 5
    workspace = open_workspace(root)
    assert decided(workspace, SCRIPT).outputs["value"] == ["b:done", "a:agent", "no", "b:done-a:agent-no:done"]
    run = workspace.ledger.run(RUN)
    assert max(Counter(run.tasks).values()) == 1
    for name in run.tasks:
        assert [one.number for one in workspace.ledger.get(name).task.attempts] in ([], [1])
    assert set(run.tasks) == {
        SCRIPT, f"{SCRIPT}.1-a", f"{SCRIPT}.2-b", f"{SCRIPT}.4-b-done-a-agent-no",
    }  # fmt: skip
    check_ledger(workspace.ledger)
