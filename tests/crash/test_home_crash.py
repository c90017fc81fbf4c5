"""The home of a run dies in a step of a controller: another machine brings the run to its end."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.controllers import controller, leaf, look, work_on_loop
from tests.support.crashing import die_on
from tests.support.sharing import shows_the_tip, statuses
from tests.support.silence import GONE_S, Machines
from tests.support.workspaces import RUN, add_run, open_workspace
from wfledger.core.control import Condition
from wfledger.core.statuses import Status
from wfledger.run.attempts.claims import claim
from wfledger.run.hub import granting, landing, takeover
from wfledger.run.hub.cycle import meet
from wfledger.run.presence import driving

pytestmark = pytest.mark.long


def step_there(root: Path) -> None:
    """Let the controllers decide what they can."""
    look(open_workspace(root))


def _round(machines: Machines, number: int) -> None:
    """Let a machine look, meet, and do all that it was granted."""
    workspace = machines.all[number]
    look(workspace)
    machines.pass_time(5.0)
    meet(workspace, (takeover.propose, landing.propose, granting.propose))
    for task_id in sorted(workspace.ledger.names(Status.PENDING)):
        work_on_loop(workspace, claim(workspace, worker="w", task_id=task_id, dispatches=True).task)


@pytest.mark.requirement("WFL-HUB-014", "WFL-HUB-053", "WFL-CTRL-003")
@pytest.mark.parametrize(
    ("point", "brought"), [("control.added", True), ("control.named", True), ("control.noted", False)]
)
def test_a_round_that_its_home_began_and_died_in_ends_on_another_machine(
    tmp_path: Path, point: str, *, brought: bool
) -> None:
    machines = Machines(tmp_path, 2)
    one, other = machines.all
    run = add_run(one)
    with one.ledger.transaction("test") as changes:
        changes.put_run(run.but(seq=2, home=one.machine.id), why="home")
    controller(
        one, "loop", kind="loop_until", bound=4, condition=Condition(command="true"),
        body=(leaf("work", "true"), leaf("test", "true")),
    )  # fmt: skip
    machines.meet()
    assert die_on(one.main, step_there, point)
    if brought:
        machines.meet([0])
    with driving(other, None, slots=2):
        machines.meet([1])
        machines.go_on(GONE_S, [1])
        _round(machines, 1)
        with driving(one, None, slots=2):
            for number in (0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1):
                _round(machines, number)
    machines.meet([0, 1])
    named, found = other.ledger.run(RUN).tasks, statuses(other)
    assert found == {
        f"{RUN}.loop": "done",
        f"{RUN}.loop.1.work": "done", f"{RUN}.loop.1.test": "cancelled",
        f"{RUN}.loop.ask-1.asks": "done",
        f"{RUN}.loop.2.work": "done", f"{RUN}.loop.2.test": "done",
        f"{RUN}.loop.ask-2.asks": "done",
    }  # fmt: skip
    assert max(Counter(named).values()) == 1
    assert set(named) == set(found)
    shows_the_tip(one)
    shows_the_tip(other)
