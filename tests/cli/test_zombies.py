"""People, scripts and agents whose lease is over: refused by every verb, their work kept."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.clock import FakeClock
from tests.support.repos import files_at, git, write
from tests.support.terminal import Terminal, open_terminal
from tests.support.workspaces import open_workspace
from wfledger.core.policy import Policy
from wfledger.run.attempts.recovery import recover_lost, sweep_worktrees
from wfledger.run.workspace import Workspace

LEASE_S = 60.0


class Zombie(NamedTuple):
    """Who has claimed a task, stood still for the lease, and goes on."""

    terminal: Terminal
    task: str
    env: dict[str, str]
    folder: Path
    workspace: Workspace
    clock: FakeClock


def observe(workspace: Workspace, clock: FakeClock, seconds: float) -> int:
    """Let *seconds* pass for somebody who looks; how many attempts he ended."""
    count = recover_lost(workspace, report=lambda _, __: None)
    for _ in range(4):
        clock.advance(seconds / 4)
        count += recover_lost(workspace, report=lambda _, __: None)
    return count


@pytest.fixture
def zombie(tmp_path: Path) -> Zombie:
    """A claimer whose worktree has work in it, and whose lease is over."""
    terminal = open_terminal(tmp_path, policy=Policy(lease_s=LEASE_S))
    plan = terminal.plan({"id": "one", "command": "true", "write": ["src"],
                          "retry": {"backoff_s": 0.001, "backoff_max_s": 0.001}})  # fmt: skip
    terminal(f"wfledger run --yes --detach {plan}")
    found = terminal.json("wfledger claim --worktree --worker ana")
    assert found["lease_s"] == LEASE_S
    folder = Path(found["worktree"])
    write(folder, {"src/app.py": "A = 'early'\n"})
    clock = FakeClock()
    workspace = open_workspace(terminal.root, clock=clock)
    env = {"WFLEDGER_TASK": found["task"]["id"], "WFLEDGER_TOKEN": found["token"]}
    return Zombie(terminal, found["task"]["id"], env, folder, workspace, clock)


def frozen(zombie: Zombie) -> tuple[Any, ...]:
    """Return what a zombie must not change."""
    entry = zombie.workspace.ledger.get(zombie.task)
    refs = git(zombie.terminal.root, "for-each-ref", "refs/heads", "refs/wfledger/keep/*/[0-9]")
    wanted = [line for line in refs.splitlines() if not line.endswith("refs/heads/wfledger")]
    return entry.task, entry.status, wanted


@pytest.mark.requirement("WFL-CLAIM-033")
@pytest.mark.requirement("WFL-CLAIM-034")
def test_lease_of_a_claimer_is_over_only_when_he_has_not_renewed(zombie: Zombie) -> None:
    for _ in range(3):
        assert observe(zombie.workspace, zombie.clock, LEASE_S - 1) == 0
        beat = zombie.terminal.json("wfledger heartbeat", env=zombie.env)
        assert beat["lease_s"] == LEASE_S
    assert observe(zombie.workspace, zombie.clock, LEASE_S + 1) == 1


@pytest.mark.sampled(2)
@pytest.mark.requirement("WFL-CLAIM-020")
@pytest.mark.requirement("WFL-CLAIM-024")
@pytest.mark.parametrize("verb", ["heartbeat", "complete", "fail --reason no", "release"])
@pytest.mark.parametrize("taken", [False, True], ids=["offered", "taken-again"])
def test_zombie_is_refused_with_a_sentence_and_its_late_work_is_kept(
    zombie: Zombie, verb: str, *, taken: bool
) -> None:
    assert observe(zombie.workspace, zombie.clock, LEASE_S) == 1
    zombie.folder.mkdir(parents=True, exist_ok=True)
    if taken:
        zombie.terminal("wfledger claim --worktree --worker bea")
    before = frozen(zombie)
    refused = zombie.terminal.json(f"wfledger {verb}", status=4, env=zombie.env)
    assert refused["error"] == "stale"
    said = f"attempt 1 of {zombie.task} is over (lost: attempt 1: its lease ran out); the task is "
    assert refused["message"].startswith(said + ("in-progress, attempt 2" if taken else "waiting"))
    assert frozen(zombie) == before
    root, kept = zombie.terminal.root, f"refs/wfledger/keep/{zombie.task}/1"
    assert files_at(root, kept)["src/app.py"] == "A = 'early'"


@pytest.mark.sampled(3)
@pytest.mark.requirement("WFL-CLAIM-024")
@pytest.mark.parametrize("verb", ["complete", "fail --reason no", "release"])
def test_late_work_in_a_worktree_that_was_left_is_kept_under_another_name(
    zombie: Zombie, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(zombie.folder)  # as his shell stands there
    assert observe(zombie.workspace, zombie.clock, LEASE_S) == 1
    assert sweep_worktrees(zombie.workspace) == 0
    write(zombie.folder, {"src/app.py": "A = 'late'\n"})
    before = frozen(zombie)
    refused = zombie.terminal.json(f"wfledger {verb}", status=4, env=zombie.env)
    late = refused["kept"]
    assert late.startswith(f"refs/wfledger/keep/{zombie.task}/late-1-")
    assert late in refused["message"]
    assert files_at(zombie.terminal.root, late)["src/app.py"] == "A = 'late'"
    assert frozen(zombie) == before
    again = zombie.terminal.json(f"wfledger {verb}", status=4, env=zombie.env)
    assert again["kept"] == late


def test_worktree_that_was_left_is_swept_with_its_late_work_kept(
    zombie: Zombie, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.chdir(zombie.folder)
        assert observe(zombie.workspace, zombie.clock, LEASE_S) == 1
    write(zombie.folder, {"src/app.py": "A = 'late'\n"})
    assert sweep_worktrees(zombie.workspace) == 1
    assert not zombie.folder.exists()
    (late,) = git(
        zombie.terminal.root, "for-each-ref", "--format=%(refname)",
        f"refs/wfledger/keep/{zombie.task}/late-*",
    ).splitlines()  # fmt: skip
    assert files_at(zombie.terminal.root, late)["src/app.py"] == "A = 'late'"


def test_token_that_is_nobodys_is_told_apart(zombie: Zombie) -> None:
    refused = zombie.terminal.json(f"wfledger heartbeat {zombie.task} --token x", status=4)
    assert refused["message"] == f"attempt 1 of {zombie.task} is not yours: the token is wrong"


def test_who_looks_is_told_when_the_lease_ends(zombie: Zombie) -> None:
    found = zombie.terminal.json(f"wfledger why {zombie.task}")
    assert 0 < found["lease_left_s"] <= LEASE_S
    assert "unless ana renews" in found["reason"]
    working = zombie.terminal.json("wfledger status")["working"]
    assert 0 < working[0]["lease_left_s"] <= LEASE_S
