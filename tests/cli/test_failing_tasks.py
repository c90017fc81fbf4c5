"""What the failure of one task means to those that need it and to its run."""

import json
from pathlib import Path

import pytest

from tests.support.repos import git
from tests.support.terminal import Terminal, open_terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


def test_held_consumer_waits_for_a_person(terminal: Terminal) -> None:
    run = terminal.run(
        {"id": "one", "command": "exit 3"},
        {"id": "two", "command": "true", "after": ["one"]},
        {"id": "three", "command": "true"},
        status=10,
    )
    assert [terminal.status(f"{run}.{name}") for name in ("one", "two", "three")] == [
        "blocked", "waiting", "done",
    ]  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("how", ["blocked", "cancelled"])
def test_consumer_goes_on_without_what_is_skipped(terminal: Terminal, how: str) -> None:
    line = 'cp "$WFLEDGER_INPUTS/missing.json" src/missing && ls "$WFLEDGER_INPUTS" > src/inputs'
    plan = terminal.plan(
        {"id": "bad", "command": "exit 3", "on_failure": "skip_continue"},
        {"id": "good", "command": "true"},
        {"id": "two", "command": line, "write": ["src"], "after": ["bad", "good"]},
    )
    run = terminal.json(f"wfledger run --yes --detach {plan}")["run"]
    if how == "cancelled":
        terminal(f"wfledger cancel {run}.bad")
    outcome = terminal.json(f"wfledger run {run}", status=9)
    assert outcome["verdict"] == "degraded"
    assert json.loads(git(terminal.root, "show", f"wf/{run}:src/missing")) == [f"{run}.bad"]
    inputs = git(terminal.root, "show", f"wf/{run}:src/inputs").split()
    assert sorted(inputs) == sorted(["manifest.json", "missing.json", f"{run}.good.json"])
    assert terminal.task(f"{run}.two").missing == (f"{run}.bad",)


def test_question_of_a_task_that_may_be_skipped_still_waits(terminal: Terminal) -> None:
    ask = """echo '{"status": "blocked", "summary": "which?"}' > "$WFLEDGER_RESULT_FILE" """
    run = terminal.run(
        {"id": "one", "command": ask, "on_failure": "skip_continue"},
        {"id": "two", "command": "true", "after": ["one"]}, status=10,
    )  # fmt: skip
    assert terminal.status(f"{run}.two") == "waiting"


def test_aborting_failure_ends_the_run_and_keeps_work(terminal: Terminal, tmp_path: Path) -> None:
    done = tmp_path / "started"
    run = terminal.run(
        {"id": "bad", "command": f"until test -e {done}; do sleep 0.02; done; exit 3", "on_failure": "abort"},
        {"id": "long", "command": f"echo half > src/app.py; touch {done}; sleep 600", "write": ["src"]},
        {"id": "later", "command": "true", "after": ["long"]},
        status=1,
    )  # fmt: skip
    assert terminal.status(f"{run}.later") == "cancelled"
    assert terminal.status(f"{run}.long") == "cancelled"
    assert terminal.status(f"{run}.bad") == "blocked"
    assert "half" in git(terminal.root, "show", f"refs/wfledger/keep/{run}.long/1:src/app.py")
    terminal(f"wfledger run {run}", status=1)


def test_decision_about_what_aborted_a_run_is_carried_out(terminal: Terminal) -> None:
    run = terminal.run(
        {"id": "bad", "command": "echo 1 > x", "write": ["src"], "on_failure": "abort"},
        {"id": "later", "command": "true", "after": ["bad"], "on_failure": "abort"},
        status=1,
    )
    terminal(f"wfledger widen {run}.bad x")
    terminal(f"wfledger run {run}", status=1)
    assert terminal.status(f"{run}.bad") == "done"
    assert terminal.status(f"{run}.later") == "cancelled"
