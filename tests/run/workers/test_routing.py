"""A task goes to the first model of its policy that is known, able and open on this machine."""

from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.workspaces import make_workspace
from wfledger.core.documents import TaskSpec
from wfledger.core.routes import ModelPolicy, NoRoute, Routed
from wfledger.run.money import breakers
from wfledger.run.workers.launch import Trouble
from wfledger.run.workers.routing import PATIENCE_S, Router
from wfledger.run.workspace import Workspace

FLEET = """
[role.model]
model = "near/big"
fallbacks = ["far/big"]
[role.agent]
adapter = "codex"
[role.program]
argv = ["tool", "{prompt}"]
[provider.near]
profile = "vllm"
base_url = "http://127.0.0.1:9"
slots = 2
[provider.far]
profile = "vllm"
base_url = "http://127.0.0.1:9"
key = "FAR_KEY"
"""


def prompt(role: str = "model", model: str | None = None) -> TaskSpec:
    policy = None if model is None else ModelPolicy(model=model)
    return TaskSpec(prompt="do it", role=role, model=policy)


def route(workspace: Workspace, spec: TaskSpec, *full: str) -> str | None:
    """Return where *spec* goes, or why nowhere."""
    found = Router(workspace, workspace.fleet()).route(spec, full)
    if isinstance(found, Routed):
        return "/".join(part for part in (found.adapter, found.provider, found.model) if part)
    return None if found is None else found.message


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("FAR_KEY", "a key")
    return make_workspace(tmp_path, fleet=FLEET, clock=FakeClock())


def test_each_kind_of_role_has_its_route(workspace: Workspace) -> None:
    assert route(workspace, prompt()) == "near/big"
    assert route(workspace, prompt("agent")) == "codex"
    assert route(workspace, prompt("agent", "gpt")) == "codex/gpt"
    router = Router(workspace, workspace.fleet())
    own = router.route(prompt("agent"))
    assert isinstance(own, Routed)
    assert router.account(own) == "codex"
    assert "cannot be pointed" in str(route(workspace, prompt("agent", "near/big")))
    assert route(workspace, prompt("program")) is None
    assert route(workspace, prompt("program", "elsewhere/x")) == "elsewhere/x"
    assert route(workspace, TaskSpec(command="true")) is None
    assert route(workspace, prompt("nobody")) is None


def test_closed_and_full_providers_are_passed(workspace: Workspace) -> None:
    assert route(workspace, prompt(), "near") == "far/big"
    breakers.note(workspace, "near", Trouble("auth", "no"))
    assert route(workspace, prompt()) == "far/big"
    assert "key was refused" in str(route(workspace, prompt(), "far"))


@pytest.mark.requirement("WFL-ROUTE-007")
def test_provider_without_its_key_is_closed_and_says_the_name(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAR_KEY")
    assert route(workspace, prompt(model="far/x")) == "provider far: FAR_KEY is not set here"
    others = Router(workspace, workspace.fleet(), with_keys=False)
    assert isinstance(others.route(prompt(model="far/x")), Routed)


def test_adapter_that_nobody_defines_is_said(workspace: Workspace) -> None:
    fleet = workspace.ledger.layout.root / "fleet.toml"
    fleet.write_text('[role.a]\nadapter = "nobody"\n')
    found = Router(workspace, workspace.fleet()).route(prompt("a"))
    assert isinstance(found, NoRoute)
    assert (found.kind, found.passes) == ("MissingAdapter", False)


@pytest.mark.requirement("WFL-ROUTE-013")
def test_person_is_needed_where_waiting_takes_too_long(workspace: Workspace) -> None:
    def needed(model: str) -> str | None:
        found = Router(workspace, workspace.fleet()).needs_person(prompt(model=model))
        return None if found is None else found.command

    assert needed("near/big") is None
    breakers.note(workspace, "near", Trouble("quota", "", retry_after_s=PATIENCE_S))
    assert needed("near/big") is None
    breakers.note(workspace, "near", Trouble("quota", "", retry_after_s=PATIENCE_S + 1))
    assert needed("near/big") == "wfledger provider close near"
    assert needed("nobody/x") == "wfledger provider list"


def test_room_is_what_breaker_and_table_leave(workspace: Workspace) -> None:
    assert Router(workspace, workspace.fleet()).room() == {"near": 2}
    breakers.note(workspace, "far", Trouble("auth", ""))
    breakers.note(workspace, "near", Trouble("rate", ""))
    assert Router(workspace, workspace.fleet()).room() == {"near": 1, "far": 0}
