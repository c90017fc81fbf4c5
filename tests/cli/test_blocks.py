"""Every block ends in a command that, pasted as it stands, lets the task move on."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.repos import git
from tests.support.terminal import Terminal, open_terminal
from tests.support.workspaces import change
from wfledger.core.documents import Block
from wfledger.core.policy import GatePolicy, Policy


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path, policy=Policy(gate=GatePolicy(command="test ! -e broken")))


def block_of(terminal: Terminal, task_id: str) -> Block:
    assert terminal.status(task_id) == "blocked"
    block = terminal.task(task_id).block
    assert block is not None
    return block


def paste(terminal: Terminal, task_id: str) -> str:
    """Type what the block of a task says, and after `open` what that says; return the status."""
    command = block_of(terminal, task_id).command.replace("YOUR ANSWER", "in the morning")
    said = terminal(command)
    if " open " in command:
        command = said.err.splitlines()[-1].partition(": ")[2]
        assert command == f"wfledger accept {task_id}"
        terminal(command)
    return terminal.status(task_id)


#: Code -> the task that comes to it by itself, and the verb that lifts it.
RUN_INTO: Mapping[str, tuple[dict[str, Any], str]] = {
    "task": ({"command": "exit 3"}, "retry"),
    "timeout": ({"command": "sleep 60", "timeout": "300ms"}, "retry"),
    "silence": ({"command": "sleep 60", "limits": {"silence_s": 0.2}}, "retry"),
    "idle": ({"command": "sleep 60", "limits": {"idle_s": 0.3}}, "retry"),
    "question": (
        {"command": """echo '{"status": "blocked", "open_questions": ["when?"]}' > "$WFLEDGER_RESULT_FILE" """},
        "answer",
    ),
    "no_change": ({"command": "true", "write": ["src"]}, "accept"),
    "out_of_scope": ({"command": "echo 1 > \"it's\"; echo 1 > 'a b'", "write": ["src"]}, "widen"),
    "read_only_violation": ({"command": "echo 1 > x"}, "accept"),
    "verification": ({"command": "echo 1 > x", "write": ["x"], "verify": "false"}, "open"),
    "gate": ({"command": "echo 1 > broken", "write": ["broken"]}, "open"),
    "environment": ({"command": ["no-such-program"]}, "retry"),
    "exhausted": (
        {"command": "exit 75", "retry": {"max_attempts": 2, "backoff_s": "1ms"}}, "retry",
    ),
}  # fmt: skip


@pytest.mark.sampled(6)
@pytest.mark.parametrize("code", RUN_INTO)
def test_command_of_a_block_moves_its_task(terminal: Terminal, code: str) -> None:
    fields, verb = RUN_INTO[code]
    run = terminal.run({"id": "one", **fields}, status=10)
    block = block_of(terminal, f"{run}.one")
    assert (block.code, block.command.split()[1]) == (code, verb)
    assert paste(terminal, f"{run}.one") == "waiting"
    assert terminal.task(f"{run}.one").block is None


@pytest.mark.sampled(2)
@pytest.mark.parametrize("path", ["-x", "back\\slash"])
def test_path_that_no_pattern_can_name_is_mended_by_hand(terminal: Terminal, path: str) -> None:
    run = terminal.run(
        {"id": "one", "command": ["sh", "-c", 'echo 1 > "$0"', f"./{path}"], "write": ["src"]},
        status=10,
    )
    assert block_of(terminal, f"{run}.one").command == f"wfledger open {run}.one"


def change_spec(terminal: Terminal, task_id: str) -> None:
    """Do what a worker who wants more does: edit the task's file."""
    entry = terminal.workspace.ledger.get(task_id)
    path = terminal.workspace.ledger.layout.task(entry.status, task_id)
    document = json.loads(path.read_bytes())
    document["spec"]["write"] = ["**"]
    path.write_text(json.dumps(document))


def claim(terminal: Terminal, *, worktree: bool = False, **spec: Any) -> tuple[str, str, Path]:
    """Submit one task and claim it; return its id, the token and the worktree."""
    plan = terminal.plan({"id": "one", **({"command": "true"} | spec)})
    run = terminal.json(f"wfledger run --yes --detach {plan}")["run"]
    option = "--worktree" if worktree else ""
    claimed = terminal.json(f"wfledger claim {run}.one {option}")
    return f"{run}.one", claimed["token"], Path(claimed["worktree"] or "")


def stopped(terminal: Terminal) -> str:
    task_id, _, _ = claim(terminal)
    terminal(f"wfledger stop {task_id}")
    return task_id


def dependency_cancelled(terminal: Terminal) -> str:
    run = terminal.json("wfledger run --yes --detach " + terminal.plan(
        {"id": "first", "command": "true"}, {"id": "one", "command": "true", "after": ["first"]}
    ))["run"]  # fmt: skip
    terminal(f"wfledger cancel {run}.first")
    terminal(f"wfledger run {run}", status=10)
    return f"{run}.one"


def spec_changed_before(terminal: Terminal) -> str:
    run = terminal.json(f"wfledger run --yes --detach {terminal.plan({'id': 'one', 'command': 'true'})}")["run"]
    change_spec(terminal, f"{run}.one")
    terminal(f"wfledger run {run}", status=10)
    return f"{run}.one"


def result_changed(terminal: Terminal) -> str:
    task_id, token, folder = claim(terminal, worktree=True, write=["x"])
    (folder / "x").write_text("1\n")
    terminal(f"wfledger complete {task_id} --token {token} --queue")
    base = git(terminal.root, "rev-parse", "main")
    change(terminal.root, f"refs/wfledger/keep/{task_id}/1", {"x": "2\n"}, base=base)
    terminal("wfledger tick")
    return task_id


def target_rewound(terminal: Terminal) -> str:
    run = terminal.run({"id": "zero", "command": "echo 1 > zero", "write": ["zero"]})
    task_id, token, folder = claim(terminal, worktree=True, write=["x"])
    (folder / "x").write_text("1\n")
    del run
    other = task_id.partition(".")[0]
    terminal(f"wfledger complete {task_id} --token {token} --queue")
    git(terminal.root, "update-ref", "-d", f"refs/heads/wf/{other}")
    terminal("wfledger tick")
    git(terminal.root, "update-ref", f"refs/heads/wf/{other}", "main")
    return task_id


@pytest.mark.sampled(8)
@pytest.mark.parametrize(
    ("make", "code", "verb"),
    [
        (stopped, "stopped", "retry"),
        (dependency_cancelled, "dependency_cancelled", "cancel"),
        (spec_changed_before, "spec_changed", "retry"),
        (result_changed, "result_changed", "open"),
        (target_rewound, "target_rewound", "accept"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_command_of_a_rarer_block_moves_its_task(
    terminal: Terminal, make: Callable[[Terminal], str], code: str, verb: str
) -> None:
    task_id = make(terminal)
    block = block_of(terminal, task_id)
    assert (block.code, block.command.split()[1]) == (code, verb)
    moved = paste(terminal, task_id)
    assert moved == ("cancelled" if verb == "cancel" else "waiting")
    task = terminal.task(task_id)
    assert task.spec.digest() == task.spec_sha256
    if verb in {"accept", "open"}:
        terminal(f"wfledger run {task.run}")
        assert terminal.status(task_id) == "done"
        assert terminal.task(task_id).attempt == 1
