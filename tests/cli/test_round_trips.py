"""What failed is seen, entered, fixed and continued, and no attempt is paid twice."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.repos import files_at, git, write
from tests.support.terminal import Terminal, open_terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


def landed(terminal: Terminal, run: str) -> dict[str, str]:
    return files_at(terminal.root, f"wf/{run}")


def assert_done_once(terminal: Terminal, task_id: str) -> None:
    task = terminal.task(task_id)
    assert terminal.status(task_id) == "done"
    assert [attempt.outcome for attempt in task.attempts] == ["succeeded"]
    assert task.attempt == 1


@pytest.mark.long
def test_out_of_scope_is_shown_widened_and_lands(terminal: Terminal) -> None:
    plan = terminal.plan(
        {"id": "one", "command": "echo 2 > src/app.py; echo x > notes.txt", "write": ["src"]}
    )
    said = terminal.shell(f"wfledger run --yes {plan}", status=10)
    run = said.out.split()[1]
    task = f"{run}.one"
    command = f"wfledger widen {task} notes.txt"
    assert command in [line.strip() for line in said.out.splitlines()]
    shown = terminal.shell(f"wfledger diff {task}")
    assert "notes.txt" in shown.out
    assert "OUT OF SCOPE" in shown.out
    assert f"wfledger run {run}" in terminal.shell(command).out
    terminal.shell(f"wfledger run {run}")
    assert_done_once(terminal, task)
    assert landed(terminal, run)["notes.txt"] == "x"


@pytest.mark.long
def test_failing_verification_is_opened_mended_by_hand_and_lands(terminal: Terminal) -> None:
    run = terminal.run(
        {"id": "one", "command": "echo bad > src/app.py", "write": ["src"],
         "verify": "grep -q good src/app.py"}, status=10,
    )  # fmt: skip
    task = f"{run}.one"
    block = terminal.task(task).block
    assert block is not None
    assert block.code == "verification"
    opened = terminal.shell(block.command)
    folder = Path(opened.out.strip())
    assert (folder / "src/app.py").read_text() == "bad\n"
    (folder / "src/app.py").write_text("good\n")
    assert f"wfledger accept {task}" in opened.err
    terminal.shell(f"wfledger accept {task}")
    terminal.shell(f"wfledger run {run}")
    assert_done_once(terminal, task)
    assert landed(terminal, run)["src/app.py"] == "good"
    assert not folder.exists()


def conflicting(terminal: Terminal) -> tuple[str, str]:
    """Bring a task of a new run into conflict over src/app.py; return run and task."""
    command = "git -C {} update-ref refs/heads/wf/$WFLEDGER_RUN $(cat {})"
    other = terminal.root.parent / "other"
    git(terminal.root, "branch", "side")
    git(terminal.root, "worktree", "add", "--quiet", str(other), "side")
    write(other, {"src/app.py": "theirs\n", "other.txt": "kept\n"})
    git(other, "add", "--all")
    git(other, "commit", "--quiet", "--message=other")
    oid = terminal.root.parent / "oid"
    oid.write_text(git(other, "rev-parse", "HEAD"))
    line = command.format(terminal.root, oid)
    run = terminal.run(
        {"id": "one", "command": f"echo ours > src/app.py; {line}", "write": ["src"]}, status=10
    )
    task = f"{run}.one"
    # A branch of ours that somebody else has moved is believed when a person says so.
    terminal("wfledger trust --yes")
    terminal(f"wfledger run {run}", status=10)
    block = terminal.task(task).block
    assert block is not None
    assert block.code == "conflict"
    assert block.command == f"wfledger open {task}"
    return run, task


def resolve_by_merging(folder: Path, run: str) -> None:
    subprocess.run(["git", "merge", f"wf/{run}"], cwd=folder, check=False, capture_output=True)
    (folder / "src/app.py").write_text("both\n")
    git(folder, "commit", "--quiet", "--all", "--message=resolve")


def resolve_by_merging_uncommitted(folder: Path, run: str) -> None:
    subprocess.run(["git", "merge", f"wf/{run}"], cwd=folder, check=False, capture_output=True)
    (folder / "src/app.py").write_text("both\n")


def resolve_by_editing(folder: Path, run: str) -> None:
    assert "<<<<<<<" in (folder / "src/app.py").read_text()
    (folder / "src/app.py").write_text("both\n")


@pytest.mark.long
@pytest.mark.parametrize(
    "resolve", [resolve_by_merging, resolve_by_merging_uncommitted, resolve_by_editing]
)
def test_conflict_is_opened_resolved_and_lands(
    terminal: Terminal, resolve: Callable[[Path, str], None]
) -> None:
    run, task = conflicting(terminal)
    folder = Path(terminal(f"wfledger open {task}").out.strip())
    resolve(folder, run)
    terminal(f"wfledger accept {task}")
    terminal(f"wfledger run {run}")
    assert_done_once(terminal, task)
    files = landed(terminal, run)
    assert (files["src/app.py"], files["other.txt"]) == ("both", "kept")


def test_conflict_with_its_marks_left_is_not_accepted(terminal: Terminal) -> None:
    _, task = conflicting(terminal)
    folder = Path(terminal(f"wfledger open {task}").out.strip())
    refused = terminal(f"wfledger accept {task}", status=2)
    assert "src/app.py" in refused.err
    assert folder.exists()
    assert terminal.status(task) == "blocked"


def test_accept_of_an_unresolved_conflict_blocks_again_and_keeps_all(terminal: Terminal) -> None:
    run, task = conflicting(terminal)
    terminal(f"wfledger accept {task}")
    terminal(f"wfledger run {run}", status=10)
    block = terminal.task(task).block
    assert block is not None
    assert block.code == "conflict"
    assert landed(terminal, run)["src/app.py"] == "theirs"


@pytest.mark.long
def test_what_was_resolved_once_is_landed_after_another_refusal(terminal: Terminal) -> None:
    """The run's changes that a person merged in are never counted as the task's."""
    run, task = conflicting(terminal)
    folder = Path(terminal(f"wfledger open {task}").out.strip())
    (folder / "src/app.py").write_text("both\n")
    (folder / "more.txt").write_text("more\n")
    terminal(f"wfledger accept {task}")
    terminal(f"wfledger run {run}", status=10)
    block = terminal.task(task).block
    assert block is not None
    assert block.command == f"wfledger widen {task} more.txt"
    terminal(block.command)
    terminal(f"wfledger run {run}")
    assert_done_once(terminal, task)
    assert landed(terminal, run)["more.txt"] == "more"


def test_opening_twice_is_the_same_worktree_with_what_was_mended(terminal: Terminal) -> None:
    run = terminal.run(
        {"id": "one", "command": "echo bad > src/app.py", "write": ["src"], "verify": "false"},
        status=10,
    )
    first = terminal(f"wfledger open {run}.one").out.strip()
    Path(first, "src/app.py").write_text("mine\n")
    assert terminal(f"wfledger open {run}.one").out.strip() == first
    assert Path(first, "src/app.py").read_text() == "mine\n"
    terminal(f"wfledger accept {run}.one --waive verification")
    terminal(f"wfledger run {run}")
    assert landed(terminal, run)["src/app.py"] == "mine"


# -- after the ledger was made anew ----------------------------------------------------------------


@pytest.fixture
def remade(terminal: Terminal) -> str:
    """Return a blocked task of which only the branch is left; the doctor has raised its number."""
    run = terminal.run(
        {"id": "one", "command": "echo bad > src/app.py; echo x > notes.txt", "write": ["src"],
         "verify": "grep -q good src/app.py"}, status=10,
    )  # fmt: skip
    terminal("wfledger tick")
    shutil.rmtree(terminal.root / ".wfledger")
    terminal("wfledger doctor --fix")
    assert terminal.task(f"{run}.one").attempt > 1
    return f"{run}.one"


@pytest.mark.long
def test_widening_lands_the_kept_result_of_a_ledger_that_was_made_anew(
    terminal: Terminal, remade: str
) -> None:
    said = terminal(f"wfledger widen {remade} notes.txt")
    assert "kept result" in said.out + said.err
    terminal(f"wfledger accept {remade} --waive verification", status=4)
    terminal(f"wfledger run {remade.partition('.')[0]}", status=10)
    terminal(f"wfledger accept {remade} --waive verification")
    terminal(f"wfledger run {remade.partition('.')[0]}")
    assert len(terminal.task(remade).attempts) == 1
    assert landed(terminal, remade.partition(".")[0])["notes.txt"] == "x"


@pytest.mark.long
def test_mended_work_lands_from_a_ledger_that_was_made_anew(
    terminal: Terminal, remade: str
) -> None:
    folder = Path(terminal.shell(f"wfledger open {remade}").out.strip())
    (folder / "src/app.py").write_text("good\n")
    (folder / "notes.txt").unlink()
    terminal(f"wfledger accept {remade}")
    terminal(f"wfledger run {remade.partition('.')[0]}")
    assert len(terminal.task(remade).attempts) == 1
    assert landed(terminal, remade.partition(".")[0])["src/app.py"] == "good"
