"""What a look at the open runs sees."""

from pathlib import Path

from tests.support.clock import FakeClock
from tests.support.workspaces import add_run, add_task, make_workspace, start
from wfledger.core.documents import Landed
from wfledger.core.graph import readiness
from wfledger.core.statuses import Actor, Status
from wfledger.run.scheduler import Scheduler


def test_dependency_of_a_landed_run_is_seen(tmp_path: Path, clock: FakeClock) -> None:
    workspace = make_workspace(tmp_path, clock=clock)
    task = start(workspace, add_task(workspace, "a").id)
    landed = Landed(how="nothing", at="2026-01-05T09:00:00.000Z")
    with workspace.ledger.transaction("test") as changes:
        changes.move(task.id, Status.MERGING, actor=Actor.WORKER, why="test")
        changes.move(task.id, Status.DONE, actor=Actor.MERGER, why="test", landed=landed)
        changes.put_run(workspace.ledger.run("r1").but(state="landed"), why="test")
    add_run(workspace, "r2")
    later = add_task(workspace, "b", run_id="r2", after=("r1.a",))
    view = Scheduler(workspace).look()
    assert readiness(later, view.standings()).kind == "ready"
    assert Scheduler(workspace).step(slots=1).promoted == ["r2.b"]
