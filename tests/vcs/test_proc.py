"""git runs scrubbed, bounded and without executing what the repository's configuration names."""

import os
import time
from pathlib import Path

import pytest

from tests.support.repos import git
from wfledger.errors import GitError, RepositoryError
from wfledger.vcs import proc


def test_variables_of_the_caller_do_not_reach_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("SECRET", "x")
    found = proc.environment()
    assert "GIT_INDEX_FILE" not in found
    assert "GIT_DIR" not in found
    assert "SECRET" not in found
    assert found["GIT_CONFIG_GLOBAL"] == os.devnull
    assert found["LC_ALL"] == "C"


def test_the_users_configuration_is_not_in_force(repo: Path) -> None:
    done = proc.run_git(["config", "user.name"], git_dir=repo / ".git", check=False)
    assert done.status == 1


def test_a_failure_carries_its_facts(repo: Path) -> None:
    with pytest.raises(GitError) as caught:
        proc.run_git(["rev-parse", "--verify", "nothing"], git_dir=repo / ".git")
    assert caught.value.facts["kind"] == "failed"
    assert caught.value.facts["status"] == 128
    assert "rev-parse" in caught.value.message


def test_a_failure_is_a_value_where_it_is_asked_for(repo: Path) -> None:
    done = proc.run_git(["rev-parse", "--verify", "-q", "x"], git_dir=repo / ".git", check=False)
    assert done.status == 1


def test_a_timeout_ends_git_and_everything_it_started(repo: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    git(repo, "config", "alias.hang", f"!sleep 100 & echo $! > {note}; wait")
    started = time.monotonic()
    with pytest.raises(GitError) as caught:
        proc.run_git(["hang"], git_dir=repo / ".git", timeout=0.5)
    assert caught.value.facts["kind"] == "timeout"
    assert time.monotonic() - started < 20
    # Killed with its group; the kernel may take a moment to bury it. The test's own limit ends this.
    while _runs(int(note.read_text())):
        os.sched_yield()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_standard_input_reaches_git(repo: Path) -> None:
    done = proc.run_git(["hash-object", "--stdin"], git_dir=repo / ".git", stdin=b"hello\n")
    assert done.text() == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_planted_hook_does_not_run(repo: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for folder in (hooks, repo / ".git/hooks"):
        hook = folder / "reference-transaction"
        hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
        hook.chmod(0o755)
    git(repo, "config", "core.hooksPath", str(hooks))
    proc.run_git(["update-ref", "refs/heads/x", git(repo, "rev-parse", "HEAD")],
                 git_dir=repo / ".git")  # fmt: skip
    assert git(repo, "rev-parse", "refs/heads/x")
    canary.unlink(missing_ok=True)  # by the line above, which is not scrubbed
    proc.run_git(["update-ref", "-d", "refs/heads/x"], git_dir=repo / ".git")
    assert not canary.exists()


def test_hooks_of_the_configuration_are_switched_off_by_name(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repo, "config", "hook.a.b.command", "touch /nowhere")
    git(repo, "config", "hook.a.b.event", "post-checkout")
    monkeypatch.setattr(proc, "git_version", lambda: (2, 54, 0))
    assert proc._hook_switches(repo / ".git") == {"hook.a.b.enabled": "false"}


def test_settings_tell_the_users_from_the_repositorys(repo: Path) -> None:
    git(repo, "config", "user.name", "Planted\nName")
    found = {(s.of_user, s.value) for s in proc.settings(repo / ".git") if s.key == "user.name"}
    assert found == {(True, "Test Author"), (False, "Planted\nName")}


def test_a_missing_git_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RepositoryError) as caught:
        proc.run_git(["--version"])
    assert caught.value.facts["kind"] == "no_git"
