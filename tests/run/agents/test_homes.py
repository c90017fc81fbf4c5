"""An agent's own home holds what its adapter names of the person's, and nothing else."""

import json
from pathlib import Path

import pytest

from wfledger.run.agents.homes import make_home
from wfledger.run.config.adapters import Adapter, Login

ADAPTER = Adapter(
    "x", ("x",), home=(("X_HOME", ".x"), ("HOME", ".")),
    login=Login(copy=(("~/.x/auth.json", ".x/auth.json"),)),
)  # fmt: skip
AUTH = {"tokens": {"access_token": "t" * 30}, "name": "n" * 30, "short_key": "abc"}


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "person"
    (home / ".x").mkdir(parents=True)
    (home / ".x" / "auth.json").write_text(json.dumps(AUTH))
    (home / ".x" / "history").write_text("private")
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.mark.requirement("WFL-ADAPT-020")
def test_home_has_the_login_that_the_adapter_names_and_no_more(
    person: Path, tmp_path: Path
) -> None:
    made = make_home(ADAPTER, tmp_path / "home", {".x/config": "a=1"}, login=True)
    assert made.env == {"X_HOME": str(tmp_path / "home" / ".x"), "HOME": str(tmp_path / "home" / ".")}
    there = {str(p.relative_to(made.folder)) for p in made.folder.rglob("*") if p.is_file()}
    assert there == {".x/auth.json", ".x/config"}
    assert (made.folder / ".x" / "auth.json").stat().st_mode & 0o777 == 0o600
    assert made.secrets == ("t" * 30,)


@pytest.mark.requirement("WFL-ADAPT-020")
def test_agent_that_is_pointed_at_a_provider_gets_no_login(person: Path, tmp_path: Path) -> None:
    made = make_home(ADAPTER, tmp_path / "home", {}, login=False)
    assert not list(made.folder.rglob("auth.json"))
    assert made.secrets == ()


def test_absent_login_is_no_failure_here(tmp_path: Path, person: Path) -> None:
    (person / ".x" / "auth.json").unlink()
    assert make_home(ADAPTER, tmp_path / "home", {}, login=True).secrets == ()


def test_home_that_is_made_again_keeps_the_session_and_follows_no_link(
    person: Path, tmp_path: Path
) -> None:
    made = make_home(ADAPTER, tmp_path / "home", {".x/config": "a=1"}, login=True)
    (made.folder / ".x" / "session").write_text("s")
    (made.folder / ".x" / "auth.json").write_text('{"token": "renewed-renewed-renewed"}')
    (made.folder / ".x" / "config").unlink()
    (made.folder / ".x" / "config").symlink_to(person / ".x" / "history")
    again = make_home(ADAPTER, tmp_path / "home", {".x/config": "a=2"}, login=True)
    assert again.secrets == ("renewed-renewed-renewed", "t" * 30)
    assert "renewed" in (made.folder / ".x" / "auth.json").read_text()
    assert (made.folder / ".x" / "session").read_text() == "s"
    assert (made.folder / ".x" / "config").read_text() == "a=2"
    assert (person / ".x" / "history").read_text() == "private"
