"""Reduction: all results as one, equal findings merged, what is missing and contradicted said."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import drive
from tests.support.workspaces import RUN, add_run, add_task, make_workspace, start
from wfledger.core.documents import Result
from wfledger.run.attempts.inputs import prompt_with_inputs, write_inputs
from wfledger.run.reuse.earlier import read_done
from wfledger.run.reuse.taking import prepare
from wfledger.run.workspace import Workspace


def reviewer(
    workspace: Workspace, node: str, *findings: dict[str, Any], run_id: str = RUN
) -> str:
    """Add a task that reports *findings*."""
    envelope = json.dumps({"summary": node, "findings": findings})
    line = f"printf %s '{envelope}' > $WFLEDGER_RESULT_FILE"
    return add_task(workspace, node, run_id=run_id, command=line, on_failure="skip_continue").id


def audit(workspace: Workspace) -> tuple[str, ...]:
    """Add three reviewers, one of which fails; two of them say the same, and contradict twice."""
    same = {"title": "Leak", "path": "a.py", "line": 3}
    one = reviewer(workspace, "one", same, {"title": "x is safe"})
    two = reviewer(workspace, "two", same | {"title": "leak."}, {"title": "x is not safe"})
    three = add_task(workspace, "three", command="exit 1", on_failure="skip_continue").id
    return one, two, three


def _of(workspace: Workspace, task_id: str) -> Result:
    result = workspace.ledger.result(task_id, 1)
    assert result is not None
    return result


def _assert_put_together(result: Result) -> None:
    made = result.synthesis
    assert made is not None
    assert (made.contributors, made.missing) == ((f"{RUN}.one", f"{RUN}.two"), (f"{RUN}.three",))
    said = [(one["title"], one["sources"], "contradicts" in one) for one in made.findings]
    assert said == [
        ("x is not safe", [f"{RUN}.two"], True), ("x is safe", [f"{RUN}.one"], True),
        ("Leak", [f"{RUN}.one", f"{RUN}.two"], False),
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-064")
def test_reduction_without_a_prompt_is_decided_by_what_it_is_given(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    inputs = audit(workspace)
    control = {"kind": "reduce", "members": inputs}
    task = add_task(
        workspace, "sum", command=None, control=control, after=inputs, inputs=inputs
    )  # fmt: skip
    assert drive(workspace, slots=3).verdict.state == "degraded"
    result = _of(workspace, task.id)
    _assert_put_together(result)
    assert result.outputs == {
        "contributors": list(inputs[:2]), "missing": [inputs[2]], "partial": True, "findings": 3,
        "contradicted": 2,
    }  # fmt: skip
    assert result.summary == "3 findings of 2 results, 1 missing, 2 of them contradicted"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-060")
@pytest.mark.requirement("WFL-CTRL-061")
def test_reducer_is_given_everything_as_one_and_believed_in_nothing_of_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    inputs = audit(workspace)
    copy = tmp_path / "seen.json"
    forged = json.dumps({"summary": "all is well", "synthesis": {"contributors": ["r1.forged"]}})
    line = f"cp $WFLEDGER_INPUTS/merged.json {copy}; echo '{forged}' > $WFLEDGER_RESULT_FILE"
    task = add_task(workspace, "sum", command=line, after=inputs, inputs=inputs, reduces=True)
    assert drive(workspace, slots=3).verdict.state == "degraded"
    result = _of(workspace, task.id)
    _assert_put_together(result)
    assert result.summary == "all is well"
    seen = json.loads(copy.read_bytes())
    assert seen["missing"] == [inputs[2]]
    assert list(seen["envelopes"]) == sorted(inputs[:2])
    assert len(seen["findings"]) == 3
    assert result.synthesis is not None
    assert seen["findings"] == list(result.synthesis.findings)


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-061")
def test_groups_are_opened_and_what_failed_in_them_is_missing(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    inputs = audit(workspace)
    control = {"kind": "branch_set", "members": inputs}
    add_task(workspace, "all", command=None, control=control, after=inputs)
    drive(workspace, slots=3)
    group = f"{RUN}.all"
    add_task(
        workspace, "sum", command=None, prompt="Sum up.", after=(group,), inputs=(group,),
        reduces=True,
    )  # fmt: skip
    task = start(workspace, f"{RUN}.sum")
    folder = tmp_path / "desk"
    folder.mkdir()
    write_inputs(workspace, task, folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "merged.json", "missing.json", "manifest.json", f"{group}.json", *(f"{one}.json" for one in inputs[:2])
    }
    merged = json.loads((folder / "merged.json").read_bytes())
    assert (merged["contributors"], merged["missing"]) == (list(inputs[:2]), [inputs[2]])
    prompt = prompt_with_inputs(task, folder)
    assert f"## Result of {inputs[0]}" in prompt
    assert f"- {inputs[2]}" in prompt
    assert str(folder / "merged.json") in prompt


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-060")
def test_reused_reduction_names_the_tasks_of_its_own_run(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    run = add_run(workspace, "r2")
    made = []
    for run_id in (RUN, "r2"):
        one = reviewer(workspace, "one", {"title": "Leak"}, run_id=run_id)
        drive(workspace, run_id=run_id)
        made.append(add_task(
            workspace, "sum", run_id=run_id, after=(one,), inputs=(one,), reduces=True
        ))  # fmt: skip
    drive(workspace)
    earlier = read_done(workspace, f"{RUN}.sum")
    assert earlier is not None
    offer = prepare(workspace, made[1], run, earlier, missing=())
    assert offer is not None
    assert offer.result.reused is not None
    assert offer.result.synthesis is not None
    assert offer.result.synthesis.contributors == ("r2.one",)
    assert [one["sources"] for one in offer.result.synthesis.findings] == [["r2.one"]]
