"""Before anything is submitted it is known who would do each prompt, and what nobody would do."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import plan, wf, wf_json
from tests.support.workspaces import make_workspace
from wfledger.core.documents import TaskSpec
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError
from wfledger.plans.checking import check_text
from wfledger.run.config.fleetfile import load
from wfledger.run.staffing import role_for_prompt, staffed

FLEET = """
[defaults]
role = "model"
[role.model]
model = "near/big"
fallbacks = ["zhipu/glm-5.3"]
[role.agent]
adapter = "codex"
[role.lost]
adapter = "nobody"
[role.program]
argv = ["tool", "{prompt}"]
[provider.near]
profile = "openai"
base_url = "http://127.0.0.1:9"
any_model = false
models.big = { capabilities = ["tool_calls"] }
"""


def _said(fleet: str, *tasks: dict[str, Any]) -> list[str]:
    listed = [{"id": f"t{number}", "prompt": "do", **task} for number, task in enumerate(tasks)]
    checked = check_text(json.dumps({"goal": "g", "tasks": listed}), "plan.json")
    assert checked.plan is not None, checked.errors
    found = staffed(checked.plan, load(fleet), None)
    return [one if isinstance(one, str) else one.text for one in found]


def test_each_prompt_is_said_with_its_role_and_its_model() -> None:
    assert _said(
        FLEET, {}, {"worker": "agent"}, {"worker": "program"}, {"model": "near/big"},
        {"worker": "agent", "model": "gpt-6"}, {"prompt": None, "command": "true"},
    ) == [
        "model: near/big", "agent: codex", "program", "model: near/big", "agent: codex with gpt-6",
    ]  # fmt: skip


@pytest.mark.requirement("WFL-ROUTE-010")
def test_plan_that_nobody_would_do_is_refused_with_every_reason(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, fleet=FLEET)
    path = plan(tmp_path, {
        "a": {"prompt": "do", "worker": "nobody"},
        "b": {"prompt": "do", "worker": "lost"},
        "c": {"prompt": "do", "model": "near/other"},
        "d": {"prompt": "do", "model": "gone/big"},
        "e": {"prompt": "do"},
    })  # fmt: skip
    done = wf(workspace.main, "run", path, "--yes")
    assert done.status == 7
    for said in (
        "a names the worker nobody", "the adapter nobody, which nobody defines",
        "near/other: unknown", "there is no provider gone",
    ):
        assert said in done.err
    assert "e" not in {one.partition(":")[0] for one in done.err.split("; ")}
    assert workspace.ledger.names(Status.WAITING) == []
    found = wf_json(workspace.main, "check", path)
    assert [one["kind"] for one in found["warnings"]] == ["unstaffed"] * 4
    assert found["routes"][-1]["route"]["model"] == "big"
    added = wf(workspace.main, "add", "x", "--prompt", "do", "--model", "gone/big")
    assert added.status == 7
    assert "there is no provider gone" in added.err


@pytest.mark.requirement("WFL-ROUTE-011")
def test_agent_type_names_the_role_where_there_is_no_default_one() -> None:
    roles = ("leaf_reasoner", "planner", "reviewer", "implementer")
    fleet = "".join(f'[role.{name}]\nargv = ["x", "{{prompt}}"]\n' for name in roles)
    types = ("general", "plan", "review", "implementer", "explore")
    tasks = [{"agent_type": one} for one in types]
    expected = ["leaf_reasoner", "planner", "reviewer", "implementer", "leaf_reasoner"]
    assert _said(fleet, *tasks) == expected
    chosen = '[defaults]\nrole = "planner"\n' + fleet
    assert _said(chosen, *tasks) == ["planner"] * len(types)
    assert _said("", {}) == ["t0 has a prompt and no worker"]
    verified = {"verify": [{"kind": "task", "prompt": "judge"}], "prompt": None, "command": "true"}
    assert _said(fleet, verified) == ["reviewer"]


PARTS = """
[role.critic]
argv = ["tool", "{prompt}"]
plays = ["reviewer", "Judge"]
[role.builder]
argv = ["tool", "{prompt}"]
[role.planner]
argv = ["tool", "{prompt}"]
"""


@pytest.mark.requirement("WFL-CTRL-055")
@pytest.mark.parametrize(
    ("spec", "given", "default", "role", "why"),
    [
        ({"role": "builder", "plays": "reviewer"}, "x", "y", "builder", "its plan names it"),
        ({"plays": "Reviewer"}, "x", "y", "critic", "it plays the role Reviewer"),
        ({"plays": "judge"}, None, None, "critic", "it plays the role judge"),
        ({"plays": "builder"}, "x", "y", "builder", "it has the name of the role builder"),
        ({"plays": "tester"}, "x", "y", "x", "whoever starts the run named it"),
        ({"plays": "tester"}, None, "builder", "builder", "it is the default of fleet.toml"),
        ({"agent_type": "plan"}, None, None, "planner", "its agent type is plan"),
        ({"agent_type": "general"}, None, None, None, "its agent type is general"),
    ],
)
def test_role_that_runs_a_prompt_is_chosen_in_one_order_and_said(
    spec: dict[str, Any], given: str | None, default: str | None, role: str | None, why: str
) -> None:
    head = f'[defaults]\nrole = "{default}"\n' if default == "builder" else ""
    chosen = role_for_prompt(TaskSpec(prompt="do", **spec), load(head + PARTS), given)
    assert chosen == (role, why)


@pytest.mark.requirement("WFL-CTRL-055")
def test_part_that_two_roles_play_and_one_that_is_no_name_are_mistakes() -> None:
    text = PARTS.replace("[role.builder]", '[role.builder]\nplays = ["REVIEWER", "a b"]')
    with pytest.raises(InvalidDocumentError) as caught:
        load(text)
    said = str(caught.value)
    assert "'REVIEWER' is played by critic as well" in said
    assert "'a b' is no role of a plan" in said
