"""What people see of controllers and do with them, and who may have started what they begin."""

from pathlib import Path

import pytest

from tests.support.byhand import mv, step
from tests.support.controllers import controller, decided, leaf, look, sequence
from tests.support.engines import drive, note, noted, statuses
from tests.support.invariants import check_ledger
from tests.support.workspaces import RUN, add_run, add_task, make_workspace, start
from wfledger.core.authority import Authority
from wfledger.core.control import Control
from wfledger.core.documents import TaskSpec
from wfledger.core.statuses import Status
from wfledger.run import people
from wfledger.run.attempts.authorities import Grounds
from wfledger.run.attempts.bounding import bounded
from wfledger.run.controllers.descent import open_below
from wfledger.run.looks.board import Board
from wfledger.run.looks.explain import explain
from wfledger.run.looks.overview import overview
from wfledger.run.pausing import set_paused
from wfledger.run.replay.replaying import replay
from wfledger.run.ticking import tick_once
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

LOOP = f"{RUN}.loop"


def loop(workspace: Workspace, command: str = "true", *, rounds: int = 3) -> None:
    controller(
        workspace, "loop", kind="loop_until", bound=rounds, condition="false",
        body=(leaf("work", command),),
    )  # fmt: skip


def test_people_are_told_which_round_is_waited_for(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    loop(workspace)
    assert explain(workspace, LOOP).reason.startswith("no round of 3 begun: nothing is in its way")
    look(workspace)
    why = explain(workspace, LOOP)
    assert why.reason == f"round 1 of 3: it waits for {LOOP}.1.work (pending)"
    assert why.root is not None
    assert why.root.task == f"{LOOP}.1.work"
    (row,) = (row for row in Board(workspace).look().rows if row.task == LOOP)
    assert row.text == "round 1 of 3: after loop.1.work (pending)"
    (line,) = overview(workspace).runs
    assert line.as_json()["coverage"] == {"succeeded": 0, "due": 1}


@pytest.mark.requirement("WFL-CTRL-017")
def test_what_a_cancelled_controller_has_started_is_cancelled(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "loop", kind="loop_until", bound=3, condition="false",
        body=(sequence("all", leaf("one", "true"), leaf("two", "true")),),
    )  # fmt: skip
    look(workspace)
    assert set(open_below(workspace, LOOP)) == {f"{LOOP}.1.{n}" for n in ("all", "one", "two")}
    people.cancel(workspace, LOOP)
    step(workspace)
    assert set(statuses(workspace).values()) == {"cancelled"}
    assert drive(workspace).verdict.state == "failed"


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-030")
def test_controller_that_was_given_up_is_replayed_as_far_as_it_came(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "loop", kind="loop_until", bound=3, condition="false",
        body=(sequence("all", leaf("bad", "false", on_failure="hold"), leaf("two", "true")),),
    )  # fmt: skip
    drive(workspace)
    assert replay(workspace, workspace.ledger.run(RUN)).divergences == ()
    people.cancel(workspace, LOOP)
    step(workspace)
    told = replay(workspace, workspace.ledger.run(RUN))
    assert (told.decisions, told.divergences) == (1, ())


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-017")
def test_what_aborted_a_run_stays_to_be_seen(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "loop", kind="loop_until", bound=3, condition="false",
        body=(leaf("bad", "false", on_failure="abort"), leaf("two", "true")),
    )  # fmt: skip
    assert drive(workspace).verdict.state == "failed"
    step(workspace)
    assert statuses(workspace) == {
        LOOP: "cancelled", f"{LOOP}.1.bad": "blocked", f"{LOOP}.1.two": "cancelled",
    }  # fmt: skip


def test_group_takes_its_members_along(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    one = add_task(workspace, "one").id
    group = controller(workspace, "all", kind="branch_set", members=(one,), after=(one,))
    assert open_below(workspace, group.id) == (one,)


@pytest.mark.requirement("WFL-CTRL-021")
def test_nothing_is_begun_while_dispatch_is_paused(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    loop(workspace)
    set_paused(workspace, "lunch")
    look(workspace)
    assert list(statuses(workspace)) == [LOOP]
    set_paused(workspace, None)
    look(workspace)
    assert len(statuses(workspace)) == 2


def test_one_tick_asks_controllers_too(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    loop(workspace)
    ticked = tick_once(workspace, owner="me", report=lambda *_: None)
    assert ticked.promoted == (f"{LOOP}.1.work",)


def test_controller_that_is_moved_by_hand_is_put_back_or_tried_again(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    loop(workspace, note(tmp_path), rounds=1)
    mv(workspace, LOOP, Status.WAITING, Status.DONE)
    step(workspace)
    assert workspace.ledger.get(LOOP).status is Status.WAITING
    drive(workspace)
    assert len(noted(tmp_path)) == 1
    mv(workspace, LOOP, Status.BLOCKED, Status.WAITING)
    drive(workspace)
    assert len(noted(tmp_path)) == 2
    check_ledger(workspace.ledger)


@pytest.mark.requirement("WFL-CTRL-014")
def test_tasks_of_a_controller_may_do_no_more_than_the_worker_that_started_it(
    tmp_path: Path,
) -> None:
    workspace = make_workspace(tmp_path)
    add_run(workspace, "r0")
    worker = start(workspace, add_task(workspace, "worker", run_id="r0", write=("src",)).id)
    with workspace.ledger.transaction("test") as changes:
        run = workspace.ledger.run(RUN)
        changes.put_run(run.but(seq=run.seq + 1, parent=worker.id), why="nested")
    inside = leaf("work", "true", mode="read_write", file_scope=["src/a.txt"])
    outside = leaf("work", "true", mode="read_write", file_scope=["etc/a.txt"])
    for name, body in (("good", inside), ("bad", outside)):
        controller(workspace, name, kind="cond", condition="true", body=(body,))
    look(workspace)
    assert workspace.ledger.find(f"{RUN}.good.then.work") is not None
    assert workspace.ledger.find(f"{RUN}.bad.then.work") is None
    block = workspace.ledger.get(f"{RUN}.bad").task.block
    assert block is not None
    assert block.code == "control_error"
    assert "etc/a.txt" in block.reason


def test_controller_needs_no_tool_and_no_sandbox_of_the_worker_that_adds_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    mine = Authority(tools=frozenset({"read"}), write=(), network=False, depth=1)
    parent = add_task(workspace, "worker")
    grounds = Grounds(workspace.fleet(), workspace.ledger.run(RUN), workspace.policy())
    spec = TaskSpec(control=Control(kind="branch_set"), depth=0)
    assert bounded(grounds, parent, spec, mine)[1] == []
    assert bounded(grounds, parent, TaskSpec(command="true", depth=0), mine)[1] != []


@pytest.mark.requirement("WFL-CTRL-020")
def test_consumer_of_a_controller_is_handed_what_it_is_made_of(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    one = add_task(workspace, "one", command="true", on_failure="skip_continue").id
    two = add_task(workspace, "two", command="false", on_failure="skip_continue").id
    inner = controller(workspace, "inner", kind="branch_set", members=(one, two), after=(one, two))
    outer = controller(
        workspace, "outer", kind="sequence", members=(inner.id,), after=(inner.id,)
    )
    copy = f"cp $WFLEDGER_INPUTS/manifest.json $WFLEDGER_INPUTS/missing.json {tmp_path}"
    add_task(workspace, "end", command=copy, after=(outer.id,), inputs=(outer.id,))
    drive(workspace)
    assert decided(workspace, outer.id).outputs["members"] == {inner.id: "succeeded"}
    manifest = (tmp_path / "manifest.json").read_text()
    for task_id in (one, inner.id, outer.id):
        assert f'"file": "{task_id}.json"' in manifest
    assert two in (tmp_path / "missing.json").read_text()
