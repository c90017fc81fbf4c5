"""Profiles of model servers: the ones that wfledger comes with, and what is refused in others."""

import json
from dataclasses import asdict

import pytest

from wfledger.errors import InvalidDocumentError
from wfledger.run.config.known import built_in
from wfledger.run.config.profiles import Profile, read_profile
from wfledger.run.config.settings import Reader, read_toml
from wfledger.run.models.order import read_server, server_table

NAMES = {"openai", "deepseek", "zhipu", "minimax", "moonshot", "vllm", "sglang", "ollama"}


def _read(text: str) -> Profile:
    top = Reader(read_toml(text, source="fleet.toml"), source="fleet.toml")
    found = read_profile(top, "own")
    top.close()
    return found


def test_eight_profiles_come_with_it() -> None:
    assert set(built_in()) == NAMES
    for profile in built_in().values():
        assert profile.base_url is not None
        is_local = profile.base_url.startswith("http://127.0.0.1")
        assert (profile.key is None) == is_local, profile.name
        assert all(model.price.input is None for model in profile.models) == is_local


def test_a_profile_of_nothing_is_a_plain_server() -> None:
    assert _read("") == Profile("own")


@pytest.mark.requirement("WFL-MODEL-005")
def test_every_mistake_is_named_with_its_place() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        _read(
            'base_url = "ftp://x"\nmax_tokens_field = "limit"\ntool_choice = ["maybe"]\n'
            'refuses = ["temperature"]\nextra_body = { temperature = 1, stream = false }\n'
            'qiet_s = 3\n[error_in_200]\ncode = "x"\n[errors]\nquotas = ["x"]\n'
            '[models.m]\nprice = { input = "1" }\nextra_body = { model = "x" }\n'
        )
    pointers = {error["pointer"] for error in caught.value.facts["errors"]}
    assert pointers == {
        "/base_url", "/max_tokens_field", "/tool_choice", "/extra_body", "/qiet_s",
        "/error_in_200", "/errors/quotas", "/models/m/price/input", "/models.m",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_profile_is_the_same_after_it_was_written_and_read(name: str) -> None:
    profile = built_in()[name]
    for model in profile.models:
        table = json.loads(json.dumps(server_table(profile, model)))
        found, same = read_server(table, name)
        assert same == model
        assert {**asdict(found), "models": ()} == {**asdict(profile), "models": ()}
