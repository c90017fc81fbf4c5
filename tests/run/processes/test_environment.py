"""A worker sees what it was given, and nothing that looks like a secret by accident."""

from pathlib import Path

import pytest

from wfledger.run.processes import environment

SOURCE = {
    "PATH": "/bin",
    "HOME": "/home/u",
    "LC_ALL": "C",
    "LC_TOKEN": "not a locale",
    "PWD": "/elsewhere",
    "OLDPWD": "/before",
    "GIT_DIR": "/repo/.git",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "OPENAI_API_KEY": "sk-secret-secret",
    "OPENAI_BASE_URL": "http://localhost",
    "OPENAI_ORG": "me",
    "EDITOR": "vi",
    "WFLEDGER_TOKEN": "of another attempt",
}
HERE = Path("/some/tree")


def built(*names: str, **extra: str) -> dict[str, str]:
    return environment.build(names, extra, HERE, source=SOURCE)


def test_standing_list_and_nothing_else_is_passed() -> None:
    assert built() == {"PATH": "/bin", "HOME": "/home/u", "LC_ALL": "C", "PWD": str(HERE)}


def test_listed_names_are_passed() -> None:
    assert built("EDITOR", "ABSENT")["EDITOR"] == "vi"


def test_prefix_passes_all_but_secrets() -> None:
    found = built("OPENAI_*")
    assert found["OPENAI_BASE_URL"] == "http://localhost"
    assert found["OPENAI_ORG"] == "me"
    assert "OPENAI_API_KEY" not in found


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "SSH_AUTH_SOCK", "GIT_DIR", "LC_TOKEN"])
def test_guarded_names_are_passed_only_when_listed_exactly(name: str) -> None:
    assert name not in built("*")
    assert name not in built(name[:3] + "*")
    assert built(name)[name] == SOURCE[name]


def test_tokens_of_an_outer_attempt_are_not_passed_on() -> None:
    assert "WFLEDGER_TOKEN" not in built("WFLEDGER_*", "*")
    assert built(WFLEDGER_TOKEN="mine")["WFLEDGER_TOKEN"] == "mine"


def test_working_directory_is_the_jobs() -> None:
    assert built("PWD", PWD="/wrong")["PWD"] == str(HERE)


def test_path_is_always_there() -> None:
    assert environment.build((), {}, HERE, source={})["PATH"]


def test_own_environment_is_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SETTING", "1")
    assert environment.build(["SOME_SETTING"], {}, HERE)["SOME_SETTING"] == "1"


def test_withheld_secrets_can_be_named() -> None:
    assert environment.withheld([], source=SOURCE) == (
        "LC_TOKEN",
        "OPENAI_API_KEY",
        "WFLEDGER_TOKEN",
    )
    assert "OPENAI_API_KEY" not in environment.withheld(["OPENAI_API_KEY"], source=SOURCE)


def test_secret_values_are_blotted_out() -> None:
    secrets = environment.secrets_of(
        {
            "A_KEY": "abcdefgh",
            "B_TOKEN": "abcdefgh-longer",
            "C_PASSWORD": "short",
            "PLAIN": "visible!",
        }
    )
    text = "abcdefgh-longer and abcdefgh, short, visible!"
    assert environment.redact(text, secrets) == "[redacted] and [redacted], short, visible!"


def test_each_line_of_a_key_is_blotted_out() -> None:
    secrets = environment.secrets_of({"DEPLOY_KEY": "-----BEGIN-----\nc2VjcmV0c2VjcmV0\n--\n"})
    assert environment.redact("line c2VjcmV0c2VjcmV0", secrets) == "line [redacted]"


def test_well_known_tokens_are_blotted_out_without_being_listed() -> None:
    token = "ghp_" + "a" * 36
    assert environment.redact(f"push with {token}.", ()) == "push with [redacted]."
