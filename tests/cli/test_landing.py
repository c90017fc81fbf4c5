"""`land` brings a run to the user's branch: whole, shown first, and never over other work."""

from pathlib import Path

import pexpect
import pytest

from tests.support.repos import commit, files_at, git, write
from tests.support.terminal import Terminal, open_terminal

FILES = {"README.md": "# sample\n", "src/app.py": "A = 1\n", ".gitignore": "*.log\n"}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path, FILES)


def make_run(terminal: Terminal, command: str = "echo 2 > src/app.py; echo 1 > src/new.py") -> str:
    return terminal.run({"id": "one", "command": command, "write": ["src"]}, name="run.json")


def tip(terminal: Terminal, branch: str = "main") -> str:
    return git(terminal.root, "rev-parse", branch)


def untouched(terminal: Terminal) -> tuple[object, ...]:
    """Return what a landing leaves alone: configuration, other branches, index, files."""
    root = terminal.root
    others = [
        line for line in git(root, "for-each-ref").splitlines()
        if not line.endswith(("/main", "/wfledger", "refs/wfledger/ledger"))
    ]  # fmt: skip
    return (root / ".git/config").read_bytes(), others


@pytest.mark.requirement("WFL-LAND-041")
def test_landing_fast_forwards_the_branch_and_its_files(terminal: Terminal) -> None:
    run = make_run(terminal)
    before = untouched(terminal)
    said = terminal(f"wfledger land {run} --yes")
    assert "src/new.py" in said.out
    assert tip(terminal) == tip(terminal, f"wf/{run}")
    assert (terminal.root / "src/app.py").read_text() == "2\n"
    assert git(terminal.root, "status", "--porcelain") == ""
    assert untouched(terminal) == before
    assert terminal.workspace.ledger.run(run).state == "landed"


@pytest.mark.requirement("WFL-LAND-041")
def test_landing_merges_where_the_branch_has_moved(terminal: Terminal) -> None:
    run = make_run(terminal)
    mine = commit(terminal.root, {"README.md": "# more\n"})
    found = terminal.json(f"wfledger land {run} --yes")
    assert found["how"] == "merge"
    parents = git(terminal.root, "log", "-1", "--format=%P").split()
    assert parents == [mine, tip(terminal, f"wf/{run}")]
    assert f"Wfledger-Run: {run}" in git(terminal.root, "log", "-1", "--format=%B")
    files = files_at(terminal.root)
    assert (files["README.md"], files["src/app.py"]) == ("# more", "2")
    assert git(terminal.root, "status", "--porcelain") == ""


@pytest.mark.requirement("WFL-LAND-044")
def test_conflict_moves_nothing(terminal: Terminal) -> None:
    run = make_run(terminal)
    mine = commit(terminal.root, {"src/app.py": "mine\n"})
    refused = terminal.json(f"wfledger land {run} --yes", status=5)
    assert refused["paths"] == ["src/app.py"]
    assert tip(terminal) == mine
    assert (terminal.root / "src/app.py").read_text() == "mine\n"


@pytest.mark.sampled(4)
@pytest.mark.requirement("WFL-LAND-042")
@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"src/app.py": "uncommitted\n"}, "src/app.py"),
        ({"src/new.py": "untracked\n"}, "src/new.py"),
        ({"src/new.py/inside": "untracked\n"}, "src/new.py/inside"),
        ({"src/out.log": "ignored\n"}, "src/out.log"),
    ],
)
def test_uncommitted_work_in_the_way_is_named_and_kept(
    terminal: Terminal, files: dict[str, str], named: str
) -> None:
    line = "echo 2 > src/app.py; echo 1 > src/new.py; echo 1 > src/out.log; git add -f src"
    run = make_run(terminal, f"{line}; git commit -qm work")
    assert "src/out.log" in files_at(terminal.root, f"wf/{run}")
    before = tip(terminal)
    write(terminal.root, files)
    refused = terminal.json(f"wfledger land {run} --yes", status=2)
    assert named in refused["paths"]
    assert tip(terminal) == before
    assert (terminal.root / named).read_text() == files[named]


@pytest.mark.requirement("WFL-LAND-042")
def test_uncommitted_work_elsewhere_survives_byte_for_byte(terminal: Terminal) -> None:
    run = make_run(terminal)
    write(terminal.root, {"README.md": "edited\r\n", "staged.txt": "1\n", "stray.txt": "\0\xff", "x.log": "l"})
    git(terminal.root, "add", "staged.txt")
    before = git(terminal.root, "status", "--porcelain", "--ignored")
    files = {name: (terminal.root / name).read_bytes() for name in ("README.md", "staged.txt", "stray.txt", "x.log")}
    terminal(f"wfledger land {run} --yes")
    assert {name: (terminal.root / name).read_bytes() for name in files} == files
    assert git(terminal.root, "status", "--porcelain", "--ignored") == before
    assert (terminal.root / "src/app.py").read_text() == "2\n"


def test_branch_that_is_not_checked_out_is_moved_alone(terminal: Terminal) -> None:
    run = make_run(terminal)
    git(terminal.root, "switch", "--quiet", "--create", "elsewhere")
    terminal(f"wfledger land {run} --yes")
    assert tip(terminal) == tip(terminal, f"wf/{run}")
    assert (terminal.root / "src/app.py").read_text() == "A = 1\n"
    assert git(terminal.root, "status", "--porcelain") == ""


def test_branch_checked_out_in_another_worktree_brings_its_files_along(
    terminal: Terminal, tmp_path: Path
) -> None:
    run = make_run(terminal)
    git(terminal.root, "switch", "--quiet", "--create", "elsewhere")
    other = tmp_path / "other"
    git(terminal.root, "worktree", "add", "--quiet", str(other), "main")
    terminal(f"wfledger land {run} --yes")
    assert (other / "src/app.py").read_text() == "2\n"
    assert git(other, "status", "--porcelain") == ""
    terminal(f"wfledger land {run} --undo")
    assert (other / "src/app.py").read_text() == "A = 1\n"


def test_branch_for_a_pull_request_moves_nothing_else(terminal: Terminal) -> None:
    run = make_run(terminal)
    before = tip(terminal)
    terminal(f"wfledger land {run} --branch feature/one")
    assert tip(terminal, "feature/one") == tip(terminal, f"wf/{run}")
    assert tip(terminal) == before
    for name in ("feature/one", "bad name", "-x", "HEAD"):
        terminal(f"wfledger land {run} --branch='{name}'", status=2)


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-043")
def test_landing_is_undone_while_nothing_followed(terminal: Terminal) -> None:
    run = make_run(terminal)
    before = tip(terminal)
    terminal(f"wfledger land {run} --undo", status=2)
    terminal(f"wfledger land {run} --yes")
    terminal(f"wfledger land {run} --yes")
    write(terminal.root, {"src/app.py": "uncommitted\n"})
    assert "src/app.py" in terminal(f"wfledger land {run} --undo", status=2).err
    git(terminal.root, "checkout", "--quiet", "src/app.py")
    write(terminal.root, {"README.md": "edited\n"})
    terminal(f"wfledger land {run} --undo")
    assert tip(terminal) == before
    assert (terminal.root / "src/app.py").read_text() == "A = 1\n"
    assert not (terminal.root / "src/new.py").exists()
    assert (terminal.root / "README.md").read_text() == "edited\n"
    git(terminal.root, "checkout", "--quiet", "README.md")
    terminal(f"wfledger land {run} --yes")
    after = commit(terminal.root, {"README.md": "# followed\n"})
    refused = terminal(f"wfledger land {run} --undo", status=4)
    assert "git revert" in refused.err
    assert tip(terminal) == after


def test_without_a_terminal_nothing_lands_unasked(terminal: Terminal) -> None:
    run = make_run(terminal)
    before = tip(terminal)
    refused = terminal(f"wfledger land {run}", status=2)
    assert f"wfledger land {run} --yes" in refused.err
    assert tip(terminal) == before


@pytest.mark.sampled(2)
@pytest.mark.parametrize("answer", ["y", "n"])
def test_at_a_terminal_it_is_asked_first(terminal: Terminal, answer: str) -> None:
    run = make_run(terminal)
    before = tip(terminal)
    prompt = pexpect.spawn(
        str(terminal.programs / "wfledger"), ["land", run], cwd=str(terminal.root), timeout=60
    )
    prompt.expect("Land them")
    assert tip(terminal) == before
    prompt.sendline(answer)
    prompt.expect(pexpect.EOF)
    prompt.close()
    assert prompt.exitstatus == (0 if answer == "y" else 1)
    assert (tip(terminal) != before) is (answer == "y")


def test_nothing_to_land_is_said(terminal: Terminal) -> None:
    run = terminal.run({"id": "one", "command": "true"})
    before = tip(terminal)
    assert "everything already" in terminal(f"wfledger land {run} --yes").out
    assert terminal.json(f"wfledger land {run}")["how"] == "nothing"
    assert tip(terminal) == before


@pytest.mark.long
def test_landed_run_is_still_known(terminal: Terminal) -> None:
    run = make_run(terminal)
    terminal(f"wfledger land {run} --yes")
    assert "1 of 1" in terminal(f"wfledger run {run}").out


@pytest.mark.sampled(2)
@pytest.mark.parametrize("moved", [False, True])
def test_hooks_of_the_repository_do_not_run(terminal: Terminal, moved: bool) -> None:
    log = terminal.root.parent / "hooks.log"
    names = ["post-merge", "pre-merge-commit", "commit-msg", "post-checkout", "pre-commit",
             "reference-transaction", "post-rewrite", "post-commit", "prepare-commit-msg"]  # fmt: skip
    run = make_run(terminal)
    if moved:
        commit(terminal.root, {"README.md": "# more\n"})
    for name in names:
        hook = terminal.root / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >> {log}\nexit 1\n")
        hook.chmod(0o755)
    terminal(f"wfledger land {run} --yes")
    terminal(f"wfledger land {run} --undo")
    assert not log.exists()


@pytest.mark.long
def test_part_of_a_run_may_land_and_the_rest_later(terminal: Terminal) -> None:
    run = terminal.run(
        {"id": "one", "command": "echo 2 > src/app.py", "write": ["src"]},
        {"id": "two", "command": "echo 1 > docs; echo 1 > more", "write": ["docs"]}, status=10,
    )  # fmt: skip
    terminal(f"wfledger land {run} --yes")
    assert terminal.workspace.ledger.run(run).state == "open"
    terminal(f"wfledger widen {run}.two more")
    terminal(f"wfledger run {run}")
    terminal(f"wfledger land {run} --yes")
    assert (terminal.root / "more").exists()
    assert terminal.workspace.ledger.run(run).state == "landed"
