"""An agent is shut in as well as this machine and it can, and runs in the open only where allowed."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.confining import needs_bwrap
from wfledger.core.documents import TaskSpec
from wfledger.errors import InvalidDocumentError
from wfledger.run.config.fleetfile import load
from wfledger.run.config.roles import Fleet
from wfledger.run.processes import sandbox
from wfledger.run.workers.confining import UnsandboxedError, confinement_of, foreseen, unready

SPEC = TaskSpec(prompt="do it", role="agent")


def fleet(role: str = "", machine: str = "", adapter: str = "codex") -> Fleet:
    text = f'[role.agent]\nadapter = "{adapter}"\n{role}\n'
    return load(text, machine_text=machine)


@pytest.fixture
def no_bwrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PATH", "/nowhere")
    sandbox._probe.cache_clear()
    yield
    sandbox._probe.cache_clear()


@needs_bwrap
@pytest.mark.requirement("WFL-ADAPT-030")
def test_agent_of_which_nothing_is_said_runs_in_our_sandbox() -> None:
    found = confinement_of(fleet(), SPEC)
    assert (found.sandbox, found.isolation, found.network) == ("bwrap", "clone", True)


@pytest.mark.requirement("WFL-ADAPT-030")
def test_agent_with_a_sandbox_of_its_own_uses_that_where_ours_cannot_be_had(no_bwrap: None) -> None:
    assert confinement_of(fleet(), SPEC).sandbox == "own"
    assert confinement_of(fleet('sandbox = "own"'), SPEC).noted("clone").sandbox == "own"


@pytest.mark.requirement("WFL-ADAPT-031")
def test_agent_without_any_sandbox_is_refused_with_the_line_that_allows_it(no_bwrap: None) -> None:
    with pytest.raises(UnsandboxedError) as caught:
        confinement_of(fleet(adapter="aider"), SPEC)
    assert caught.value.code == "unsandboxed"
    assert 'allow_unsandboxed = ["aider"]' in caught.value.message
    assert caught.value.facts["file"] in caught.value.message
    assert any("aider would run without a sandbox" in one for one in unready(fleet(adapter="aider")))
    assert foreseen(fleet(adapter="aider"), SPEC).sandbox == "none"


@pytest.mark.requirement("WFL-ADAPT-031")
@pytest.mark.parametrize("allowed", ["true", '["aider"]'])
def test_machine_may_allow_it(allowed: str, no_bwrap: None) -> None:
    there = fleet(machine=f"allow_unsandboxed = {allowed}", adapter="aider")
    assert confinement_of(there, SPEC).sandbox == "none"


@pytest.mark.requirement("WFL-ADAPT-031")
def test_role_that_asks_for_no_sandbox_needs_the_same_leave() -> None:
    with pytest.raises(UnsandboxedError):
        confinement_of(fleet('sandbox = "none"'), SPEC)
    other = fleet('sandbox = "none"', machine='allow_unsandboxed = ["aider"]')
    with pytest.raises(UnsandboxedError):
        confinement_of(other, SPEC)
    allowed = fleet('sandbox = "none"', machine='allow_unsandboxed = ["codex"]')
    assert confinement_of(allowed, SPEC).sandbox == "none"


@pytest.mark.requirement("WFL-ADAPT-031")
def test_no_branch_can_allow_it() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        load('allow_unsandboxed = true\n[role.a]\nadapter = "codex"\n')
    assert "belongs to this machine alone" in caught.value.message


def test_agent_that_has_no_sandbox_cannot_be_asked_for_one() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        confinement_of(fleet('sandbox = "own"', adapter="aider"), SPEC)
    assert "has no sandbox of its own" in caught.value.message


def test_agent_cannot_be_cut_off_from_its_model() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        fleet('sandbox = "bwrap"\nnetwork = false')
    assert "reaches its model over the network" in caught.value.message


def test_programs_and_commands_are_kept_apart_as_fleet_toml_says() -> None:
    there = load('[role.p]\nargv = ["p", "{prompt}"]\n')
    assert confinement_of(there, TaskSpec(command="true")).sandbox == "none"
    assert confinement_of(there, TaskSpec(prompt="x", role="p")) == there.roles[0].confinement


@pytest.mark.requirement("WFL-ADAPT-034")
def test_missing_program_is_told_before_anything_runs(no_bwrap: None) -> None:
    said = list(unready(fleet()))
    assert any("install it: npm install -g @openai/codex" in one for one in said)


def test_confinement_that_nobody_has_decided_gets_into_no_result() -> None:
    undecided = fleet().confinement_for(SPEC)
    assert undecided.sandbox == "auto"
    with pytest.raises(ValueError, match="nobody has decided"):
        undecided.noted("clone")
    assert replace(undecided, sandbox="own").noted("clone").sandbox == "own"
