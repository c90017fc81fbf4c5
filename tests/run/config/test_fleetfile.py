"""fleet.toml and machine.toml are read as one: every mistake with its file, nothing taken over."""

from pathlib import Path

import pytest

from wfledger.core.routes import ModelPolicy
from wfledger.core.usage import Budget
from wfledger.errors import InvalidDocumentError
from wfledger.run.config import machine
from wfledger.run.config.fleetfile import load
from wfledger.run.config.known import built_in
from wfledger.run.config.providers import Price

ROLES = """
[role.program]
argv = ["tool", "--model", "{model}", "{prompt}"]
model = "own/fast"

[role.agent]
adapter = "codex"
fallbacks = ["zhipu/glm-5.3"]
model = "gpt-6"
budget = { usd = 2.5, tokens = 1000, steps = 9 }

[role.model]
model = "deepseek/deepseek-v4-pro"
requires = ["tool_calls"]
preamble = "  Be brief.\\n"
tools = ["read", "edit"]

[provider.own]
profile = "openai"
base_url = "http://127.0.0.1:9/v1/"
key = "OWN_KEY"
slots = 3
budget = { usd = 10 }
models."fast" = { capabilities = ["tool_calls"], price = { input = 1, output = 2.5 } }
"""


def mistakes(text: str, there: str = "") -> dict[str, str]:
    with pytest.raises(InvalidDocumentError) as caught:
        load(text, machine_text=there)
    return {one["pointer"]: one["message"] for one in caught.value.facts["errors"]}


def test_roles_are_programs_agents_or_models() -> None:
    fleet = load(ROLES)
    program, agent, model = fleet.roles
    assert program.model == ModelPolicy(model="own/fast")
    assert (agent.adapter, agent.budget) == ("codex", Budget(usd=2.5, tokens=1000, steps=9))
    assert agent.model == ModelPolicy(model="gpt-6", fallback_models=("zhipu/glm-5.3",))
    assert (model.preamble, model.tools, model.requires) == (
        "Be brief.", ("read", "edit"), ("tool_calls",),
    )  # fmt: skip
    assert fleet.warnings == ()


def test_provider_is_its_table_over_its_profile() -> None:
    fleet = load(ROLES)
    own = fleet.provider("own")
    assert own is not None
    assert (own.base_url, own.key, own.slots) == ("http://127.0.0.1:9/v1", "OWN_KEY", 3)
    assert own.models[0].price == Price(input=1.0, output=2.5)
    assert {one.name for one in built_in()["openai"].models} < {one.name for one in own.models}
    assert own.other_urls == {}, "another server has none of the profile's addresses"
    deepseek = fleet.provider("deepseek")
    assert deepseek is not None
    assert deepseek.key == "DEEPSEEK_API_KEY"
    assert fleet.provider("nobody") is None
    keyless = load('[provider.x]\nprofile = "openai"\nkey = ""\n').provider("x")
    assert keyless is not None
    assert keyless.key is None


@pytest.mark.parametrize(
    ("text", "pointer", "said"),
    [
        ("[role.a]\n", "/role/a/argv", "is missing"),
        ('[role.a]\nadapter = "x"\nargv = ["x"]', "/role/a/adapter", "not both"),
        ('[role.a]\nmodel = "big"', "/role/a/model", "names no provider"),
        ('[role.a]\nmodel = "a/"', "/role/a/model", "PROVIDER/MODEL"),
        ('[role.a]\nmodel = "a/b"\nfallbacks = ["c"]', "/role/a/fallbacks", "no provider"),
        ('[role.a]\nadapter = "x"\nfallbacks = ["c"]', "/role/a/fallbacks", "without model"),
        ('[role.a]\nargv = ["{prompt}"]\ntools = ["read"]', "/role/a/tools", "no effect"),
        ('[role.a]\nargv = ["{prompt}"]\nbudget = {}', "/role/a/budget", "no effect"),
        ('[role.a]\nadapter = "x"\ntools = ["read"]', "/role/a/tools", "brings its own"),
        ('[role.a]\nmodel = "x/y"\ntools = ["bash"]', "/role/a/tools", "is no tool"),
        ('[role.a]\nmodel = "a/b"\nrequires = ["x"]', "/role/a/requires", "is none of"),
        ('[role.a]\nmodel = "a/b"\nbudget = {usd = 0}', "/role/a/budget/usd", "between"),
        ('[role.a]\nmodel = "a/b"\nbudget = {eur = 1}', "/role/a/budget/eur", "not known"),
        ('[provider.a]\nprofile = "x"', "/provider/a/profile", "no profile 'x'"),
        ("[provider.a]\n", "/provider/a/profile", "is missing"),
        ('[provider.openai]\nkey = "sk-aaaaaaaaaaaaaaaaaaaaaaaa"', "/provider/openai/key", "name"),
        ('[provider.openai]\nbase_url = "x"', "/provider/openai/base_url", "http"),
        ('[provider.openai]\nbase_url = "http://u:p@x/v1"', "/provider/openai/base_url", "password"),
        ("[profile.openai]\n", "/profile/openai", "defined twice"),
        ("[adapter.codex]\n", "/adapter/codex", "defined twice"),
    ],
)
@pytest.mark.requirement("WFL-ROUTE-002")
def test_mistake_is_named_by_its_key(text: str, pointer: str, said: str) -> None:
    assert said in mistakes(text)[pointer]


def test_key_itself_is_never_repeated() -> None:
    secret = "sk-aaaaaaaaaaaaaaaaaaaaaaaa"
    assert secret not in str(mistakes(f'[provider.openai]\nkey = "{secret}"'))


def test_both_files_are_one_fleet() -> None:
    there = (
        'allow_unsandboxed = ["codex"]\n[defaults]\nworkers = 2\n'
        '[role.mine]\nmodel = "own/fast"\n[provider.own]\nprofile = "vllm"\n'
    )
    fleet = load('[defaults]\nrole = "mine"\n', machine_text=there)
    assert (fleet.default_role, fleet.workers) == ("mine", 2)
    assert fleet.unsandboxed == frozenset({"codex"})
    own = fleet.provider("own")
    assert own is not None
    assert own.profile == "vllm"


@pytest.mark.requirement("WFL-ROUTE-001")
@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('[role.a]\nargv = ["x", "{prompt}"]\n', "/role/a"),
        ('[provider.a]\nprofile = "vllm"\n', "/provider/a"),
        ('[profile.a]\nbase_url = "http://x"\n', "/profile/a"),
        ('[adapter.a]\nargv = ["x", "{prompt}"]\n', "/adapter/a"),
        ("[defaults]\nworkers = 2\n", "/defaults/workers"),
    ],
)
def test_name_in_both_files_is_an_error_that_names_both(text: str, pointer: str) -> None:
    said = mistakes(text, text)[pointer]
    assert "fleet.toml" in said
    assert str(machine.path()) in said


def test_built_in_name_is_an_error_that_names_both() -> None:
    assert "/profiles/openai.toml" in mistakes("", "[profile.openai]\n")["/profile/openai"]
    assert "/adapters/codex.toml" in mistakes("[adapter.codex]\n")["/adapter/codex"]


@pytest.mark.requirement("WFL-ROUTE-002")
def test_mistakes_of_both_files_are_reported_each_with_its_file() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        load("[defaults]\nrol = 1\n", machine_text="[env]\npas = []\n[defaults]\nwork = 1\n")
    here, *there = sorted(caught.value.message.splitlines(), key=lambda line: line[0], reverse=True)
    assert here.startswith("fleet.toml: defaults.rol:")
    assert sorted(line.partition(": ")[2].partition(":")[0] for line in there) == [
        "defaults.work", "env.pas",
    ]  # fmt: skip
    assert all(line.startswith(f"{machine.path()}: ") for line in there)


@pytest.mark.requirement("WFL-ROUTE-003")
def test_no_branch_allows_agents_without_a_sandbox() -> None:
    said = mistakes("allow_unsandboxed = true\n")["/allow_unsandboxed"]
    assert str(machine.path()) in said
    assert load("", machine_text="allow_unsandboxed = true\n").unsandboxed is True
    odd = mistakes("", 'allow_unsandboxed = "codex"\n')["/allow_unsandboxed"]
    assert "or a list of names" in odd


def test_machine_file_is_found_in_the_users_configuration(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine.path() == home / ".config/wfledger/machine.toml"
    assert machine.text() == ""
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert machine.path() == home / ".config/wfledger/machine.toml"
    elsewhere = home / "dotfiles.toml"
    elsewhere.write_text("[defaults]\nworkers = 3\n")
    (home / ".config/wfledger").mkdir(parents=True)
    (home / ".config/wfledger/machine.toml").symlink_to(elsewhere)
    assert machine.path() == elsewhere
    assert load("", machine_text=machine.text()).workers == 3
