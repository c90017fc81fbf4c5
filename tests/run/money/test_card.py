"""What stands on the card of a plan, and when a person is asked (spec 66, WFL-CARD)."""

from pathlib import Path
from typing import Any

import pytest

from tests.plans.documents import short
from wfledger.plans.checking import check
from wfledger.run.config.fleetfile import load
from wfledger.run.money.card import LISTED, Card, Circumstances, card_for

FLEET = """
[env]
pass = ["HOME_MADE", "BUILD_TOKEN", "SECRET_*"]
[worktree]
setup = "make deps"
[defaults]
role = "coder"
[role.coder]
model = "deepseek/deepseek-v4-pro"
budget = { tokens = 9000 }
[role.reviewer]
argv = ["review", "{prompt}"]
pass = ["GH_TOKEN"]
[role.boxed]
argv = ["think", "{prompt}"]
sandbox = "bwrap"
network = false
"""
MODEL = {"prompt": "do it"}


def card(*tasks: dict[str, Any], fleet: str = FLEET, **top: Any) -> Card:
    listed = [{"id": f"t{number}", **fields} for number, fields in enumerate(tasks)]
    plan = check(short(*listed, **top)).plan
    assert plan is not None
    return card_for(plan, Circumstances(load(fleet), gates=("make gate",)))


@pytest.mark.requirement("WFL-CARD-001")
def test_card_names_everything_that_a_plan_would_do() -> None:
    found = card(
        {"command": "make a", "write": ["a"], "env": ["DEPLOY_KEY"]},
        {"command": ["make", "a b"]},
        {"command": "make a", "verify": "make check"},
        {**MODEL, "write": ["b"], "budget": {"usd": 1}},
        {"prompt": "look", "worker": "reviewer"},
        budget={"usd": 10, "time": "20m"},
    )
    assert [(one.role, one.who, one.tasks) for one in found.workers] == [
        ("coder", "deepseek/deepseek-v4-pro", 1), ("reviewer", "review", 1),
    ]
    assert (found.tasks, found.writers, found.writes.shown) == (5, 2, ("a", "b"))
    assert found.commands.shown == ("make a", "make 'a b'")
    assert found.checks.shown == ("make check", "make gate", "make deps")
    assert found.secrets == ("BUILD_TOKEN", "DEEPSEEK_API_KEY", "DEPLOY_KEY", "GH_TOKEN")
    assert found.caps.shown == (
        "the run: $10.00", "the run: 1200 s", "an attempt of coder: 9000 tokens", "one task: $1.00",
    )
    assert (found.network, found.sandbox) == (True, "none")


@pytest.mark.requirement("WFL-CARD-001")
def test_card_names_the_login_that_an_agent_is_given_where_no_provider_serves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "set")
    monkeypatch.delenv("CODEX_API_KEY", raising=False)
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/auth.json").write_text("{}")
    fleet = '[role.coder]\nadapter = "codex"\n'
    found = card({**MODEL, "worker": "coder"}, fleet=fleet)
    assert (found.secrets, found.unset) == (("OPENAI_API_KEY", "~/.codex/auth.json"), ())
    served = card({**MODEL, "worker": "coder"}, fleet=fleet + 'model = "openai/gpt-6-luna"\n')
    assert served.secrets == ("OPENAI_API_KEY",)


@pytest.mark.requirement("WFL-CARD-001")
def test_card_knows_what_is_taken_in_place_of_a_model_and_which_keys_are_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "set")
    monkeypatch.delenv("ZAI_API_KEY", raising=False)
    other = FLEET.replace('-pro"', '-pro"\nfallbacks = ["zhipu/glm-5.3", "ollama/unpriced"]', 1)
    (alone,), (worker,) = card(MODEL).workers, (found := card(MODEL, fleet=other)).workers
    assert (worker.fallbacks, worker.is_model) == (("zhipu/glm-5.3", "ollama/unpriced"), True)
    assert found.secrets == ("BUILD_TOKEN", "DEEPSEEK_API_KEY", "ZAI_API_KEY")
    assert found.unset == ("BUILD_TOKEN", "ZAI_API_KEY")
    assert found.cost.unknown == ("ollama/unpriced",)
    assert alone.fallbacks == ()


@pytest.mark.requirement("WFL-CARD-001")
def test_a_long_list_is_counted_and_not_all_shown() -> None:
    found = card(*({"command": f"make {number}"} for number in range(LISTED + 5))).commands
    assert (len(found.shown), found.count) == (LISTED, LISTED + 5)


@pytest.mark.requirement("WFL-CARD-002")
@pytest.mark.parametrize(
    ("task", "top", "asks"),
    [
        ({"command": "make"}, {}, False),
        ({"command": "make", "write": ["a"]}, {}, True),
        ({"command": "make", "env": ["A_TOKEN"]}, {}, True),
        ({"command": "make", "env": ["COLOUR"]}, {}, False),
        ({"command": "make"}, {"budget": {"usd": 1}}, True),
        ({"command": "make"}, {"budget": {"time": 60}}, False),
        ({"prompt": "p", "worker": "boxed"}, {}, False),
        ({"prompt": "p", "worker": "reviewer"}, {}, True),
        (MODEL, {}, True),
        ({"manual": True}, {}, False),
        ({"command": "make", "verify": {"kind": "task", "prompt": "judge"}}, {}, True),
    ],
)
def test_it_asks_exactly_where_something_is_at_stake(
    task: dict[str, Any], top: dict[str, Any], *, asks: bool
) -> None:
    fleet = FLEET.replace('"BUILD_TOKEN", ', "")
    assert bool(card(task, fleet=fleet, **top).asks) is asks


@pytest.mark.requirement("WFL-CARD-004")
def test_cost_is_a_range_where_prices_are_known_and_else_unknown_by_name() -> None:
    known = card(MODEL).cost
    assert 0 < known.low <= known.high
    assert card({**MODEL, "budget": {"usd": 0.001}}).cost.high == 0.001
    assert card(MODEL, MODEL, budget={"usd": 0.0001}).cost.high == 0.0001
    mixed = card(MODEL, {"prompt": "look", "worker": "reviewer"}).cost
    assert mixed.unknown == ("review",)
    assert mixed.as_json() == {"low_usd": None, "high_usd": None, "unknown": ["review"]}
    assert "unknown: no price is known of review" in str(mixed)
    assert str(card({"command": "make"}).cost) == "nothing"


@pytest.mark.requirement("WFL-CARD-002")
def test_model_is_talked_to_over_the_network_however_its_commands_are_shut_in() -> None:
    fleet = FLEET + '[role.shut]\nmodel = "deepseek/deepseek-v4-pro"\nsandbox = "bwrap"\nnetwork = false\n'
    found = card({**MODEL, "worker": "shut", "tools": ["run"]}, fleet=fleet)
    assert [one.network for one in found.workers] == [True]
    assert found.cost.high > 0
