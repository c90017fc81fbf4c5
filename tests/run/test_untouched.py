"""What is the user's stays as it is, and nothing that a worker planted is run by anybody of ours."""

import os
import stat
from pathlib import Path

import pytest

from tests.support.cli import plan, wf, wf_json
from tests.support.engines import NOTHING_LEFT, leftovers
from tests.support.outside import belongings
from tests.support.processes import run
from tests.support.repos import commit, files_at, git, make_repo, write
from tests.support.workspaces import open_workspace

FILES = {
    "README.md": "# sample\n", "src/a.txt": "a\n", "src/crlf.txt": "a\r\n", ".gitignore": "*.o\n",
    ".gitattributes": "*.txt text=auto\n",
}  # fmt: skip
HOOKS = (
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout",
    "post-commit", "post-index-change", "post-merge", "post-rewrite", "pre-applypatch",
    "pre-auto-gc", "pre-commit", "pre-merge-commit", "pre-push", "pre-rebase",
    "prepare-commit-msg", "reference-transaction",
)  # fmt: skip


def _lived_in(tmp_path: Path) -> Path:
    """Make a repository as people have them: branches, tags, hooks, a stash, uncommitted work."""
    root = make_repo(tmp_path / "repo", FILES)
    git(root, "tag", "v1")
    git(root, "switch", "-q", "-c", "feature/x")
    commit(root, {"src/x.txt": "x\n"})
    git(root, "switch", "-q", "main")
    write(root, {"src/a.txt": "stashed\n"})
    git(root, "stash", "-q")
    git(root, "config", "core.commentChar", ";")
    git(root, "worktree", "add", "-q", "--detach", "../theirs")
    hook = root / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    write(root, {"src/a.txt": "mine\n", "untracked": "mine\n", "ignored.o": "mine\n"})
    git(root, "add", "src/a.txt")
    write(root, {"src/a.txt": "mine again\n"})
    return root


def test_run_changes_one_line_of_what_is_the_users(tmp_path: Path) -> None:
    root = _lived_in(tmp_path)
    before, theirs = belongings(root), git(root, "stash", "list")
    exclude = root / ".git/info/exclude"
    lines = exclude.read_bytes() if exclude.exists() else b""
    wf_json(root, "init")
    tasks = {
        "a": {"command": "echo a >> src/a.txt; echo o > made.o", "write": ["src/a.txt"]},
        "b": {"command": "printf 'b\\r\\n' >> src/crlf.txt", "write": ["src/crlf.txt"]},
        "c": {"command": "cat src/a.txt", "after": ["a", "b"]},
        "fails": {"command": "echo half > src/f; exit 3", "write": ["src/f"]},
    }
    assert wf_json(root, "run", "--yes", plan(tmp_path, tasks), status=10)["done"] == 3
    after = belongings(root)
    assert after.pop(str(exclude)) == (before.pop(str(exclude))[0], "", lines + b"/.wfledger\n")  # type: ignore[index]
    assert after == before
    assert git(root, "stash", "list") == theirs
    assert not (tmp_path / "hooked").exists()
    (document,) = (root / ".wfledger/runs").glob("*.json")
    landed = files_at(root, f"wf/{document.stem}")
    assert landed["src/a.txt"] == "a\na"
    assert "made.o" not in landed
    assert leftovers(open_workspace(root))["folders"] == []


def _canary(tmp_path: Path, name: str) -> str:
    """Return a program that leaves a trace of itself in the folder of canaries."""
    path = tmp_path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n: > {tmp_path}/sung/{name}\ncat\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def _planting(tmp_path: Path) -> str:
    """Return what a worker does that wants to run programs as somebody else."""
    (tmp_path / "sung").mkdir()
    keys = {
        "core.fsmonitor": "fsmonitor", "core.editor": "editor", "core.pager": "pager",
        "core.sshCommand": "ssh", "core.askPass": "askpass", "core.alternateRefsCommand": "refs",
        "core.gitProxy": "proxy", "filter.evil.clean": "clean", "filter.evil.smudge": "smudge",
        "filter.evil.process": "process", "merge.evil.driver": "driver", "diff.evil.command": "diff",
        "diff.evil.textconv": "textconv", "diff.external": "external", "gpg.program": "gpg",
        "credential.helper": "credential", "sequence.editor": "sequence", "hook.evil.command": "hook",
        "interactive.diffFilter": "diff-filter", "trailer.evil.cmd": "trailer",
        "uploadpack.packObjectsHook": "pack",
    }  # fmt: skip
    lines = [f"git config {key} {_canary(tmp_path, name)}" for key, name in keys.items()]
    lines += [
        "git config filter.evil.required true", "git config commit.gpgSign true",
        "git config merge.default evil", "git config core.untrackedCache true",
        "git config hook.evil.event post-checkout",
        f"git config core.hooksPath {tmp_path}/planted",
        f"mkdir -p {tmp_path}/planted $(git rev-parse --git-common-dir)/hooks",
        'mkdir -p "$(git rev-parse --git-common-dir)/info"',
        "echo '* filter=evil merge=evil diff=evil' > \"$(git rev-parse --git-common-dir)/info/attributes\"",
        "echo '* filter=evil merge=evil diff=evil' > .gitattributes",
        "echo '[include] path = /nowhere' >> \"$(git rev-parse --git-common-dir)/config\"",
    ]  # fmt: skip
    for name in HOOKS:
        canary = _canary(tmp_path, f"hook-{name}")
        lines.append(f"ln -sf {canary} {tmp_path}/planted/{name}")
        lines.append(f'ln -sf {canary} "$(git rev-parse --git-common-dir)/hooks/{name}"')
    script = tmp_path / "plant.sh"
    # From the worker's own git nothing is to be learnt: it runs with what it planted.
    script.write_text("\n".join([*lines, f"rm -f {tmp_path}/sung/*", "echo planted > src/planted"]))
    return f"sh {script}"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("verify", [None, "test -e src/planted"])
def test_nothing_that_a_worker_planted_is_run(tmp_path: Path, verify: str | None) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    tasks: dict[str, dict[str, object]] = {
        "plants": {
            "command": _planting(tmp_path), "write": ["src/planted", ".gitattributes"],
        },
        "works": {"command": "echo 1 >> src/a.txt", "write": ["src/a.txt"], "after": ["plants"]},
        "beside": {"command": "echo 2 > src/b.txt", "write": ["src/b.txt"], "after": ["plants"]},
        "reads": {"command": "cat src/a.txt src/b.txt", "after": ["works", "beside"]},
        "strays": {"command": "echo 3 > c.txt", "write": ["src/c.txt"], "after": ["plants"]},
    }  # fmt: skip
    if verify is not None:
        tasks["works"]["verify"] = verify
    found = wf_json(root, "run", "--yes", plan(tmp_path, tasks), status=10)
    assert found["done"] == 0, found
    assert _sung(tmp_path) == []
    # Also where a person says that it may stay, nothing of ours runs it.
    assert wf(root, "trust", "--yes").status == 0
    found = wf_json(root, "run", found["run"], status=10)
    assert found["done"] == 4, found
    assert _sung(tmp_path) == []
    task = f"{found['run']}.strays"
    for verb in (
        ["status"], ["list"], ["why", task], ["show", task], ["diff", task], ["history"], ["doctor"],
        ["open", task], ["run", found["run"]], ["tick"],
    ):  # fmt: skip
        wf(root, *verb)
        assert _sung(tmp_path) == [], verb
    run("git", "status", cwd=root)  # the proof that what was planted would have been heard
    assert {"fsmonitor", "process"} <= set(_sung(tmp_path))


def _sung(tmp_path: Path) -> list[str]:
    return sorted(os.listdir(tmp_path / "sung"))  # noqa: PTH208 - names are all that matters


@pytest.mark.long
def test_worker_that_moves_branches_of_the_user_or_the_ledger_does_not_lose_work(
    tmp_path: Path,
) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    vandal = (
        "git update-ref refs/heads/wfledger HEAD; git update-ref -d refs/wfledger/ledger; "
        "git worktree prune; git gc -q --prune=now; echo 1 > src/a.txt"
    )
    tasks = {
        "vandal": {"command": vandal, "write": ["src/a.txt"]},
        "next": {"command": "cat src/a.txt > src/b.txt", "write": ["src/b.txt"], "after": ["vandal"]},
    }
    found = wf_json(root, "run", "--yes", plan(tmp_path, tasks), status=10)
    assert [need["code"] for need in found["needs"]] == ["untrusted_change"]
    assert wf(root, "trust", "--restore", "--yes").status == 0
    assert wf_json(root, "run", found["run"])["verdict"] == "succeeded"
    assert leftovers(open_workspace(root)) == NOTHING_LEFT
    wf(root, "doctor", "--fix")
    assert wf_json(root, "doctor")["ok"]
    git(root, "fsck", "--no-dangling", "--connectivity-only")
