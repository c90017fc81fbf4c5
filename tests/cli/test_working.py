"""The verbs of workers, as scripts call them: claim, heartbeat, complete, fail, release, tick."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.driving import Held
from tests.support.repos import files_at, git, write
from tests.support.terminal import Terminal, open_terminal
from tests.support.workspaces import move_branch
from wfledger.core.policy import GatePolicy, Policy


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


def submit(terminal: Terminal, *tasks: Mapping[str, Any]) -> str:
    run = terminal.json(f"wfledger run --yes --detach {terminal.plan(*tasks)}")["run"]
    assert isinstance(run, str)
    return run


def take(terminal: Terminal, task_id: str = "", *, option: str = "--worktree") -> Held:
    found = terminal.json(f"wfledger claim {task_id} {option}")
    return Held(found["task"]["id"], found["token"], Path(found["worktree"] or "none"))


def writer(terminal: Terminal, **fields: Any) -> Held:
    """Submit a task that may write src, and take it."""
    run = submit(terminal, {"id": "one", "command": "true", "write": ["src"], **fields})
    return take(terminal, f"{run}.one")


def frozen(terminal: Terminal, task_id: str) -> tuple[Any, ...]:
    """Return what a zombie must not change."""
    entry = terminal.workspace.ledger.get(task_id)
    refs = git(terminal.root, "for-each-ref", "refs/wfledger/keep", "refs/heads/wf")
    return entry.task, entry.status, refs


# -- claim ---------------------------------------------------------------------------------------


def test_claim_takes_the_first_offer_and_then_says_that_there_is_none(terminal: Terminal) -> None:
    run = submit(terminal, {"id": "one", "command": "true"})
    found = terminal.json("wfledger claim --worker ana")
    assert found["task"]["id"] == f"{run}.one"
    assert (found["task"]["status"], found["attempt"], found["worktree"]) == ("in-progress", 1, None)
    assert terminal.json("wfledger claim", status=3)["error"] == "nothing_to_claim"
    record = terminal.workspace.ledger.claim_record(f"{run}.one", 1)
    assert record is not None
    assert record.worker == "ana"
    assert found["token"] not in record.to_bytes().decode()


@pytest.mark.long
def test_claim_prints_lines_for_a_shell(terminal: Terminal) -> None:
    submit(terminal, {"id": "one", "command": "true", "write": ["src"]})
    script = (
        'eval "$(wfledger claim --worktree)" && echo 2 > src/app.py && '
        "wfledger heartbeat && wfledger complete"
    )
    done = terminal.shell(script)
    assert "landed as" in done.out


@pytest.mark.parametrize(
    ("before", "status"), [("claim", 4), ("cancel", 4), ("wait", 4), ("nothing", 2)]
)
def test_named_claim_of_what_is_not_on_offer_is_lost(
    terminal: Terminal, before: str, status: int
) -> None:
    run = submit(
        terminal, {"id": "one", "command": "true"}, {"id": "two", "command": "true", "after": ["one"]}
    )
    name = {"wait": f"{run}.two", "nothing": f"{run}.three"}.get(before, f"{run}.one")
    if before in {"claim", "cancel"}:
        terminal(f"wfledger {before} {name}")
    refused = terminal.json(f"wfledger claim {name}", status=status)
    assert name in refused["message"]


def test_claim_while_paused_says_so(terminal: Terminal) -> None:
    run = submit(terminal, {"id": "one", "command": "true"})
    path = terminal.root / ".wfledger" / "ledger.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "paused": "lunch"}))
    assert "lunch" in terminal("wfledger claim", status=8).err
    assert "lunch" in terminal(f"wfledger claim {run}.one", status=8).err


def test_claim_whose_worktree_cannot_be_made_is_no_attempt_that_hangs(tmp_path: Path) -> None:
    terminal = open_terminal(tmp_path, fleet='[worktree]\nsetup = "exit 3"\n')
    run = submit(terminal, {"id": "one", "command": "true", "write": ["src"]})
    terminal("wfledger claim --worktree", status=1)
    block = terminal.task(f"{run}.one").block
    assert block is not None
    assert block.code == "environment"


# -- complete ------------------------------------------------------------------------------------


def test_completed_work_lands_in_the_foreground(terminal: Terminal) -> None:
    held = writer(terminal)
    write(held.folder, {"src/app.py": "A = 2\n"})
    assert terminal.json("wfledger heartbeat", env=held.env)["heartbeat"] == 1
    assert terminal.json("wfledger heartbeat", env=held.env)["heartbeat"] == 2
    done = terminal.json("wfledger complete", env=held.env, cwd=held.folder)
    assert (done["status"], done["landing"], done["how"]) == ("done", "done", "merged")
    assert files_at(terminal.root, f"wf/{held.run}")["src/app.py"] == "A = 2"
    assert not held.folder.exists()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("files", "fields", "status", "code", "said"),
    [
        ({"x": "1", "y": "1"}, {}, 5, "out_of_scope", ("x:", "y:")),
        ({"src/app.py": "2"}, {"verify": ["false", "exit 7"]}, 1, "verification", ("false", "7")),
        ({"src/app.py": "2", "src/broken": "1"}, {}, 1, "gate", ("broken",)),
        ({}, {}, 1, "no_change", ("changed nothing",)),
    ],
)
def test_refused_work_is_told_every_reason_at_once(
    tmp_path: Path, files: dict[str, str], fields: dict[str, Any], status: int, code: str,
    said: tuple[str, ...],
) -> None:  # fmt: skip
    policy = Policy(gate=GatePolicy(command="test ! -e src/broken"))
    terminal = open_terminal(tmp_path, policy=policy)
    held = writer(terminal, **fields)
    write(held.folder, files)
    found = terminal.json("wfledger complete", env=held.env, status=status)
    assert (found["status"], found["code"]) == ("blocked", code)
    assert all(word in found["reason"] for word in said)
    block = terminal.task(held.task).block
    assert block is not None
    assert found["command"] == block.command


def test_conflicting_work_is_refused_and_moves_nothing(terminal: Terminal) -> None:
    held = writer(terminal)
    write(held.folder, {"src/app.py": "mine\n"})
    ref = f"refs/heads/wf/{held.run}"
    tip = move_branch(terminal.root, {"src/app.py": "theirs\n"}, ref=ref)
    refused = terminal("wfledger complete", env=held.env, status=5)
    assert "src/app.py" in refused.out
    assert f"wfledger open {held.task}" in refused.out
    assert git(terminal.root, "rev-parse", ref) == tip


@pytest.mark.long
def test_shell_in_a_worktree_that_was_cleared_away_is_told_where_to_go(
    terminal: Terminal,
) -> None:
    terminal("wfledger add 'Look into it' --id look --write src")
    said = terminal.shell(
        'eval "$(wfledger claim look --worktree)" && echo 3 > src/app.py && wfledger complete '
        "&& wfledger heartbeat", status=2,
    )  # fmt: skip
    assert f"cleared away: cd {terminal.root}" in said.err
    assert "error: the directory that this shell is in is gone\nhint: cd to" in said.err
    assert "Traceback" not in said.err


def test_queued_work_is_landed_by_the_next_tick(terminal: Terminal) -> None:
    held = writer(terminal)
    write(held.folder, {"src/app.py": "A = 2\n"})
    found = terminal.json("wfledger complete --queue", env=held.env)
    assert (found["status"], found["landing"]) == ("merging", None)
    assert terminal.json("wfledger tick")["landed"] == [held.task]
    assert terminal.status(held.task) == "done"


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("envelope", "status", "where"),
    [
        ({"status": "no_change", "summary": "all is well"}, 0, "done"),
        ({"status": "failed", "summary": "too hard"}, 1, "blocked"),
        ({"status": "blocked", "open_questions": ["which?"]}, 10, "blocked"),
        ({"status": "failed", "failure": {"class": "transport", "source": "task"}}, 1, "waiting"),
    ],
)
def test_envelope_decides(
    terminal: Terminal, tmp_path: Path, envelope: dict[str, Any], status: int, where: str
) -> None:
    held = writer(terminal)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(envelope))
    env = {**held.env, "WFLEDGER_RESULT_FILE": str(path)}
    assert terminal.json("wfledger complete", env=env, status=status)["status"] == where


def test_bad_envelope_changes_nothing(terminal: Terminal, tmp_path: Path) -> None:
    held = writer(terminal)
    path = tmp_path / "result.json"
    path.write_text("I am done!")
    before = frozen(terminal, held.task)
    terminal(f"wfledger complete --result {path}", env=held.env, status=7)
    assert frozen(terminal, held.task) == before


@pytest.mark.long
@pytest.mark.requirement("WFL-CLI-005")
def test_worker_of_the_runtime_may_hand_in_by_itself(terminal: Terminal) -> None:
    plan = terminal.plan(
        {"id": "one", "command": "echo 2 > src/app.py; wfledger complete", "write": ["src"]}
    )
    run = terminal.shell(f"wfledger run --yes {plan}").out.split()[1]
    assert terminal.status(f"{run}.one") == "done"
    assert files_at(terminal.root, f"wf/{run}")["src/app.py"] == "2"


# -- fail, release -------------------------------------------------------------------------------


def test_transport_failure_is_tried_again_after_its_backoff(terminal: Terminal) -> None:
    held = writer(terminal, retry={"max_attempts": 2, "backoff_s": 0.001})
    write(held.folder, {"src/app.py": "half\n"})
    terminal("wfledger fail --kind transport --reason 'no answer'", env=held.env)
    assert terminal.status(held.task) == "waiting"
    hold = terminal.task(held.task).hold
    assert hold is not None
    assert hold.code == "backoff"
    again = take(terminal)
    assert (again.task, terminal.task(held.task).attempt) == (held.task, 2)
    assert (again.folder / "src/app.py").read_text() == "A = 1\n"
    assert "half" in terminal(f"wfledger diff {held.task} --attempt 1").out
    terminal("wfledger fail --kind transport --reason again", env=again.env)
    block = terminal.task(held.task).block
    assert block is not None
    assert block.code == "exhausted"


def test_failure_of_the_task_waits_for_a_person(terminal: Terminal) -> None:
    held = writer(terminal)
    assert terminal.json("wfledger fail --reason 'too hard'", env=held.env)["status"] == "blocked"


def test_question_is_answered_for_the_next_attempt(terminal: Terminal) -> None:
    held = writer(terminal)
    terminal("wfledger fail --kind question --reason 'which?'", env=held.env)
    terminal(f"wfledger answer {held.task} 'the left one'")
    found = terminal.json("wfledger claim")
    assert found["task"]["answers"] == ["the left one"]


def test_released_task_keeps_its_work_and_counts_no_failure(terminal: Terminal) -> None:
    held = writer(terminal, retry={"max_attempts": 1})
    write(held.folder, {"src/app.py": "half\n"})
    terminal("wfledger release --reason lunch", env=held.env)
    assert not held.folder.exists()
    task = terminal.task(held.task)
    assert terminal.status(held.task) == "waiting"
    (attempt,) = task.attempts
    assert (attempt.outcome, attempt.message) == ("released", "lunch")
    assert attempt.kept == git(terminal.root, "rev-parse", f"refs/wfledger/keep/{held.task}/1")
    assert "half" in terminal(f"wfledger diff {held.task} --attempt 1").out
    again = take(terminal)
    write(again.folder, {"src/app.py": "whole\n"})
    terminal("wfledger complete", env=again.env)
    assert terminal.status(held.task) == "done"


def test_task_can_be_given_back_when_its_worktree_is_gone(terminal: Terminal) -> None:
    held = writer(terminal)
    git(terminal.root, "worktree", "remove", "--force", str(held.folder))
    before = frozen(terminal, held.task)
    terminal("wfledger complete", env=held.env, status=1)
    assert frozen(terminal, held.task) == before
    terminal("wfledger release", env=held.env)
    assert terminal.status(held.task) == "waiting"


# -- zombies -------------------------------------------------------------------------------------

VERBS = ["heartbeat", "complete", "complete --queue", "fail --reason x", "release"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("when", ["wrong token", "no token", "handed on", "over", "done"])
def test_zombie_gets_4_at_every_verb_and_changes_nothing(terminal: Terminal, when: str) -> None:
    held = writer(terminal)
    write(held.folder, {"src/app.py": "A = 2\n"})
    env = dict(held.env)
    if when == "wrong token":
        env["WFLEDGER_TOKEN"] = "f" * 64
    elif when == "no token":
        del env["WFLEDGER_TOKEN"]
    elif when == "done":
        terminal("wfledger complete", env=held.env)
    else:
        terminal("wfledger release", env=held.env)
    if when == "handed on":
        take(terminal)
    before = frozen(terminal, held.task)
    for verb in VERBS:
        terminal(f"wfledger {verb}", env=env, status=4)
    assert frozen(terminal, held.task) == before


@pytest.mark.parametrize("verb", VERBS)
def test_verb_without_a_task_is_no_call(terminal: Terminal, verb: str) -> None:
    terminal(f"wfledger {verb}", status=2)
