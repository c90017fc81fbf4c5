"""Budgets hold while models work: at dispatch and before each request (spec 66, WFL-MONEY)."""

from pathlib import Path

import pytest

from tests.support.engines import AT_ONCE, drive, statuses
from tests.support.models import KEY, calls, submits
from tests.support.rehearsals import Rehearse
from tests.support.workspaces import RUN, add_run, add_task, make_workspace
from wfledger.core.documents import Result
from wfledger.core.statuses import Status
from wfledger.core.usage import Budget, Usage
from wfledger.run.attempts.closing import ending, failure
from wfledger.run.config.fleetfile import load
from wfledger.run.looks.explain import explain
from wfledger.run.money import spending
from wfledger.run.money.caps import Caps, capped
from wfledger.run.rehearsal.script import Script
from wfledger.run.workspace import Workspace

WRITES = calls("write", path="src/a.py", content="a = 1\n")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = make_workspace(tmp_path / "repo")
    add_run(made)
    return made


def limit(workspace: Workspace, **fields: object) -> None:
    with workspace.ledger.transaction("test") as changes:
        run = workspace.ledger.run(RUN)
        changes.put_run(run.but(seq=run.seq + 1, **fields), why="limited")


def use(workspace: Workspace, node: str, usage: Usage, **spec: object) -> None:
    task = add_task(workspace, node, command=None, prompt="p", role="coder", **spec)
    result = Result(task=task.id, attempt=1, status="succeeded", usage=usage)
    spending.note(workspace, task, result)


@pytest.mark.requirement("WFL-MONEY-014")
def test_an_attempt_may_use_what_is_left_of_whichever_is_least(workspace: Workspace) -> None:
    fleet = load('[role.coder]\nmodel = "deepseek/deepseek-v4-pro"\nbudget = { steps = 7, usd = 4 }\n')
    limit(workspace, budget=Budget(usd=10, tokens=1000))
    use(workspace, "a", Usage(input=400, output=100, cost_usd=7.5, requests=3))
    use(workspace, "b", Usage(input=10, cost_usd=0.5, requests=3), budget=Budget(tokens=100))
    task = workspace.ledger.get(f"{RUN}.b").task
    left = Caps(workspace).left(task, fleet, None)
    assert left == Budget(usd=2.0, tokens=90, steps=7)


@pytest.mark.requirement("WFL-MONEY-010")
def test_what_a_child_uses_up_of_its_parent_keeps_its_siblings_from_starting(
    workspace: Workspace,
) -> None:
    parent = add_task(workspace, "p", budget=Budget(usd=1))
    use(workspace, "one", Usage(cost_usd=1.5, output=1), parent=parent.id)
    two = add_task(workspace, "two", parent=parent.id)
    free = add_task(workspace, "free")
    found = capped(workspace, [two, free])
    assert list(found) == [two.id]
    assert found[two.id].reason == f"budget of the task {parent.id}: $1.50 of $1.00 used"


@pytest.mark.requirement("WFL-MONEY-015")
@pytest.mark.parametrize(
    ("own", "of_run", "status", "command"),
    [
        (Budget(usd=1), None, Status.BLOCKED, f"wfledger retry {RUN}.a --budget usd=2"),
        (None, Budget(usd=1), Status.WAITING, None),
        (None, None, Status.BLOCKED, f"wfledger retry {RUN}.a"),
    ],
    ids=["own", "run", "attempt"],
)
def test_whose_budget_is_used_up_decides_what_lets_a_task_go_on(
    own: Budget | None, of_run: Budget | None, status: Status, command: str | None,
    workspace: Workspace,
) -> None:  # fmt: skip
    limit(workspace, budget=of_run)
    use(workspace, "a", Usage(cost_usd=1.5, output=1), budget=own)
    task = workspace.ledger.get(f"{RUN}.a").task.but(attempt=1)
    result = Result(
        task=task.id, attempt=1, status="failed", failure=failure("budget", "it is used up")
    )
    with workspace.ledger.transaction("test"):
        found = ending(workspace, task, result)
    assert found.status is status
    block, hold = found.changes["block"], found.changes["hold"]
    assert (block and block.command, hold and hold.code) == (command, None if block else "budget")


def test_unknown_cost_is_said_and_never_taken_for_used_up(workspace: Workspace) -> None:
    limit(workspace, budget=Budget(usd=1))
    use(workspace, "a", Usage(cost_usd=0.5, output=1))
    use(workspace, "b", Usage(output=5))
    task = add_task(workspace, "c")
    assert capped(workspace, [task]) == {}
    use(workspace, "d", Usage(cost_usd=0.5, output=1))
    assert "$1.00 of $1.00 used (and 1 attempt that nobody has counted yet)" in explain(
        workspace, task.id
    ).reason


def test_where_nothing_is_limited_nothing_is_read(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [add_task(workspace, name) for name in "ab"]
    monkeypatch.setattr(spending.Spending, "look", None)
    assert capped(workspace, tasks) == {}


@pytest.mark.long
@pytest.mark.requirement("WFL-MONEY-011", "WFL-MONEY-014", "WFL-MONEY-015")
def test_models_stop_at_the_budget_of_the_run_and_nothing_starts_after(
    tmp_path: Path, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    server = rehearse(script=Script((WRITES, submits()) * 3, rules=("deepseek",), key=KEY))
    workspace = make_workspace(
        tmp_path / "repo", {"src/old.py": "old = 1\n"},
        fleet=f'[role.coder]\nmodel = "deepseek/deepseek-v4-pro"\n'
        f'[provider.deepseek]\nbase_url = "{server.chat_url}"\n',
    )
    for node in "abc":
        add_task(workspace, node, command=None, prompt="Do it.", write=("src/**",), retry=AT_ONCE)
    limit(workspace, budget=Budget(tokens=300))
    outcome = drive(workspace, slots=1)
    # Each answer takes 120 tokens: two of the first task, and one of the second that passes it.
    assert server.count() == 3
    assert outcome.verdict.state == "waits"
    assert [statuses(workspace)[f"{RUN}.{node}"] for node in "abc"] == ["done", "waiting", "waiting"]
    hold = workspace.ledger.get(f"{RUN}.b").task.hold
    assert hold is not None
    assert hold.code == "budget"
    assert workspace.spending.look().of_runs({RUN}).tokens == 360
    assert explain(workspace, f"{RUN}.c").command == f"wfledger run {RUN} --budget tokens=600"


@pytest.mark.long
@pytest.mark.requirement("WFL-MONEY-011")
def test_a_provider_whose_budget_is_used_up_is_passed_for_the_fallback(
    tmp_path: Path, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DEEPSEEK_API_KEY", "MOONSHOT_API_KEY"):
        monkeypatch.setenv(name, KEY)
    servers = [rehearse(script=Script((WRITES, submits()) * 2, key=KEY)) for _ in range(2)]
    workspace = make_workspace(
        tmp_path / "repo", {"src/old.py": "old = 1\n"},
        fleet='[role.coder]\nmodel = "deepseek/deepseek-v4-pro"\nfallbacks = ["moonshot/kimi-k2.5"]\n'
        f'[provider.deepseek]\nbase_url = "{servers[0].chat_url}"\nbudget = {{ tokens = 200 }}\n'
        f'[provider.moonshot]\nbase_url = "{servers[1].chat_url}"\n',
    )
    add_task(workspace, "a", command=None, prompt="Do it.", write=("src/**",), retry=AT_ONCE)
    add_task(workspace, "b", command=None, prompt="Do it.", write=("src/**",), retry=AT_ONCE,
             after=(f"{RUN}.a",), allow_no_change=True)  # fmt: skip
    drive(workspace, slots=1)
    result = workspace.ledger.result(f"{RUN}.b", 1)
    assert result is not None
    assert result.route is not None
    assert (result.route.provider, result.route.source) == ("moonshot", "fallback")
    assert "240 of 200 tokens used" in result.route.rejected[0].why
