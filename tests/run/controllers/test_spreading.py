"""Expansions: a list made when the run is there, an item each, bounded, without a barrier."""

import sys
from pathlib import Path

import pytest

from tests.support.controllers import controller, decided, leaf, look, sequence
from tests.support.engines import drive, meet, note, noted, statuses
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core.statuses import Status
from wfledger.run import people
from wfledger.run.replay.replaying import replay

EXPAND = f"{RUN}.each"
_LIST = """printf '{"status":"succeeded","outputs":{"items":["a b","c","d"]}}' > $WFLEDGER_RESULT_FILE"""


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-018")
def test_item_each_of_a_list_made_at_run_time_and_what_is_beyond_the_bound_is_counted(
    tmp_path: Path,
) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "list", command=_LIST)
    controller(
        workspace, "each", after=(f"{RUN}.list",), kind="expand", source="results.list", bound=2,
        outer={"list": f"{RUN}.list"}, body=(leaf("one", note(tmp_path, "{{index}}:{{item}}")),),
    )  # fmt: skip
    outcome = drive(workspace)
    assert sorted(noted(tmp_path)) == ["0:a b", "1:c"]
    assert outcome.verdict.coverage() == {"succeeded": 3, "due": 3}
    outputs = decided(workspace, EXPAND).outputs
    assert (outputs["items"], outputs["dropped"], outputs["started"]) == (3, 1, 2)


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-018")
def test_stages_of_one_item_do_not_wait_for_those_of_another(tmp_path: Path) -> None:
    """The first stage of item 1 ends when the second stage of item 0 runs."""
    workspace = make_workspace(tmp_path)
    mine, theirs = meet(tmp_path, "left", "right"), meet(tmp_path, "right", "left")
    controller(
        workspace, "each", kind="expand", source="[0, 1]", bound=2,
        body=(
            sequence(
                "item",
                leaf("first", f"if [ {{{{index}}}} = 1 ]; then {mine}; fi"),
                leaf("second", f"if [ {{{{index}}}} = 0 ]; then {theirs}; fi"),
            ),
        ),
    )  # fmt: skip
    assert drive(workspace).verdict.state == "succeeded"


@pytest.mark.long
def test_tens_of_thousands_of_items_cost_no_more_than_their_count(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    lines = (
        "import json, os",
        "items = list(range(70_000))",
        "with open(os.environ['WFLEDGER_RESULT_FILE'], 'w') as file:",
        "    json.dump({'status': 'succeeded', 'outputs': {'items': items}}, file)",
    )
    add_task(workspace, "list", command=(sys.executable, "-c", "\n".join(lines)))
    controller(
        workspace, "each", after=(f"{RUN}.list",), kind="expand", source="results.list", bound=1,
        outer={"list": f"{RUN}.list"}, body=(leaf("one", note(tmp_path, "{{item}}")),),
    )  # fmt: skip
    drive(workspace)
    assert decided(workspace, EXPAND).outputs["dropped"] == 69_999
    assert noted(tmp_path) == ["0"]


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-019")
def test_many_items_are_waited_for_in_groups(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    items = "[" + ", ".join(str(n) for n in range(501)) + "]"
    task = controller(
        workspace, "each", kind="expand", source=items, body=(leaf("one", "true"),),
    )  # fmt: skip
    look(workspace)
    state = workspace.ledger.get(task.id).task.control
    assert state is not None
    assert len(state.on) == 2
    begun = (*workspace.ledger.names(Status.WAITING), *workspace.ledger.names(Status.PENDING))
    assert len(begun) == 501 + 2 + 1


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-018")
def test_item_that_does_not_fit_is_named_and_another_list_can_be_given(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    controller(
        workspace, "each", kind="expand", source="['fine', '..']", bound=9,
        body=(leaf("one", "true", mode="read_write", file_scope=["src/{{item}}.txt"]),),
    )  # fmt: skip
    look(workspace)
    block = workspace.ledger.get(EXPAND).task.block
    assert block is not None
    assert (block.code, block.facts["index"]) == ("expression", 1)
    assert block.reason.startswith('item 1, "..", does not fit the template: ')
    assert set(statuses(workspace)) == {EXPAND}
    people.retry(workspace, EXPAND)
    look(workspace)
    assert workspace.ledger.get(EXPAND).task.block is not None
    people.answer(workspace, EXPAND, '["fine", "too"]')
    look(workspace)
    assert set(statuses(workspace)) == {EXPAND, f"{EXPAND}.0.one", f"{EXPAND}.1.one"}
    assert replay(workspace, workspace.ledger.run(RUN)).divergences == ()
