"""Whatever a worker does to its worktree: files count as they are, and nothing of it is lost."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.attempts import FILES, ID, KEPT, blocked, result_of, run_task
from tests.support.engines import NOTHING_LEFT, leftovers, statuses
from tests.support.repos import files_at, git
from tests.support.workspaces import BRANCH, make_workspace


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-E", "-c", script)


#: What a worker does with git -> the files below src/ that land.
GIT_PLAY: Mapping[str, tuple[str, dict[str, str]]] = {
    "commits": ("echo 1 > src/a.txt; git commit -qam one; echo 2 > src/b.txt", {"a": "1", "b": "2"}),
    "amends": ("echo 1 > src/a.txt; git commit -q --amend -am other", {"a": "1", "b": "b"}),
    "detaches": (
        "git checkout -q --detach; echo 1 > src/a.txt; git commit -qam one", {"a": "1", "b": "b"}
    ),
    "switches": (
        "git switch -qc mine; echo 1 > src/a.txt; git commit -qam one; echo 2 > src/b.txt",
        {"a": "1", "b": "2"},
    ),
    "merges": (
        "git switch -qc o; echo 1 > src/a.txt; git commit -qam 1; git switch -q -; git merge -q o",
        {"a": "1", "b": "b"},
    ),
    "stages only": ("echo 1 > src/a.txt; git add src; echo 2 > src/a.txt", {"a": "2", "b": "b"}),
    "orphan": ("git checkout -q --orphan new; echo 1 > src/a.txt", {"a": "1", "b": "b"}),
    "assumes unchanged": (
        "git update-index --assume-unchanged src/a.txt; echo 1 > src/a.txt", {"a": "1", "b": "b"}
    ),
    "replaces .git": (
        "rm .git; git init -q; echo 1 > src/a.txt; git add -A; git commit -qm x", {"a": "1", "b": "b"}
    ),
    "removes .git": ("rm .git; echo 1 > src/a.txt", {"a": "1", "b": "b"}),
    "deletes": ("rm src/b.txt", {"a": "a"}),
}  # fmt: skip


@pytest.mark.sampled(6)
@pytest.mark.parametrize("play", GIT_PLAY)
def test_files_as_they_are_count_whatever_was_done_with_git(tmp_path: Path, play: str) -> None:
    workspace = make_workspace(tmp_path, FILES)
    command, files = GIT_PLAY[play]
    base = git(workspace.main, "rev-parse", "main")
    task = run_task(workspace, f"set -e; {command}", write=("src",))
    assert statuses(workspace) == {ID: "done"}, (task.block, task.attempts)
    landed = files_at(workspace.main, BRANCH)
    assert landed == {f"src/{n}.txt": c for n, c in files.items()} | {"README.md": "# sample"}
    assert git(workspace.main, "rev-list", "--count", f"main..{BRANCH}") == "1"
    assert git(workspace.main, "rev-parse", "main") == base
    assert git(workspace.main, "rev-parse", KEPT)
    found = leftovers(workspace)
    assert found.pop("branches") in {"", f"refs/heads/wf-try/{ID}/1"}
    assert found == {k: v for k, v in NOTHING_LEFT.items() if k != "branches"}


def test_what_a_worker_committed_and_undid_is_reachable(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    run_task(
        workspace, "echo 1 > src/a.txt; git commit -qam one; git rev-parse HEAD > src/head;"
        " git reset -q --hard HEAD; echo 2 > src/b.txt", write=("src",),
    )  # fmt: skip
    assert git(workspace.main, "log", "--format=%s", f"main..{KEPT}").splitlines()[-1] == "one"


DELETES = {
    "the folder": 'cd /; rm -rf "$PWD_"',
    "and puts a file there": 'cd /; rm -rf "$PWD_"; echo x > "$PWD_"',
    "and puts a link there": 'cd /; rm -rf "$PWD_"; ln -s / "$PWD_"',
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("how", DELETES)
def test_worktree_that_its_worker_deleted_fails_the_attempt_and_keeps_its_commits(
    tmp_path: Path, how: str
) -> None:
    workspace = make_workspace(tmp_path, FILES)
    command = f'PWD_="$PWD"; echo 1 > src/a.txt; git commit -qam one; {DELETES[how]}'
    blocked(workspace, command, "task", write=("src",))
    assert files_at(workspace.main, KEPT)["src/a.txt"] == "1"


ODD_FILES = """
import os
os.makedirs("src/sub")
for name in ("src/uni-\\u00e9\\u4e2d", "src/new\\nline", "src/ space", "src/-dash", "src/quote\\"", "src/*"):
    open(name, "w").write(name)
open("src/binary", "wb").write(bytes(range(256)))
"""


def test_files_of_any_name_and_content_land(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    task = run_task(workspace, python(ODD_FILES), write=("src",))
    assert statuses(workspace) == {ID: "done"}, task.block
    listed = git(workspace.main, "ls-tree", "-r", "--name-only", "-z", BRANCH, "src").split("\0")
    assert {"src/uni-\u00e9\u4e2d", "src/new\nline", "src/ space", "src/-dash", 'src/quote"', "src/*",
            "src/binary"} <= set(listed)  # fmt: skip
    assert len(result_of(workspace).changed) == 7


def test_mode_change_alone_is_a_change(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    run_task(workspace, "chmod +x src/a.txt", write=("src",))
    assert [(c.path, c.kind) for c in result_of(workspace).changed] == [("src/a.txt", "mode")]


#: What a worker makes -> the code of the block, None where git sees nothing of it.
REFUSED = {
    "nested repository": (
        "git init -q src/in; cd src/in; git commit -q --allow-empty -m x", "out_of_scope"
    ),
    "empty nested repository": ("git init -q src/in", "out_of_scope"),
    "link out of the scope": ("ln -s ../README.md src/link", "out_of_scope"),
    "link out of the repository": ("ln -s /etc/passwd src/link", "out_of_scope"),
    "name that is no text": ("touch src/$(printf '\\351')", "out_of_scope"),
    "git folder": ("mkdir -p src/sub/.git; echo x > src/sub/.git/config", None),
    "ledger folder": ("mkdir .wfledger; echo x > .wfledger/ledger.json", None),
}  # fmt: skip


@pytest.mark.sampled(9)
@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_branch_should_hold_never_lands(tmp_path: Path, kind: str) -> None:
    workspace = make_workspace(tmp_path, FILES)
    command, code = REFUSED[kind]
    task = run_task(workspace, f"set -e; echo x > src/a.txt; ({command})", write=("src",))
    assert set(files_at(workspace.main, BRANCH)) == set(FILES)
    assert (task.block.code if task.block else None) == code
    assert statuses(workspace) == {ID: "blocked" if code else "done"}


def test_repository_of_its_own_is_not_removed_with_its_worktree(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    make = "git init -q src/in; cd src/in; git commit -q --allow-empty -m x; echo kept > file"
    task = run_task(workspace, make, write=("src",))
    assert task.block is not None
    (found,) = workspace.state.rglob("src/in/file")
    assert found.read_text() == "kept\n"
    assert str(found.parents[2]) in task.block.reason
