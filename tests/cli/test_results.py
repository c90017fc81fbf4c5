"""`diff`, `logs` and `history`: what came of work, and how."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import plan, wf, wf_json
from tests.support.processes import run_cli
from tests.support.repos import git
from tests.support.workspaces import add_task, make_workspace, put_merging


def ready(repo: Path) -> Path:
    """Make a ledger in *repo*."""
    assert wf(repo, "init").status == 0
    return repo


def test_diff_marks_what_is_out_of_scope(repo: Path) -> None:
    command = "echo 2 > src/app.py; echo 1 > stray"
    path = plan(ready(repo), {"a": {"command": command, "write": ["src"]}})
    wf(repo, "run", "--yes", path)
    found = wf_json(repo, "diff", "a")
    assert {(one["path"], one["kind"], one["in_scope"]) for one in found["changed"]} == {
        ("src/app.py", "modified", True), ("stray", "added", False),
    }  # fmt: skip
    assert "+++ b/src/app.py" in found["patch"]
    out = wf(repo, "diff", "a").out
    assert "stray     OUT OF SCOPE" in out.replace("stray       ", "stray     ")


@pytest.mark.long
def test_patch_can_be_applied(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "printf 'a\\r\\n' > src/app.py", "write": ["src"]}})
    wf(repo, "run", "--yes", path)
    done = run_cli("diff", "a", "--patch", cwd=repo)
    git(repo, "apply", stdin=done.out.encode())
    assert (repo / "src/app.py").read_bytes() == b"a\r\n"


def test_diff_of_an_earlier_attempt(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    put_merging(workspace, "a", {"src/x": "1\n"})
    found = wf_json(workspace.main, "diff", "a", "--attempt", "1")
    assert (found["attempt"], [one["path"] for one in found["changed"]]) == (1, ["src/x"])
    assert wf(workspace.main, "diff", "a", "--attempt", "2").status == 2


def test_diff_of_what_was_never_attempted(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a")
    done = wf(workspace.main, "diff", "a")
    assert done.status == 2
    assert "has not been attempted" in done.err


@pytest.mark.requirement("WFL-CLI-008")
def test_logs_are_made_safe_unless_raw(repo: Path) -> None:
    command = "printf 'one\\033[31m\\ntwo'"
    wf(repo, "run", "--yes", plan(ready(repo), {"a": {"command": command}}))
    assert wf(repo, "logs", "a").out == "one\ntwo\n"
    assert wf(repo, "logs", "a", "--raw").out == "one\x1b[31m\ntwo"
    assert wf_json(repo, "logs", "a")["text"] == "one\x1b[31m\ntwo"


def test_logs_without_output(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a")
    assert wf(workspace.main, "logs", "a").status == 2


@pytest.mark.long
def test_followed_logs_end_with_the_attempt(repo: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    path = plan(ready(repo), {"a": {"command": f"echo begun; read line < {gate}; echo $line"}})
    argv = [sys.executable, "-m", "wfledger"]
    run_ = subprocess.Popen([*argv, "run", "--yes", str(path)], cwd=repo, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)  # fmt: skip
    with (
        gate.open("w") as opened,  # returns when the worker has opened its side
        subprocess.Popen([*argv, "logs", "-f", "a"], cwd=repo, stdout=subprocess.PIPE) as logs,
    ):
        assert logs.stdout is not None
        assert logs.stdout.readline() == b"begun\n"
        opened.write("and done\n")
        opened.flush()
        assert logs.stdout.read() == b"and done\n"
    assert (run_.wait(60), logs.returncode) == (0, 0)


def test_history_tells_each_transition_in_order(repo: Path) -> None:
    found = wf_json(repo, "run", "--yes", plan(ready(repo), {"a": {"command": "true"}}))
    task_id = f"{found['run']}.a"
    moves = [
        (one["from"], one["to"])
        for one in wf_json(repo, "history", "a")["changes"]
        if one["from"] != one["to"]
    ]
    assert moves == [
        (None, "waiting"), ("waiting", "pending"), ("pending", "in-progress"),
        ("in-progress", "merging"), ("merging", "done"),
    ]  # fmt: skip
    changes = wf_json(repo, "history", found["run"])["changes"]
    assert {one["task"] for one in changes} == {task_id}
    assert all(one["commit"] for one in changes)


def test_history_has_what_is_not_committed_yet(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a")
    (one,) = wf_json(workspace.main, "history", "a")["changes"]
    assert (one["to"], one["commit"], one["why"]) == ("waiting", None, "added")
    assert "new -> waiting" in wf(workspace.main, "history").out


def test_history_keeps_to_its_limit_with_the_newest(repo: Path) -> None:
    wf(repo, "run", "--yes", plan(ready(repo), {"a": {"command": "true"}}))
    (one,) = wf_json(repo, "history", "--limit", "1")["changes"]
    assert one["to"] == "done"


@pytest.mark.parametrize("name", ["absent", "r1.absent"])
def test_names_of_nothing_have_status_2(tmp_path: Path, name: str) -> None:
    workspace = make_workspace(tmp_path)
    for verb in ("diff", "logs", "history", "why", "show"):
        assert wf(workspace.main, verb, name).status == 2
