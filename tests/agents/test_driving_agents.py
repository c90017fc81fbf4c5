"""Real agents that drive themselves: `setup`, then their own sessions with our tools and hooks."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.driving import SECRET, Driven, Model, driven
from tests.agents.installing import NotInstalledError, install
from tests.support.processes import run
from tests.support.repos import git
from tests.support.terminal import Terminal, open_terminal
from wfledger.run.rehearsal.script import Script
from wfledger.run.rehearsal.server import Rehearsal

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600)]
CANARY = "canary-of-the-parent-93d1"


@pytest.fixture
def server() -> Iterator[Rehearsal]:
    """A server whose script a test sets before anybody asks."""
    with Rehearsal() as found:
        yield found


def _have(agent: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        folder = install(agent.adapter)
    except NotInstalledError as error:
        pytest.skip(f"{agent.adapter} cannot be installed here: {error}")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("SOME_API_KEY", CANARY)


def _drive(terminal: Terminal, agent: Driven) -> None:
    path = f"{terminal.programs}{os.pathsep}{os.environ['PATH']}"
    # opencode takes PWD for where it is.
    env = {"PATH": path, "PWD": str(terminal.root), **agent.env}
    done = run(*agent.argv, cwd=terminal.root, env=env, timeout=300)
    assert done.status == 0, done.err


@pytest.mark.parametrize("name", ["claude", "codex", "kimi", "qwen", "opencode"])
@pytest.mark.requirement("WFL-MCP-010", "WFL-MCP-021", "WFL-HOOK-002", "WFL-HOOK-003")
def test_agent_that_was_set_up_takes_a_task_and_lands_it_within_its_scope(
    name: str, tmp_path: Path, server: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = driven(name, server)
    _have(agent, monkeypatch)
    terminal = open_terminal(tmp_path)
    for reach in ((), *([agent.reach] if agent.reach else [])):
        terminal(" ".join(("wfledger setup", name, "--yes", *reach)))
    git(terminal.root, "add", "-A")
    git(terminal.root, "commit", "-qm", "set up")
    terminal("wfledger add Note --id t --prompt 'Write a note' --write notes --verify 'test -s notes/made.md'")
    model = Model(agent, terminal.root)
    server.script = Script(after=model)
    _drive(terminal, agent)
    # Refused by the hook, in words that a model can act on.
    assert "Allowed are: notes" in model.heard[1]
    assert not (terminal.root / "outside.md").exists()
    # Held as often as the agent can be, and then handed in by the tool.
    assert model.stopped == agent.holds + 1
    assert terminal.status("main.t") == "done"
    assert git(terminal.root, "show", "wf/main:notes/made.md").strip() == "a note"
    for folder in (terminal.root, terminal.workspace.ledger.layout.local):
        for secret in (SECRET, CANARY):
            found = run("grep", "-rl", secret, str(folder), cwd=folder)
            assert (found.status, found.out) == (1, "")
