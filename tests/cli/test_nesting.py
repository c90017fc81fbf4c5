"""What a worker starts is below its task, and may do no more than it may (spec 66, WFL-AUTH)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.terminal import Terminal, open_terminal
from wfledger.core.statuses import Status


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


def held(terminal: Terminal, **fields: Any) -> tuple[str, dict[str, str]]:
    """Claim a task with *fields*; return its id and what its worker's environment has."""
    task = {"id": "outer", "command": "true", "write": ["src"], **fields}
    top = {"budget": task.pop("of_run")} if "of_run" in task else {}
    run = terminal.json(f"wfledger run --yes --detach {terminal.plan(task, **top)}")["run"]
    terminal("wfledger tick")
    claimed = terminal.json(f"wfledger claim {run}.outer --worker me")
    return claimed["task"]["id"], {"WFLEDGER_TASK": f"{run}.outer", "WFLEDGER_TOKEN": claimed["token"]}


def inner(terminal: Terminal, *tasks: dict[str, Any], **top: Any) -> str:
    return terminal.plan(*tasks, name="inner.json", **top)


@pytest.mark.requirement("WFL-AUTH-006")
def test_run_of_a_worker_is_below_its_task(terminal: Terminal) -> None:
    parent, env = held(terminal)
    plan = inner(terminal, {"id": "a", "command": "true", "write": ["src/app.py"]})
    found = terminal.json(f"wfledger run --yes --detach {plan}", env=env)
    run = terminal.workspace.ledger.run(found["run"])
    assert (run.parent, run.depth) == (parent, 1)
    assert terminal.task(found["tasks"][0]).spec.depth == 1
    added = terminal.task(terminal("wfledger add inner --write src/x -- true", env=env).out.strip())
    assert (added.spec.parent, added.spec.depth) == (parent, 1)


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-014")
def test_what_a_script_of_a_worker_begins_may_do_no_more_than_its_task(terminal: Terminal) -> None:
    pytest.importorskip("quickjs")
    _, env = held(terminal)
    script = terminal.root / "inner.workflow.js"
    script.write_text("await task({ command: 'true', exactFiles: ['docs/a'] })\n")
    run = terminal.json(f"wfledger run --yes --detach {script}", env=env)["run"]
    terminal("wfledger tick")
    task = terminal.task(f"{run}.script")
    assert task.spec.on_failure == "hold"
    assert task.block is not None
    assert "it may write docs/a, which" in task.block.reason


@pytest.mark.sampled(4)
@pytest.mark.requirement("WFL-AUTH-001", "WFL-AUTH-006")
@pytest.mark.parametrize(
    ("task", "top", "said"),
    [
        ({"write": ["docs"]}, {}, "it may write docs"),
        ({"env": ["OTHER_KEY"]}, {}, "variable OTHER_KEY"),
        ({}, {"budget": {"usd": 5}}, "its budget of 5 usd is more than 3"),
        ({"budget": {"usd": 4}}, {}, "4 dollars"),
    ],
)
def test_worker_is_refused_what_its_task_may_not(
    terminal: Terminal, task: dict[str, Any], top: dict[str, Any], said: str
) -> None:
    _, env = held(terminal, of_run={"usd": 3})
    plan = inner(terminal, {"id": "a", "command": "true", **task}, **top)
    refused = terminal.json(f"wfledger run --yes --detach {plan}", env=env, status=7)
    assert said in refused["message"]
    assert len(terminal.workspace.ledger.runs()) == 1


@pytest.mark.requirement("WFL-AUTH-003")
def test_nothing_is_started_below_depth_nought_nor_by_a_zombie(terminal: Terminal) -> None:
    config = terminal.root / ".wfledger/ledger.json"
    text = json.loads(config.read_text())
    text.setdefault("policy", {})["depth"] = 0
    config.write_text(json.dumps(text))
    _, env = held(terminal)
    plan = inner(terminal, {"id": "a", "command": "true"})
    refused = terminal.json(f"wfledger run --yes {plan}", env=env, status=7)
    assert "its depth is 0" in refused["message"]
    assert "depth is 0" in terminal("wfledger add x -- true", env=env, status=7).err
    stale = terminal("wfledger run --yes " + plan, env={**env, "WFLEDGER_TOKEN": "other"}, status=4)
    assert "attempt" in stale.err


@pytest.mark.long
@pytest.mark.requirement("WFL-AUTH-005")
def test_in_another_ledger_depth_and_budget_of_the_environment_hold(
    terminal: Terminal, tmp_path: Path
) -> None:
    other = open_terminal(tmp_path / "other")
    plan = inner(other, {"id": "a", "command": "true"}, budget={"usd": 2})
    env = {"WFLEDGER_TASK": "r.x", "WFLEDGER_TOKEN": "t", "WFLEDGER_DIR": str(terminal.root / ".wfledger"),
           "WFLEDGER_DEPTH": "1", "WFLEDGER_BUDGET": '{"usd": 3, "steps": 9}'}  # fmt: skip
    found = other.json(f"wfledger run --yes --detach {plan}", env=env)
    run = other.workspace.ledger.run(found["run"])
    assert (run.parent, run.depth) == (None, 0)
    assert run.budget is not None
    assert (run.budget.usd, run.budget.steps) == (2, 9)
    other(f"wfledger run --yes --detach {plan}", env={**env, "WFLEDGER_DEPTH": "0"}, status=7)
    less = {**env, "WFLEDGER_BUDGET": '{"usd": 1}'}
    other(f"wfledger run --yes --detach {plan}", env=less, status=7)


@pytest.mark.long
@pytest.mark.requirement("WFL-AUTH-005", "WFL-AUTH-007", "WFL-MONEY-014", "WFL-MONEY-004")
def test_worker_that_starts_itself_stops_at_the_depth_and_is_paid_for(terminal: Terminal) -> None:
    spends = 'printf \'{"usage": {"cost_usd": 1, "output": 1}}\' > "$WFLEDGER_RESULT_FILE"'
    again = (
        'echo "$WFLEDGER_DEPTH $WFLEDGER_BUDGET" >> "$NOTE"; cat > "$TMPDIR/plan-$$.json" <<END\n'
        '{"goal": "again", "tasks": [{"id": "a", "env": ["NOTE"], "command": "$(cat "$SELF")"}]}\nEND\n'
        'wfledger run --yes "$TMPDIR/plan-$$.json" --workers 1; echo "ended $?" >> "$NOTE"; ' + spends
    )
    note, self_ = terminal.root.parent / "note", terminal.root.parent / "self"
    line = f"SELF={self_}; . {terminal.root.parent / 'again.sh'}"
    (terminal.root.parent / "again.sh").write_text(again)
    self_.write_text(line)
    plan = terminal.plan({"id": "a", "command": line, "env": ["NOTE"]}, budget={"usd": 10})
    env = {"NOTE": str(note), "TMPDIR": str(terminal.root.parent)}
    said = terminal.shell(f"wfledger run --yes --workers 1 {plan} --json", env=env)
    run = json.loads(said.out)["run"]
    first, *_, last = noted = note.read_text().splitlines()
    assert (first, last) == ('2 {"usd": 10.0}', "ended 0")
    assert [one.split()[0] for one in noted if "ended" not in one] == ["2", "1", "0"]
    assert "ended 7" in noted
    spent = terminal.workspace.spending.look().of_runs({run})
    assert (spent.attempts, spent.usd) == (3, 3.0)


@pytest.mark.long
@pytest.mark.requirement("WFL-AUTH-007")
def test_worker_that_waits_for_a_run_lends_it_its_slots_and_its_scope(terminal: Terminal) -> None:
    script, plan = terminal.root.parent / "outer.sh", terminal.root.parent / "inner.json"
    script.write_text(
        f'case "$1" in outer) wfledger run --yes --workers 1 {plan}; echo "ended $?" >> src/ended ;;\n'
        "*) echo x >> src/inner ;; esac\n"
    )
    one = {"prompt": "inner", "write": ["src"], "class": "heavy"}
    plan.write_text(json.dumps({"goal": "below", "tasks": [{"id": "a", **one}, {"id": "b", **one}]}))
    fleet = (
        "[role.coder]\nslots = 1\nmodel = 'near/big'\n"
        f"argv = ['bash', '{script}', '{{prompt}}']\n"
        "[provider.near]\nprofile = 'vllm'\nbase_url = 'http://127.0.0.1:9'\nslots = 1\n"
        "[defaults]\nrole = 'coder'\n"
    )
    (terminal.root / ".wfledger/fleet.toml").write_text(fleet)
    ledger = terminal.root / ".wfledger/ledger.json"
    ledger.write_text(json.dumps(json.loads(ledger.read_text()) | {"policy": {"classes": {"heavy": 1}}}))
    outer = terminal.plan({"id": "o", "prompt": "outer", "write": ["src"], "class": "heavy"})
    said = terminal.shell(f"wfledger run --yes --workers 1 {outer} --json")
    assert json.loads(said.out)["verdict"] == "succeeded"
    below = next(run for run in terminal.workspace.ledger.runs() if run.parent is not None)
    assert {status.value for status in Status if terminal.workspace.ledger.names(status, run=below.id)} == {"done"}
