"""Controllers, killed at any point of what they decide and begin: the end is the same each time."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support import crashing, processes
from tests.support.controllers import controller, decided, leaf, work_on_loop, work_through
from tests.support.invariants import check_ledger
from tests.support.workspaces import RUN, make_workspace, open_workspace
from wfledger import faults
from wfledger.core.control import Condition
from wfledger.core.statuses import Status
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

POINTS = (
    "control.added", "control.named", "control.noted", "control.superseded",
    "control.result-written", "control.decided",
)  # fmt: skip
ASKED = Condition(command="true")
#: What only a choice passes.
ELSEWHERE = {"control.kept"}


def _prepare(folder: Path) -> Path:
    """A loop whose second round makes good what its first one has not, and a condition."""
    workspace = make_workspace(folder)
    controller(
        workspace, "loop", kind="loop_until", bound=4, condition=ASKED,
        body=(leaf("work", "true"), leaf("test", "true")),
    )  # fmt: skip
    controller(
        workspace, "cond", kind="cond", condition=ASKED, after=(f"{RUN}.loop",),
        body=(leaf("yes", "true"),), otherwise=(leaf("no", "true"),),
    )  # fmt: skip
    return workspace.main


def go_on(root: Path) -> None:
    """Do everything: the first test fails, and the first question is answered no."""
    work_through(root, work_on_loop)


def _come_to(workspace: Workspace) -> dict[str, str]:
    """Return what everything has come to, and check that nothing was done or named twice."""
    run = workspace.ledger.run(RUN)
    assert max(Counter(run.tasks).values()) == 1
    found = {}
    for status in Status:
        for task in workspace.ledger.tasks(status):
            assert [one.number for one in task.attempts] in ([], [1])
            found[task.id] = status.value
    assert set(run.tasks) == set(found)
    check_ledger(workspace.ledger)
    return found


EXPECTED = {
    f"{RUN}.loop": "done", f"{RUN}.cond": "done",
    f"{RUN}.loop.1.work": "done", f"{RUN}.loop.1.test": "cancelled",
    f"{RUN}.loop.ask-1.asks": "done",
    f"{RUN}.loop.2.work": "done", f"{RUN}.loop.2.test": "done",
    f"{RUN}.loop.ask-2.asks": "done",
    f"{RUN}.cond.ask-1.asks": "done", f"{RUN}.cond.then.yes": "done",
}  # fmt: skip


def die_there(root: Path) -> int:
    """Go on, dying at each point of a controller in turn; returns how many deaths there were."""
    return crashing.die_in_turn(root, go_on, POINTS, trace=root.parent / "trace")


def test_points_are_those_of_controllers() -> None:
    mine = {name for name in faults.names() if name.startswith("control.")}
    assert mine - ELSEWHERE == set(POINTS)


@pytest.mark.requirement("WFL-CTRL-002")
@pytest.mark.requirement("WFL-CTRL-003")
def test_death_at_every_point_changes_nothing_of_the_end(tmp_path: Path) -> None:
    root = _prepare(tmp_path)
    deaths = processes.start(die_there, root).result()
    assert deaths > 8
    assert set(POINTS) <= set((tmp_path / "trace").read_text().split())
    workspace = open_workspace(root)
    assert _come_to(workspace) == EXPECTED
    assert decided(workspace, f"{RUN}.loop").outputs["rounds"] == 2
