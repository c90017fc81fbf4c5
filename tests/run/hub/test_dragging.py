"""What the step of a controller has added is lost with the step."""

from pathlib import Path

import pytest

from tests.support.ledgers import make_task
from tests.support.sharing import share, shows_the_tip, statuses, synced
from tests.support.workspaces import add_run, add_task


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-018")
def test_a_round_that_another_home_did_not_begin_leaves_nothing_behind(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    controller = add_task(one, "loop").id
    synced(one, other)
    with other.ledger.transaction("controller") as changes:  # it has taken the run over
        changes.update(controller, why="is over after round 1", answers=("over",))
    synced(other)
    with one.ledger.transaction("controller") as changes:
        changes.add(make_task("r1.loop-2"), why=f"begins round 2, by {controller}")
        changes.add(make_task("r1.other"), why="added by a person")
        run = one.ledger.run("r1")
        named = run.but(seq=run.seq + 1, tasks=("r1.loop-2", "r1.other"), aside=("r1.loop-2",))
        changes.put_run(named, why="begins round 2")
        changes.update(controller, why="begins round 2", answers=("on",))
    (met,) = synced(one)
    assert {entry.task for entry in met.lost} == {controller, "r1.loop-2"}
    synced(other)
    for workspace in (one, other):
        assert statuses(workspace) == {controller: "waiting", "r1.other": "waiting"}
        assert workspace.ledger.run("r1").tasks == ("r1.other",)
        assert workspace.ledger.run("r1").aside == ()
        shows_the_tip(workspace)
