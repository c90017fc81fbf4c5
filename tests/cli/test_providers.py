"""`provider`: how each stands here, in words and as an object; a person lets one go on."""

from pathlib import Path

import pytest

from tests.support.cli import wf, wf_json
from tests.support.rehearsals import Rehearse
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core.documents import Result
from wfledger.core.routes import Routed
from wfledger.core.usage import Usage
from wfledger.run.money import breakers, spending
from wfledger.run.rehearsal.script import FAILURES
from wfledger.run.workers.launch import Trouble

KEY = "canary-key-0123456789"
FLEET = """
[role.model]
model = "near/big"
[role.agent]
adapter = "codex"
[provider.near]
profile = "vllm"
base_url = "{url}"
key = "NEAR_KEY"
slots = 2
models.big = {{ capabilities = ["tool_calls"] }}
models.small = {{ price = {{ input = 1, output = 2 }} }}
"""


def _fleet(url: str = "http://127.0.0.1:9/v1") -> str:
    return FLEET.format(url=url)


def test_list_says_state_slots_key_and_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(tmp_path, fleet=_fleet())
    agent, near = wf_json(workspace.main, "provider", "list")["providers"]
    assert (agent["name"], agent["key"], agent["key_set"]) == ("codex", None, None)
    assert (near["key"], near["key_set"], near["state"]) == ("NEAR_KEY", False, "closed")
    assert near["slots"] == {"busy": 0, "limit": 2}
    priced = {one["name"]: one["priced"] for one in near["models"]}
    assert priced == {"big": False, "small": True}
    assert "NEAR_KEY (not set here)" in wf(workspace.main, "provider", "list").out
    monkeypatch.setenv("NEAR_KEY", KEY)
    breakers.note(workspace, "near", Trouble("quota", "nothing left"))
    done = wf(workspace.main, "provider", "list")
    assert KEY not in done.out
    assert "nothing left; wfledger provider close near" in done.out


def test_list_says_of_a_provider_that_its_budget_is_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAR_KEY", KEY)
    fleet = _fleet().replace("slots = 2", "budget = { tokens = 10 }")
    workspace = make_workspace(tmp_path, fleet=fleet)
    task = add_task(workspace, "t", command=None, prompt="Do it.", write=())
    route = Routed(role="model", provider="near", model="big")
    used = Usage(input=11, output=1, source="meter")
    ended = Result(task=task.id, attempt=1, status="succeeded", usage=used, route=route)
    spending.note(workspace, task, ended)
    near = wf_json(workspace.main, "provider", "list")["providers"][1]
    assert (near["name"], near["state"]) == ("near", "closed")
    assert near["used_up"] == "budget of the provider near: 12 of 10 tokens used"
    row = next(line for line in wf(workspace.main, "provider", "list").out.splitlines() if "near" in line)
    assert row.split()[1] == "stopped"
    assert row.endswith(near["used_up"])


@pytest.mark.requirement("WFL-ROUTE-025")
@pytest.mark.requirement("WFL-ROUTE-012")
def test_status_and_why_name_the_command_that_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAR_KEY", KEY)
    workspace = make_workspace(tmp_path, fleet=_fleet())
    add_task(workspace, "a", command=None, prompt="do", role="model")
    breakers.note(workspace, "near", Trouble("quota", "no more", retry_after_s=90_000))
    root = workspace.main
    command = "wfledger provider close near"
    shut = wf_json(root, "status")["providers"]
    assert [(one["provider"], one["trouble"], one["command"]) for one in shut] == [
        ("near", "quota", command)
    ]
    said = wf_json(root, "status")
    assert said["runs"][0]["verdict"] == "waits"
    assert [(one["code"], one["command"]) for one in said["needs"]] == [("provider", command)]
    assert command in wf(root, "status").out
    why = wf_json(root, "why", f"{RUN}.a")
    assert (why["code"], why["command"], why["until"]) == ("provider", command, shut[0]["until"])
    assert "provider near: quota or balance is used up since" in why["reason"]
    assert wf_json(root, "provider", "close", "near") == {"provider": "near", "closed": True}
    assert wf_json(root, "why", f"{RUN}.a")["code"] == "ready"
    assert wf_json(root, "provider", "close", "near")["closed"] is False
    assert wf(root, "provider", "close", "nobody").status == 2


@pytest.mark.long
def test_test_asks_one_short_question_with_the_key(
    tmp_path: Path, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAR_KEY", KEY)
    refusal = FAILURES["401"]
    server = rehearse(FAILURES["402"], refusal)
    workspace = make_workspace(tmp_path, fleet=_fleet(server.chat_url))
    root = workspace.main
    assert wf_json(root, "provider", "test", "near", status=1)["trouble"] == "quota"
    done = wf(root, "provider", "test", "near", "--model", "another")
    assert (done.status, "near does not answer (auth)" in done.out) == (1, True)
    assert "near answers as" in wf(root, "provider", "test", "near").out
    assert [one.key for one in server.asked] == [KEY] * 3
    assert [one.body["model"] for one in server.asked] == ["big", "another", "big"]
    assert breakers.states(workspace) == {}
    monkeypatch.delenv("NEAR_KEY")
    assert "NEAR_KEY is not set here" in wf(root, "provider", "test", "near").err
