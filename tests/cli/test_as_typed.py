"""What people type besides wfledger: ls, cat and git show the state and how it came about."""

import json
from pathlib import Path

import pytest

from tests.support.cli import plan, wf_json
from tests.support.processes import run
from tests.support.repos import git, make_repo

ASK = '{"status": "blocked", "open_questions": ["Which one?"]}'


@pytest.fixture
def lived(tmp_path: Path) -> tuple[Path, str]:
    """A repository with a run of a task in most statuses; and the run's id."""
    root = make_repo(tmp_path / "repo", {"README.md": "# sample\n"})
    wf_json(root, "init")
    tasks = {
        "done": {"command": "echo x > x.txt", "write": ["x.txt"], "title": "Write x"},
        "asks": {"command": f"echo '{ASK}' > $WFLEDGER_RESULT_FILE", "after": ["done"]},
        "next": {"command": "true", "after": ["asks"]},
    }
    return root, wf_json(root, "run", "--yes", plan(tmp_path, tasks), status=10)["run"]


def test_ls_shows_the_state(lived: tuple[Path, str]) -> None:
    root, run_id = lived
    shown = run("sh", "-c", "ls .wfledger/*/", cwd=root).out
    blocks = dict(block.split(":\n", 1) for block in f"\n{shown}".split("\n.wfledger/")[1:])
    assert set(blocks) == {
        f"{name}/" for name in (
            "blocked", "cancelled", "done", "in-progress", "merging", "pending", "quarantine",
            "results", "runs", "waiting",
        )
    }  # fmt: skip
    assert blocks["blocked/"].split() == [f"{run_id}.asks.json"]
    assert blocks["pending/"].split() == blocks["in-progress/"].split() == []
    assert blocks["runs/"].split() == [f"{run_id}.json"]
    for status, node in (("waiting", "next"), ("done", "done")):
        assert blocks[f"{status}/"].split() == [run_id]
        listed = run("sh", "-c", f"ls .wfledger/{status}/{run_id}", cwd=root).out
        assert listed.split() == [f"{run_id}.{node}.json"]


def test_task_file_read_by_eye_says_what_to_do(lived: tuple[Path, str]) -> None:
    root, run_id = lived
    task = json.loads((root / f".wfledger/blocked/{run_id}.asks.json").read_text())
    assert task["block"]["command"] == f"wfledger answer {run_id}.asks 'YOUR ANSWER'"
    assert "status" not in task


def test_git_log_shows_how_it_came_about(lived: tuple[Path, str]) -> None:
    root, run_id = lived
    told = git(root, "log", "--reverse", "--format=%(trailers:key=Wfledger-Transition,valueonly)", "wfledger")
    steps = [line.split()[1:4] for line in told.splitlines() if line.startswith(f"{run_id}.done ")]
    assert [step for step in steps if step[0] != step[2]] == [
        ["new", "->", "waiting"], ["waiting", "->", "pending"], ["pending", "->", "in-progress"],
        ["in-progress", "->", "merging"], ["merging", "->", "done"],
    ]  # fmt: skip
    assert git(root, "log", "-1", "--format=%an", "wfledger") == "wfledger"


def test_git_log_finds_the_commits_of_a_task(lived: tuple[Path, str]) -> None:
    root, run_id = lived
    name = f"{run_id}.asks"
    found = git(root, "log", "--format=%B", f"--grep=Wfledger-Task: {name}$", "wfledger")
    assert f"{name} in-progress -> blocked" in found
    assert git(root, "log", "--format=%h", f"--grep=Wfledger-Task: {run_id}.absent$", "wfledger") == ""
    landed = git(root, "log", "--format=%s", f"--grep=Wfledger-Task: {run_id}.done$", f"wf/{run_id}")
    assert landed == "Write x"


def test_git_show_prints_a_task_at_any_moment(lived: tuple[Path, str], tmp_path: Path) -> None:
    root, run_id = lived
    on_disk = (root / f".wfledger/blocked/{run_id}.asks.json").read_text()
    assert git(root, "show", f"wfledger:blocked/{run_id}.asks.json") == on_disk.rstrip("\n")
    added = wf_json(root, "add", "One more", "true")["task"]["id"]
    wf_json(root, "tick")
    assert json.loads(git(root, "show", f"wfledger:pending/{added}.json"))["id"] == added


def test_refs_show_what_is_kept_and_what_has_landed(lived: tuple[Path, str]) -> None:
    root, run_id = lived
    refs = git(root, "for-each-ref", "--format=%(refname)", "refs/wfledger").splitlines()
    assert refs == [
        f"refs/wfledger/keep/{run_id}.asks/1", f"refs/wfledger/keep/{run_id}.done/1",
        f"refs/wfledger/landed/{run_id}.done", "refs/wfledger/ledger",
    ]  # fmt: skip
    assert git(root, "rev-parse", "refs/wfledger/ledger") == git(root, "rev-parse", "wfledger")
    assert git(root, "rev-parse", refs[2]) == git(root, "rev-parse", f"wf/{run_id}")


@pytest.mark.requirement("WFL-LEDGER-046")
def test_ledger_is_clean_for_git_and_invisible_beside_the_users_files(
    lived: tuple[Path, str],
) -> None:
    root, _ = lived
    assert git(root / ".wfledger", "status", "--porcelain") == ""
    assert git(root, "status", "--porcelain", "--untracked-files=all") == ""
    assert git(root / ".wfledger", "symbolic-ref", "HEAD") == "refs/heads/wfledger"
    roots = git(root, "rev-list", "--max-parents=0", "main", "wfledger").split()
    assert len(roots) == 2


@pytest.mark.requirement("WFL-LEDGER-005")
def test_nothing_of_one_machine_is_in_the_history(lived: tuple[Path, str]) -> None:
    root, run_id = lived
    local = root / ".git/wfledger"
    token = (local / f"tokens/{run_id}.asks.1").read_text()
    committed = set(git(root, "log", "--format=", "--name-only", "wfledger").split())
    mine = {path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file()}
    assert {f"logs/{run_id}.done.1.log", "machine.json", f"claims/{run_id}.asks.1"} <= mine
    assert committed & mine == set()
    assert token not in git(root, "log", "-p", "wfledger")
    assert not any(path.name in {"journal", "locks", "logs"} for path in (root / ".wfledger").iterdir())
