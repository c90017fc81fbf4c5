"""Conditions: one arm is begun, the other never was due, and people are asked where nobody knows."""

from pathlib import Path

import pytest

from tests.support.controllers import controller, decided, leaf, look
from tests.support.engines import drive, note, noted, statuses
from tests.support.workspaces import RUN, make_workspace
from wfledger.core.control import Condition
from wfledger.run import people
from wfledger.run.replay.replaying import replay

COND = f"{RUN}.cond"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-010")
@pytest.mark.requirement("WFL-CTRL-016")
def test_arm_that_is_not_taken_is_no_failure(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "cond", kind="cond", condition="1 + 1 == 3", body=(leaf("yes", "false"),),
        otherwise=(leaf("one", note(tmp_path)), leaf("two", note(tmp_path))),
    )  # fmt: skip
    outcome = drive(workspace)
    assert noted(tmp_path) == [f"{COND}.else.one", f"{COND}.else.two"]
    assert f"{COND}.then.yes" not in statuses(workspace)
    assert outcome.verdict.state == "succeeded"
    assert outcome.verdict.coverage() == {"succeeded": 2, "due": 2}
    result = decided(workspace, COND)
    assert result.outputs["arm"] == "else"
    assert set(result.outputs["members"].values()) == {"succeeded"}


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-010")
def test_empty_arm_is_done_at_once(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(workspace, "cond", kind="cond", condition="false", body=(leaf("a", "true"),))
    look(workspace)
    assert decided(workspace, COND).summary == "else: nothing to do"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-015")
def test_person_answers_a_condition_that_nothing_can_decide(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "cond", kind="cond", condition="looks_good", body=(leaf("yes", "true"),)
    )  # fmt: skip
    look(workspace)
    block = workspace.ledger.get(COND).task.block
    assert block is not None
    assert (block.code, block.command) == ("question", f"wfledger answer {COND} yes")
    people.answer(workspace, COND, "yes")
    look(workspace)
    assert statuses(workspace) == {COND: "waiting", f"{COND}.then.yes": "pending"}


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-022")
def test_what_was_asked_in_vain_waits_for_nobody_once_a_person_has_answered(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "cond", kind="cond", condition=Condition(command="exit 127"),
        body=(leaf("yes", "true"),),
    )  # fmt: skip
    assert drive(workspace).verdict.state == "waits"
    people.answer(workspace, COND, "yes")
    assert drive(workspace).verdict.state == "succeeded"
    assert statuses(workspace)[f"{COND}.ask-1.asks"] == "cancelled"
    hold = workspace.ledger.get(f"{COND}.ask-1.asks").task.hold
    assert hold is not None
    assert hold.code == "superseded"
    assert replay(workspace, workspace.ledger.run(RUN)).divergences == ()


@pytest.mark.long
def test_failed_task_of_an_arm_makes_the_run_partial_and_holds_nothing_up(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "cond", kind="cond", condition=Condition(command="true"),
        body=(leaf("bad", "false"), leaf("good", "true")),
    )  # fmt: skip
    outcome = drive(workspace)
    assert outcome.verdict.state == "degraded"
    assert outcome.verdict.coverage() == {"succeeded": 1, "due": 2}
    result = decided(workspace, COND)
    assert result.outputs["members"] == {
        f"{COND}.then.bad": "missing", f"{COND}.then.good": "succeeded",
    }  # fmt: skip
    assert workspace.ledger.get(COND).task.missing == (f"{COND}.then.bad",)


@pytest.mark.long
def test_failure_in_an_arm_aborts_the_run_where_its_node_says_so(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "cond", kind="cond", condition="true",
        body=(leaf("bad", "false", on_failure="abort"), leaf("good", "true")),
    )  # fmt: skip
    assert drive(workspace).verdict.state == "failed"
    assert statuses(workspace) == {
        COND: "cancelled", f"{COND}.then.bad": "blocked", f"{COND}.then.good": "cancelled",
    }  # fmt: skip
