"""Budgets hold at dispatch, and what goes on with more is printed (spec 66, WFL-MONEY)."""

from pathlib import Path

import pytest

from tests.support.cli import plan, wf, wf_json

USES = 'printf \'{"usage": {"cost_usd": %s, "output": %s, "requests": 1}}\' > "$WFLEDGER_RESULT_FILE"'


def using(usd: float = 0.0, tokens: int = 0) -> str:
    return USES % (usd, tokens)


def ready(repo: Path) -> Path:
    assert wf(repo, "init").status == 0
    return repo


@pytest.mark.long
@pytest.mark.requirement("WFL-MONEY-011")
def test_run_whose_budget_is_used_up_starts_nothing_more_and_goes_on_with_more(repo: Path) -> None:
    tasks = {
        "a": {"command": using(10.02)},
        "b": {"command": "true", "after": ["a"]},
        "c": {"command": "true", "after": ["b"]},
    }
    path = plan(ready(repo), tasks, budget={"usd": 10})
    found = wf_json(repo, "run", path, "--yes", status=6)
    run = found["run"]
    (need,) = found["needs"]
    assert (need["code"], need["task"]) == ("budget", f"{run}.b")
    assert "$10.02 of $10.00 used" in need["reason"]
    assert need["command"] == f"wfledger run {run} --budget usd=20"
    why = wf_json(repo, "why", f"{run}.b")
    assert (why["code"], why["command"]) == ("budget", need["command"])
    assert wf_json(repo, "status", run)["runs"][0]["verdict"] == "waits"
    assert wf(repo, "run", run).status == 6
    assert wf(repo, "run", run, "--budget", "usd=20").status == 0


@pytest.mark.long
@pytest.mark.requirement("WFL-MONEY-010")
def test_task_that_has_used_up_its_own_budget_is_blocked_until_it_is_given_more(repo: Path) -> None:
    fails = f"{using(tokens=60)}; exit 1"
    tasks = {"a": {"command": fails, "budget": {"tokens": 50},
                   "retry": {"max_attempts": 3, "on": ["task"], "backoff_s": 0.01}}}  # fmt: skip
    found = wf_json(repo, "run", plan(ready(repo), tasks), "--yes", status=6)
    (need,) = found["needs"]
    assert need["code"] == "budget"
    assert need["command"] == f"wfledger retry {need['task']} --budget tokens=100"
    assert wf(repo, *need["command"].split()[1:]).status == 0
    again = wf_json(repo, "run", found["run"], status=6)
    assert "120 of 100 tokens used" in again["needs"][0]["reason"]


@pytest.mark.long
@pytest.mark.requirement("WFL-MONEY-012")
def test_time_of_a_run_ends_what_it_may_still_start(repo: Path) -> None:
    tasks = {"a": {"command": "sleep 0.2"}, "b": {"command": "true", "after": ["a"]}}
    path = plan(ready(repo), tasks, budget={"time": "100ms"})
    found = wf_json(repo, "run", path, "--yes", status=6)
    assert "time of the run" in found["needs"][0]["reason"]
    assert wf(repo, "run", found["run"], "--budget", "time=1h").status == 0


@pytest.mark.requirement("WFL-MONEY-013")
def test_limit_in_dollars_on_a_model_without_a_price_is_refused(repo: Path) -> None:
    ready(repo)
    (repo / ".wfledger/fleet.toml").write_text(
        '[provider.mine]\nprofile = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[role.coder]\nmodel = "mine/secret-model"\n'
    )
    path = plan(repo, {"a": {"prompt": "do it"}}, budget={"usd": 1})
    refused = wf_json(repo, "run", path, "--yes", status=7)
    assert "price of mine/secret-model is unknown" in refused["message"]
    counted = wf_json(repo, "run", path, "--yes", "--detach", "--budget", "tokens=1000")
    assert counted["tasks"]


@pytest.mark.sampled(6)
@pytest.mark.requirement("WFL-MONEY-011")
@pytest.mark.parametrize("given", ["10", "usd=x", "usd=0", "euros=3", "usd=1,usd=2", "time=soon"])
def test_budget_that_is_none_is_refused(repo: Path, given: str) -> None:
    path = plan(ready(repo), {"a": {"command": "true"}})
    assert wf(repo, "run", path, "--budget", given).status == 2
