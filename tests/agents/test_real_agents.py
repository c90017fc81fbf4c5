"""Each agent's own program does a task, and fails, as its adapter says it does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.installing import AGENTS, NotInstalledError, install
from tests.support.processes import run_cli
from tests.support.repos import git
from tests.support.sealed import ROOT
from wfledger.run.rehearsal.script import FAILURES, Answer, Script
from wfledger.run.rehearsal.server import Rehearsal

pytestmark = [pytest.mark.agents, pytest.mark.timeout(1800)]

MODEL = "scripted"
KEY = "REHEARSAL_API_KEY"
SECRET = "rehearsal-secret-5f0c1d9e"
#: Without a sandbox that this machine can give them.
OWN = {"codex"}


@pytest.fixture(params=AGENTS)
def agent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an adapter whose program is installed and found."""
    name: str = request.param
    _have(name, monkeypatch)
    return name


def _have(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        folder = install(name)
    except NotInstalledError as error:
        pytest.skip(f"{name} cannot be installed here: {error}")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv(KEY, SECRET)


@pytest.fixture
def server() -> Iterator[Rehearsal]:
    """A server that does what a prompt asks for."""
    with Rehearsal(Script()) as found:
        yield found


def fleet(server: Rehearsal, names: tuple[str, ...]) -> str:
    """Return a fleet.toml whose roles are *names*, pointed at the server."""
    lines = [
        "[provider.scripted]", 'profile = "openai"', f'base_url = "{server.chat_url}"',
        f'key = "{KEY}"',
        f'other_urls = {{ responses = "{server.chat_url}", anthropic = "{server.anthropic_url}" }}',
    ]  # fmt: skip
    for name in names:
        lines += [f"[role.{name}]", f'adapter = "{name}"', f'model = "scripted/{MODEL}"']
        lines += ["limits = { wall_s = 120 }"]
    return "\n".join(lines) + "\n"


def ledger(repo: Path, server: Rehearsal, *names: str) -> None:
    """Make a ledger with these roles in *repo*."""
    assert run_cli("init", cwd=repo).status == 0
    (repo / ".wfledger/fleet.toml").write_text(fleet(server, names))


def work(repo: Path, *tasks: dict[str, Any]) -> dict[str, Any]:
    """Run a plan of *tasks*; returns what `run --json` says, with its exit status."""
    plan = repo.parent / "plan.json"
    plan.write_text(json.dumps({"goal": "g", "tasks": list(tasks)}))
    done = run_cli("run", "--yes", "--json", str(plan), cwd=repo, timeout=900)
    assert done.out, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found | {"status": done.status}


def result(repo: Path, task: str) -> dict[str, Any]:
    """Return the result of a task's last attempt."""
    shown = run_cli("show", task, "--json", cwd=repo)
    found: dict[str, Any] = json.loads(shown.out)
    return found


def test_adapter_passes_the_failure_matrix_with_the_agents_own_program(
    agent: str, repo: Path
) -> None:
    assert run_cli("init", cwd=repo).status == 0
    done = run_cli("adapter", "test", agent, "--json", cwd=repo, timeout=1500)
    wrong = [case for case in json.loads(done.out)["cases"] if not case["ok"]]
    assert (done.status, wrong) == (0, [])


def test_agent_does_a_task_in_a_worktree_and_it_lands(
    agent: str, repo: Path, server: Rehearsal
) -> None:
    ledger(repo, server, agent)
    prompt = f"Do what is asked.\n\nSCRIPTED_WRITE<<notes/{agent}.md: made by {agent}>>"
    done = work(repo, {"id": "t", "prompt": prompt, "worker": agent, "write": ["notes"]})
    assert (done["status"], done["verdict"]) == (0, "succeeded"), done
    branch = done["branch"]
    assert git(repo, "show", f"{branch}:notes/{agent}.md").strip() == f"made by {agent}"
    assert git(repo, "status", "--porcelain") == ""


def test_write_outside_the_scope_is_caught(agent: str, repo: Path, server: Rehearsal) -> None:
    ledger(repo, server, agent)
    prompt = f"Do what is asked.\n\nSCRIPTED_WRITE<<other/{agent}.md: not mine>>"
    done = work(repo, {"id": "t", "prompt": prompt, "worker": agent, "write": ["notes"]})
    assert done["status"] == 10
    assert [need["code"] for need in done["needs"]] == ["out_of_scope"]


def test_write_outside_the_worktree_reaches_nothing(
    agent: str, repo: Path, server: Rehearsal
) -> None:
    if agent == "aider":
        pytest.skip("aider runs no commands")
    ledger(repo, server, agent)
    target = repo / "planted.txt"
    prompt = f"Do what is asked.\n\nSCRIPTED_CMD<<echo planted > {target}>>"
    done = work(repo, {"id": "t", "prompt": prompt, "worker": agent, "write": ["notes"]})
    assert done["status"] == 10
    assert [need["code"] for need in done["needs"]] == ["no_change"]
    assert not target.exists()


def test_refused_key_pauses_the_provider_and_uses_no_attempt(
    agent: str, repo: Path
) -> None:
    with Rehearsal(Script(after=FAILURES["401"])) as refusing:
        ledger(repo, refusing, agent)
        task = {"prompt": "Say hello.", "worker": agent, "write": ["notes"]}
        done = work(repo, {"id": "one", **task}, {"id": "two", **task})
    assert done["status"] == 10, done
    listed = json.loads(run_cli("provider", "list", "--json", cwd=repo).out)
    (closed,) = [one for one in listed["providers"] if one["name"] == "scripted"]
    assert closed["state"] == "open"
    counts = json.loads(run_cli("status", "--json", cwd=repo).out)["counts"]
    assert counts["waiting"] == 2


def test_agent_that_changes_nothing_has_not_succeeded(agent: str, repo: Path) -> None:
    with Rehearsal(Script(after=Answer("There is nothing to do."))) as idle:
        ledger(repo, idle, agent)
        done = work(
            repo, {"id": "t", "prompt": "Do it.", "worker": agent, "write": ["notes"]}
        )
    # mini-swe-agent takes no answer without a command, and gives up.
    expected = "task" if agent == "mini-swe-agent" else "no_change"
    assert [need["code"] for need in done["needs"]] == [expected]


def test_fleet_of_the_example_lands_whole(
    repo: Path, server: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("codex", "claude", "kimi-code", "opencode", "qwen-code", "mini-swe-agent")
    for name in names:
        _have(name, monkeypatch)
    assert run_cli("init", cwd=repo).status == 0
    text = (ROOT / "examples/agents/fleet.toml").read_text()
    provider = fleet(server, ()).partition("[role")[0]
    with_model = "\n".join(
        f'{line}\nmodel = "scripted/{MODEL}"' if line.startswith("adapter") else line
        for line in text.splitlines()
    )
    (repo / ".wfledger/fleet.toml").write_text(f"{with_model}\n{provider}")
    plan = (ROOT / "examples/agents/plan.yaml").read_text()
    lines = []
    for line in plan.splitlines():
        lines.append(line)
        if line.startswith("    prompt: "):
            path = line.split()[2]
            lines[-1] = f'    prompt: "SCRIPTED_WRITE<<{path}: made>>"'
    (repo.parent / "plan.yaml").write_text("\n".join(lines))
    done = run_cli(
        "run", "--yes", "--json", str(repo.parent / "plan.yaml"), cwd=repo, timeout=1500
    )
    outcome = json.loads(done.out)
    assert (done.status, outcome["done"]) == (0, len(names)), outcome
    names_landed = git(repo, "ls-tree", "-r", "--name-only", outcome["branch"]).splitlines()
    assert len([name for name in names_landed if name.startswith("notes/")]) == len(names)
