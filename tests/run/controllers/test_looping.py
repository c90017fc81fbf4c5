"""Loops: rounds, the reasons why they end, and what is done about one that is undone."""

from pathlib import Path

import pytest

from tests.support.controllers import controller, decided, leaf, look, sequence
from tests.support.engines import drive, note, noted, statuses
from tests.support.landings import land
from tests.support.repos import git
from tests.support.workspaces import BRANCH, RUN, hand_in, make_workspace
from wfledger.core.control import Condition
from wfledger.core.statuses import Status
from wfledger.core.usage import Budget, Usage
from wfledger.errors import UsageError
from wfledger.plans.budgets import Allowance
from wfledger.run import people
from wfledger.run.attempts.claims import claim

LOOP = f"{RUN}.loop"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-002")
@pytest.mark.requirement("WFL-CTRL-011")
@pytest.mark.requirement("WFL-CTRL-013")
def test_loop_ends_when_a_test_passes_and_what_failed_before_is_made_good(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    test = f"{note(tmp_path, '{{round}}')}; test $(wc -l < {tmp_path}/noted) -ge 2"
    controller(
        workspace, "loop", kind="loop_until", bound=5, condition="results.test.status == 'succeeded'",
        body=(leaf("test", test),),
    )  # fmt: skip
    outcome = drive(workspace)
    assert noted(tmp_path) == ["1", "2"]
    assert outcome.verdict.state == "succeeded"
    assert outcome.verdict.coverage() == {"succeeded": 1, "due": 1}
    assert statuses(workspace)[f"{LOOP}.1.test"] == "cancelled"
    result = decided(workspace, LOOP)
    assert result.outputs["rounds"] == 2
    assert result.outputs["stop"] == "condition"
    assert result.outputs["nodes"] == {"test": f"{LOOP}.2.test"}
    assert [one["answer"] for one in result.outputs["history"]] == [False, True]


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-012")
@pytest.mark.requirement("WFL-CTRL-015")
def test_loop_that_used_up_its_rounds_gets_more_by_a_retry_or_is_accepted(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "loop", kind="loop_until", bound=1, condition="false",
        body=(leaf("work", note(tmp_path)),),
    )  # fmt: skip
    assert drive(workspace).verdict.state == "degraded"
    block = workspace.ledger.get(LOOP).task.block
    assert block is not None
    assert (block.code, block.facts) == ("undone", {"stop": "iterations", "rounds": 1})
    with pytest.raises(UsageError, match="asks nothing"):
        people.answer(workspace, LOOP, "yes")
    people.retry(workspace, LOOP)
    assert drive(workspace).verdict.state == "degraded"
    assert len(noted(tmp_path)) == 2
    people.accept(workspace, LOOP)
    assert drive(workspace).verdict.state == "succeeded"
    result = decided(workspace, LOOP)
    assert result.outputs["members"] == {f"{LOOP}.2.work": "succeeded"}
    assert result.outputs["verdict"] is False


@pytest.mark.long
def test_probe_ends_a_loop_and_each_round_is_given_the_one_before(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    probe = Condition(command=f"test $(wc -l < {tmp_path}/noted) -ge 2")
    body = (leaf("first", f"ls $WFLEDGER_INPUTS > {tmp_path}/seen"), leaf("second", note(tmp_path)))
    controller(workspace, "loop", kind="loop_until", bound=5, condition=probe, body=body)
    outcome = drive(workspace)
    assert outcome.verdict.state == "succeeded"
    assert outcome.verdict.coverage() == {"succeeded": 4, "due": 4}
    assert decided(workspace, LOOP).outputs["rounds"] == 2
    given = {f"{LOOP}.{name}.json" for name in ("1.first", "1.second", "ask-1.asks")}
    assert given <= set((tmp_path / "seen").read_text().split())


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-012")
def test_loop_ends_where_somebody_gives_up_a_task_of_its_round(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "loop", kind="loop_until", bound=5, condition="false",
        body=(leaf("work", "false", on_failure="hold"), leaf("next", "true")),
    )  # fmt: skip
    assert drive(workspace).verdict.state == "waits"
    people.cancel(workspace, f"{LOOP}.1.work")
    people.cancel(workspace, f"{LOOP}.1.next")
    drive(workspace)
    block = workspace.ledger.get(LOOP).task.block
    assert block is not None
    assert block.facts["stop"] == "failed"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-012")
def test_loop_ends_when_its_rounds_have_used_up_its_tokens(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "loop", kind="loop_until", bound=9, condition="false",
        budget=Budget(tokens=100), body=(sequence("all", leaf("work", "true")),),
    )  # fmt: skip
    for used in (60, 40):
        look(workspace)
        (offer,) = workspace.ledger.names(Status.PENDING)
        task = claim(workspace, worker="worker", task_id=offer).task
        base = git(workspace.main, "rev-parse", BRANCH)
        hand_in(workspace, task, {}, base=base, usage=Usage(output=used, source="agent"))
        land(workspace, workspace.ledger.get(offer).task)
    look(workspace)
    block = workspace.ledger.get(LOOP).task.block
    assert block is not None
    assert block.facts == {"stop": "tokens", "rounds": 2}
    people.retry(workspace, LOOP, more=Allowance(Budget(tokens=150)))
    look(workspace)
    assert workspace.ledger.find(f"{LOOP}.3.work") is not None
