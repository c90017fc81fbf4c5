"""Scripts, killed at any point of what they record and begin: nothing is done or begun twice."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support import crashing, processes
from tests.support.controllers import controller, decided, finish, work_through
from tests.support.invariants import check_ledger
from tests.support.workspaces import RUN, make_workspace, open_workspace
from wfledger.core.documents import Task
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
    """Do everything, what was asked for last before the rest."""
    work_through(root, _work, one_by_one=True)


def _work(workspace: Workspace, task: Task) -> None:
    if task.id.endswith("1-a"):
        finish(workspace, task, status="failed", failure={"class": "task", "source": "task"})
    else:
        finish(workspace, task, summary="done")


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
