"""Routes are resolved by the registry's rules: every row of its table, and what holds for all."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wfledger.core.routes import (
    CAPABILITIES,
    Known,
    ModelPolicy,
    NoRoute,
    Routed,
    Wish,
    candidates,
    resolve,
)

ABLE = frozenset({"tool_calls", "json_mode"})
REGISTRY = {
    "a": Known({"big": ABLE, "small": frozenset()}),
    "b": Known({"big": ABLE}, any_model=True, capabilities=frozenset({"streaming"})),
}


def policy(model: str | None, *fallbacks: str, provider: str | None = None) -> ModelPolicy:
    return ModelPolicy(model=model, fallback_models=fallbacks, provider=provider)


def found(own: ModelPolicy | None, *required: str, **more: Any) -> str:
    """Return the route as one line: the model that was taken and its source, or the kind."""
    closed, refused = more.pop("closed", {}), more.pop("refused", ())
    wish = Wish(role="r", policy=own, required=frozenset(required), **more)
    route = resolve(wish, REGISTRY, closed, refused=refused)
    if isinstance(route, NoRoute):
        return route.kind
    return f"{route.provider}/{route.model} {route.source}"


@pytest.mark.requirement("WFL-ROUTE-006")
@pytest.mark.requirement("WFL-ROUTE-007")
@pytest.mark.parametrize(
    ("own", "required", "expected"),
    [
        (None, (), "MissingPolicy"),
        (policy(None), (), "MissingModel"),
        (policy(None, "a/big", provider="a"), (), "MissingModel"),
        (policy("big"), (), "MissingFallbackProvider"),
        (policy("a/big", "big"), (), "MissingFallbackProvider"),
        (policy("a/big"), (), "a/big primary"),
        (policy("big", provider="a"), (), "a/big primary"),
        (policy("b/big", provider="a"), (), "b/big primary"),
        (policy("a/small", "b/big"), ("tool_calls",), "b/big fallback"),
        (policy("a/none", "a/small", "a/big"), (), "a/small fallback"),
        (policy("b/x/y"), (), "b/x/y primary"),
        (policy("b/x/y"), ("streaming",), "b/x/y primary"),
        (policy("b/x/y"), ("tool_calls",), "NoCapableModel"),
        (policy("c/big", "a/none"), (), "NoCapableModel"),
    ],
)
def test_registry_resolves(own: ModelPolicy | None, required: tuple[str, ...], expected: str) -> None:
    assert found(own, *required) == expected


def test_policy_of_the_task_is_never_mixed_with_that_of_its_role() -> None:
    default = policy("a/big", "b/big")
    assert found(None, default=default) == "a/big role_default"
    assert found(None, default=default, closed={"a": "shut"}) == "b/big fallback"
    assert found(policy(None), default=default) == "MissingModel"
    assert found(policy("a/small"), "tool_calls", default=default) == "NoCapableModel"


@pytest.mark.requirement("WFL-ROUTE-008")
def test_receipt_says_who_was_passed_and_why() -> None:
    wish = Wish(role="r", policy=policy("c/x", "a/small", "a/big", "b/big"), required=ABLE)
    route = resolve(wish, REGISTRY, {"a": "provider a: the key was refused"})
    assert isinstance(route, Routed)
    assert (route.role, route.provider, route.model, route.source) == ("r", "b", "big", "fallback")
    assert [(one.candidate, one.why) for one in route.rejected] == [
        ("c/x", "unknown: there is no provider c"),
        ("a/small", "missing required capabilities: json_mode, tool_calls"),
        ("a/big", "provider a: the key was refused"),
    ]


def test_what_is_closed_passes_and_what_will_never_do_does_not() -> None:
    wish = Wish(policy=policy("a/big", "a/none"))
    shut = resolve(wish, REGISTRY, {"a": "shut until noon"})
    assert isinstance(shut, NoRoute)
    assert (shut.passes, shut.message) == (True, "shut until noon")
    never = resolve(Wish(policy=policy("a/none")), REGISTRY, {"a": "shut until noon"})
    assert isinstance(never, NoRoute)
    assert (never.passes, never.message) == (False, "no model will do: a/none: unknown")


def test_account_of_an_agent_serves_what_names_no_provider() -> None:
    agent = {"adapter": "codex", "has_account": True}
    assert found(None, **agent) == "None/None role_default"
    assert found(policy("gpt"), **agent) == "None/gpt primary"
    assert found(policy("gpt", "a/big"), closed={"codex": "no login"}, **agent) == "a/big fallback"
    assert found(policy("gpt"), closed={"codex": "no login"}, **agent) == "Closed"
    assert found(policy("gpt"), "tool_calls", **agent) == "NoCapableModel"
    assert found(policy("a/big", "gpt"), refused={"a"}, **agent) == "None/gpt fallback"


NAMES = st.sampled_from(["a/big", "a/small", "a/none", "b/big", "b/other", "c/x"])
REQUIRED = st.frozensets(st.sampled_from(CAPABILITIES), max_size=2)


@settings(max_examples=25)
@given(st.lists(NAMES, min_size=1, max_size=5), REQUIRED, st.frozensets(st.sampled_from("abc")))
def test_first_that_will_do_is_taken_and_all_before_it_are_accounted_for(
    names: list[str], required: frozenset[Any], shut: frozenset[str]
) -> None:
    wish = Wish(policy=policy(*names), required=required)
    route = resolve(wish, REGISTRY, dict.fromkeys(shut, "shut"))

    def will_do(name: str) -> bool:
        provider, _, model = name.partition("/")
        able = REGISTRY[provider].can(model) if provider in REGISTRY else None
        return able is not None and required <= able and provider not in shut

    expected = next((index for index, name in enumerate(names) if will_do(name)), None)
    assert [str(one) for one in candidates(wish)] == names  # type: ignore[union-attr]
    assert [one.candidate for one in route.rejected] == names[:expected]
    if expected is None:
        assert isinstance(route, NoRoute)
    else:
        assert isinstance(route, Routed)
        assert f"{route.provider}/{route.model}" == names[expected]
        assert route.source == ("fallback" if expected else "primary")
