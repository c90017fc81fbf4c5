"""Every example runs to its end, as its page says; the demonstration's plan is the one shown."""

import json
import os
import re
import shlex
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.models import calls, submits
from tests.support.processes import run, run_cli
from tests.support.repos import git
from tests.support.sealed import ROOT
from wfledger.run.config.known import built_in
from wfledger.run.rehearsal.script import Script
from wfledger.run.rehearsal.server import Rehearsal

EXAMPLES = ROOT / "examples"
#: What each provider's model writes in the example of the models.
PAGES = {
    "deepseek": "docs/scope.md", "openai": "docs/layout.md", "minimax": "docs/names.md",
    "zhipu": "docs/tests.md", "moonshot": "docs/style.md",
}  # fmt: skip


def run_example(repo: Path, folder: str, plan: str) -> dict[str, object]:
    assert run_cli("init", cwd=repo).status == 0
    fleet = EXAMPLES / folder / "fleet.toml"
    if fleet.exists():
        (repo / ".wfledger/fleet.toml").write_bytes(fleet.read_bytes())
    done = run_cli("run", "--yes", str(EXAMPLES / folder / plan), "--workers", "2", "--json", cwd=repo)
    assert done.status == 0, done.err
    outcome: dict[str, object] = json.loads(done.out)
    return outcome


@pytest.mark.long
def test_quick_example_lands_what_its_role_and_its_command_write(repo: Path) -> None:
    outcome = run_example(repo, "quick", "plan.yaml")
    names = git(repo, "ls-tree", "-r", "--name-only", f"wf/{outcome['run']}").splitlines()
    assert {"src/models.txt", "src/api.txt", "docs.md"} <= set(names)


@pytest.mark.long
def test_phases_example_lands_both_sides_before_its_test_phase(repo: Path) -> None:
    outcome = run_example(repo, "phases", "plan.json")
    assert outcome["verdict"] == "succeeded"
    names = git(repo, "ls-tree", "-r", "--name-only", f"wf/{outcome['run']}").splitlines()
    assert {"out/left.txt", "out/right.txt"} <= set(names)


@pytest.mark.long
def test_checks_example_waits_for_a_person_and_then_lands(repo: Path) -> None:
    assert run_cli("init", cwd=repo).status == 0
    plan = str(EXAMPLES / "checks/plan.yaml")
    waits = run_cli("run", "--yes", plan, "--workers", "2", "--json", cwd=repo)
    assert waits.status == 10, waits.err
    outcome = json.loads(waits.out)
    (need,) = outcome["needs"]
    assert need["code"] == "approval"
    assert need["reason"].startswith("it waits for a verdict: Is the report fit to be sent?")
    assert run_cli("answer", "report", "yes", cwd=repo).status == 0
    done = run_cli("run", outcome["run"], "--json", cwd=repo)
    assert done.status == 0, done.err
    names = git(repo, "ls-tree", "-r", "--name-only", f"wf/{outcome['run']}").splitlines()
    assert {"out/figures.json", "out/summary.txt", "report.md"} <= set(names)


@pytest.mark.long
@pytest.mark.requirement("WFL-ROUTE-001")
def test_models_example_asks_five_models_of_five_providers_and_says_which_did_what(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"deepseek": "deepseek-v4-pro", "openai": "gpt-6.1-sol", "minimax": "MiniMax-M3",
             "zhipu": "glm-5.3", "moonshot": "kimi-k2.7-code"}  # fmt: skip
    assert run_cli("init", cwd=repo).status == 0
    fleet = (EXAMPLES / "models/fleet.toml").read_text()
    with ExitStack() as stack:
        for name, model in names.items():
            page = calls("write", path=PAGES[name], content=f"by {model}\n")
            thought = "reasoning_details" if name == "minimax" else "reasoning_content"
            page = replace(page, reasoning="It is asked for.", reasoning_field=thought)
            turns = (page, replace(submits(), reasoning_field=thought))
            server = stack.enter_context(Rehearsal(Script(turns, rules=(name,))))
            where = f'base_url = "{server.chat_url}"\n'
            table = f"[provider.{name}]\n"
            if table in fleet:
                fleet = fleet.replace(table, table + where)
            else:
                fleet += table + where
            monkeypatch.setenv(str(built_in()[name].key), f"key-of-{name}-0123456789")
        (repo / ".wfledger/fleet.toml").write_text(fleet)
        plan = str(EXAMPLES / "models/plan.yaml")
        done = run_cli("run", "--yes", plan, "--workers", "5", "--json", cwd=repo)
    assert done.status == 0, done.err + done.out
    branch = f"wf/{json.loads(done.out)['run']}"
    index = git(repo, "show", f"{branch}:docs/index.txt").split()
    assert index == ["index.txt", "layout.md", "names.md", "scope.md", "style.md", "tests.md"]
    (run,) = json.loads(run_cli("status", "--json", cwd=repo).out)["runs"]
    shares = {one["provider"]: (one["model"], one["usd"]) for one in run["usage"]["by"]}
    assert {name: model for name, (model, _) in shares.items()} == names
    assert all(usd > 0 for _, usd in shares.values())


#: Plan of nodes -> the files that land, besides those that were there.
NODES = {
    "audit": {"audit.txt"},
    "tournament": {"greeting.txt", "farewell.txt"},
    "loop": {"progress.txt", "note.txt"},
    "expand": {"pages/claims.txt", "pages/scopes.txt", "pages/index.txt"},
    "gates": {"change.txt", "RELEASED"},
}


@pytest.mark.long
@pytest.mark.parametrize("name", NODES)
def test_example_of_nodes_runs_to_its_end(repo: Path, name: str) -> None:
    (repo / "progress.txt").touch()
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "progress")
    before = set(git(repo, "ls-tree", "-r", "--name-only", "main").splitlines()) - {"progress.txt"}
    assert run_cli("init", cwd=repo).status == 0
    plan = str(EXAMPLES / "nodes" / f"{name}.yaml")
    checked = json.loads(run_cli("check", plan, "--json", cwd=repo).out)
    assert (checked["errors"], checked["warnings"]) == ([], [])
    done = run_cli("run", "--yes", plan, "--workers", "2", "--json", cwd=repo)
    outcome = json.loads(done.out)
    if name == "gates":  # a person lets the release go
        assert done.status == 10, done.err
        assert run_cli("answer", "released", "yes", cwd=repo).status == 0
        done = run_cli("run", outcome["run"], "--json", cwd=repo)
    assert done.status == 0, done.err
    assert json.loads(done.out)["verdict"] == "succeeded"
    branch = f"wf/{outcome['run']}"
    landed = set(git(repo, "ls-tree", "-r", "--name-only", branch).splitlines()) - before
    assert landed - {"progress.txt"} == NODES[name] - {"progress.txt"}
    if name == "loop":
        rounds = git(repo, "show", f"{branch}:progress.txt").splitlines()
        assert rounds == ["round 1", "round 2", "round 3"]
    if name == "tournament":
        assert git(repo, "show", f"{branch}:greeting.txt") == "Hello, and welcome."


@pytest.mark.long
def test_example_of_a_script_mends_what_its_scouts_have_found(repo: Path) -> None:
    assert run_cli("init", cwd=repo).status == 0
    script = str(EXAMPLES / "scripts/sweep.workflow.js")
    given = ("--args", json.dumps({"areas": ["api", "store"]}))
    done = run_cli("run", "--yes", script, *given, "--workers", "2", "--json", cwd=repo)
    assert done.status == 0, done.err
    names = git(repo, "ls-tree", "-r", "--name-only", f"wf/{json.loads(done.out)['run']}")
    assert {"api.txt", "store.txt"} <= set(names.splitlines())


@pytest.mark.long
@pytest.mark.timeout(300)  # some thirty seconds on a machine that has nothing else to do
@pytest.mark.requirement("WFL-HUB-147")
def test_three_machines_share_the_work_and_take_over_that_of_one_that_is_killed(
    tmp_path: Path,
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "wfledger"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m wfledger "$@"\n')
    program.chmod(0o755)
    script, where = EXAMPLES / "three-machines/fleet.sh", tmp_path / "three"
    variables = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    try:
        done = run("/bin/sh", script, where, cwd=tmp_path, env=variables, timeout=270)
    finally:
        variables["XDG_STATE_HOME"] = str(where / "state")
        for clone in ("anna", "bert", "carl"):
            run(program, "-C", where / clone, "daemon", "stop", cwd=tmp_path, env=variables)
    assert done.status == 0, done.out + done.err
    assert re.search(r"^  bert  heard of .* at work", done.out, re.MULTILINE), done.out
    assert re.search(r" (anna|carl)  finder ", done.out), done.out
    assert "\n12 done\n" in done.out
    assert len(re.findall(r"merging -> done +#\d", done.out)) == 12
    pages = git(where / "hub.git", "for-each-ref", "--format=%(refname)", "refs/heads/wf")
    assert len(git(where / "hub.git", "ls-tree", "--name-only", f"{pages}:pages").split()) == 12


def test_demo_example_is_the_plan_that_the_demo_runs() -> None:
    shipped = ROOT / "wfledger/cli/demo_files/plan.yaml"
    assert (EXAMPLES / "demo/plan.yaml").read_bytes() == shipped.read_bytes()


@pytest.mark.long
def test_demo_runs_twice_in_a_row_in_a_path_with_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))  # where its two writers meet
    for number in ("one", "two"):
        folder = tmp_path / f"the demo {number}"
        done = run_cli("demo", str(folder), cwd=tmp_path)
        assert done.status == 0, done.err
        assert "waits: " in done.err  # the collision was seen
        assert "tries again" in done.err  # the transport failure was retried
        assert "wfledger widen" in done.out  # the step out of scope names its way on
        assert git(folder, "status", "--porcelain") == ""


def test_demo_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    done = run_cli("demo", "full", cwd=tmp_path)
    assert done.status == 2
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["file"]


@pytest.mark.sampled(6)
@pytest.mark.parametrize("plan", sorted(EXAMPLES.glob("*/plan.*")), ids=lambda p: p.parent.name)
def test_example_plans_check(plan: Path, tmp_path: Path) -> None:
    assert run_cli("check", str(plan), cwd=tmp_path).status == 0
