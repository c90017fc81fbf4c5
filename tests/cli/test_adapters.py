"""`adapter` lists, shows and tests how agents' programs are driven."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import contents, wf, wf_json
from tests.support.rehearsals import agent, allow_unsandboxed
from tests.support.waiting import until
from wfledger.run.rehearsal.stage import as_toml


@pytest.fixture
def fleet(repo: Path, home: Path) -> Path:
    """A repository whose fleet has adapters of its own: a good one, and one that says nothing."""
    allow_unsandboxed(home)
    assert wf(repo, "init").status == 0
    _define(repo, ours=agent(), mute=agent("mute"))
    return repo


def _define(repo: Path, **adapters: dict[str, Any]) -> None:
    (repo / ".wfledger" / "fleet.toml").write_text(as_toml({"adapter": adapters}))


def test_adapters_of_the_fleet_and_built_in_ones_are_listed(fleet: Path) -> None:
    found = {one["name"]: one for one in wf_json(fleet, "adapter", "list")["adapters"]}
    assert {"ours", "mute", "codex", "claude"} <= set(found)
    assert (found["ours"]["installed"], found["ours"]["built_in"]) == (True, False)
    assert found["codex"]["built_in"]
    assert "(not here)" in wf(fleet, "adapter", "list").out


def test_built_in_ones_are_known_outside_of_a_repository(tmp_path: Path) -> None:
    said = wf(tmp_path, "adapter", "show", "codex")
    assert said.status == 0, said
    assert "codex exec --json" in said.out
    assert "not installed here; to install it: npm install" in said.out


def test_an_unknown_adapter_is_refused_with_those_that_are_known(fleet: Path) -> None:
    said = wf(fleet, "adapter", "test", "oven")
    assert said.status == 2
    assert "codex" in said.err
    assert "wfledger adapter list" in said.err


@pytest.mark.requirement("WFL-ADAPT-104")
def test_a_program_that_is_not_installed_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    said = wf(tmp_path, "adapter", "test", "codex")
    assert said.status == 1
    assert "is not installed here" in said.err
    assert "npm install -g @openai/codex" in said.err


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-100")
@pytest.mark.requirement("WFL-ADAPT-103")
def test_the_exit_status_says_whether_every_case_is_as_it_must_be(fleet: Path) -> None:
    options = ("--sandbox", "none", "--case", "401", "--case", "empty")
    before = contents(fleet)
    good = wf_json(fleet, "adapter", "test", "ours", *options)
    assert (good["ok"], good["kept"]) == (True, None)
    assert [one["found"] for one in good["cases"]] == ["no_change", "auth"]
    bad = wf(fleet, "adapter", "test", "mute", *options)
    assert bad.status == 1
    assert "401: expected auth, found task" in bad.out
    assert "1 case of 2 wrong" in bad.out
    assert contents(fleet) == before


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-100")
def test_sigterm_takes_everything_away_again(fleet: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "state"
    _define(fleet, ours=agent("patient"))
    argv = ["adapter", "test", "ours", "--sandbox", "none", "--case", "429", "--verbose"]
    with subprocess.Popen(
        [sys.executable, "-m", "wfledger", "-C", str(fleet), *argv],
        env={**os.environ, "XDG_STATE_HOME": str(scratch)},
        stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        said = running.stderr
        assert said is not None
        until(lambda: "runs" in said.readline())
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert running.returncode != 0
    assert list((scratch / "wfledger" / "rehearsals").iterdir()) == []
