"""`run FILE` asks before it starts what is at stake (spec 66, WFL-CARD)."""

from pathlib import Path

import pytest

from tests.support.cli import plan, wf, wf_json
from tests.support.engines import statuses
from tests.support.screens import OnTerminal
from tests.support.workspaces import open_workspace

WRITES = {"a": {"command": "echo x > a", "write": ["a"]}}
READS = {"a": {"command": "true"}}


def ready(repo: Path) -> Path:
    assert wf(repo, "init").status == 0
    return repo


@pytest.mark.requirement("WFL-CARD-003")
@pytest.mark.parametrize("detach", [(), ("--detach",)], ids=["run", "detach"])
def test_nobody_to_ask_and_no_yes_submits_nothing_and_shows_the_card(
    repo: Path, detach: tuple[str, ...]
) -> None:
    path = plan(ready(repo), WRITES)
    refused = wf(repo, "run", path, "--name", "my run", *detach)
    assert refused.status == 2
    assert refused.out == ""
    assert "echo x > a" in refused.err
    assert f"hint: wfledger run {path} {' '.join([*detach, ''])}--name 'my run' --yes" in refused.err
    assert open_workspace(repo).ledger.runs() == []


@pytest.mark.requirement("WFL-CARD-003")
def test_json_is_never_asked_and_gets_the_card_as_facts(repo: Path) -> None:
    found = wf_json(repo, "run", plan(ready(repo), WRITES), status=2)
    assert found["error"] == "unconfirmed"
    assert found["card"]["writes"] == {"shown": ["a"], "count": 1}
    assert found["hint"].endswith("--json --yes")
    assert open_workspace(repo).ledger.runs() == []


@pytest.mark.long
@pytest.mark.requirement("WFL-CARD-002")
def test_readers_start_without_asking_and_a_run_goes_on_without(repo: Path) -> None:
    assert wf(ready(repo), "run", plan(repo, READS)).status == 0
    run = wf_json(repo, "run", plan(repo, WRITES), "--detach", "--yes")["run"]
    assert wf(repo, "run", run).status == 0


@pytest.mark.requirement("WFL-CARD-001")
def test_plan_shows_the_card_as_run_would(repo: Path) -> None:
    path = plan(ready(repo), WRITES)
    assert wf_json(repo, "plan", path)["card"]["commands"]["shown"] == ["echo x > a"]
    assert "may write" in wf(repo, "plan", path).out


@pytest.mark.long
@pytest.mark.requirement("WFL-CARD-002")
def test_at_a_terminal_no_is_the_default_and_y_starts_it(repo: Path) -> None:
    path = str(plan(ready(repo), WRITES))
    with OnTerminal("run", path, cwd=repo) as asked:
        asked.until("echo x > a", "[y/N]")
        asked.press("\r")
        asked.until("not confirmed")
        assert asked.end() == 2
    assert open_workspace(repo).ledger.runs() == []
    with OnTerminal("run", path, cwd=repo) as asked:
        asked.until("[y/N]")
        asked.press("y\r")
        assert asked.end() == 0
    assert statuses(open_workspace(repo)).popitem()[1] == "done"
