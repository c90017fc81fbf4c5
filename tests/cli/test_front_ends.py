"""Plans in other languages through the command line: checked, run to the end, and as a hook."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.cli import wf, wf_json
from tests.support.repos import commit, git, make_repo
from tests.support.sealed import ROOT

FILES = ROOT / "tests/plans/frontends/files"
LANES = sorted((FILES / "lanes").iterdir())
VECTORS = json.loads((ROOT / "spec/vectors/plans/frontends.json").read_text("utf-8"))["cases"]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Return a repository with a ledger."""
    root = make_repo(tmp_path / "repo")
    commit(root, {"src/token.py": "def token():\n    return 1\n"})
    assert wf(root, "init").status == 0
    return root


@pytest.mark.sampled(12)
@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["id"])
def test_check_says_what_the_vector_says(tmp_path: Path, case: dict[str, Any]) -> None:
    when = case["when"]
    (tmp_path / when["source"]).write_text(when["text"])
    lenient = ["--lenient"] if when["mode"] == "lenient" else []
    good = case["then"]["verdict"] == "ok"
    found = wf_json(tmp_path, "check", when["source"], *lenient, status=0 if good else 7)
    assert found["ok"] is good
    if not good:
        assert found["errors"][0]["kind"] == case["then"]["verdict"]
        assert found["errors"][0]["line"] >= 1


@pytest.mark.requirement("WFL-FRONT-005")
def test_several_files_are_checked_at_once_each_with_its_place(tmp_path: Path) -> None:
    for file in (*LANES, FILES / "audit.workflow.js"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    names = [file.name for file in LANES]
    done = wf(tmp_path, "check", *names, "audit.workflow.js")
    assert done.status == 7
    assert re.findall(r"^(\S+): error: .*`mode`.*\[invalid_json\]$", done.err, re.MULTILINE) == [
        f"{name}:15:15" for name in names
    ]
    assert "audit.workflow.js is a plan of 5 tasks" in done.out
    found = wf_json(tmp_path, "check", *names, "audit.workflow.js", status=7)
    assert found["ok"] is False
    assert [one["ok"] for one in found["files"]] == [False] * 5 + [True]
    assert wf(tmp_path, "check", "audit.workflow.js", "audit.workflow.js").status == 0


@pytest.mark.requirement("WFL-FRONT-005")
def test_hook_of_pre_commit_calls_check_on_plans() -> None:
    (hook,) = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert hook["id"] == "wfledger-check"
    assert hook["entry"] == "wfledger check"
    assert hook["language"] == "python"
    looked_at = re.compile(hook["files"])
    plans = ["audit.workflow.js", "a/b.workflow.ts", "x.star", "plans/release.toml", "plans/a.yml"]
    others = ["src/app.js", "package.json", "mkdocs.yml", "plans/notes.md"]
    assert [name for name in plans + others if looked_at.search(name)] == plans


@pytest.mark.long
@pytest.mark.requirement("WFL-FRONT-001")
@pytest.mark.parametrize("name", ["audit.workflow.js", "loop.star", "smoke.toml"])
def test_every_verb_that_takes_a_plan_takes_every_language(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes((FILES / name).read_bytes())
    shown = wf_json(tmp_path, "plan", name)
    assert shown["tasks"] >= 2
    drawn = wf(tmp_path, "graph", name, "--format", "mermaid")
    assert drawn.status == 0, drawn.err
    expanded = wf(tmp_path, "plan", name, "--expand")
    assert expanded.status == 0, expanded.err
    (tmp_path / "again.json").write_text(expanded.out)
    again = wf_json(tmp_path, "plan", "again.json")
    assert (again["tasks"], again["steps"]) == (shown["tasks"], shown["steps"])


FLEET = """
name = "smoke"

[[tasks]]
id = "notes"
name = "Notes"
instructions = "Write docs/notes.md."
worker = { profile = "writer" }
workspace = { writable_paths = ["docs"], required_files = ["src/token.py"] }
expected_artifacts = ["docs/notes.md"]
scorer = { kind = "command", command = "grep", args = ["-q", "token", "docs/notes.md"] }

[[tasks]]
id = "look"
name = "Look"
instructions = "Look, and write where nothing may be written."
worker = { profile = "writer" }
retry_policy = { max_attempts = 1 }
"""


def test_fleet_document_runs_to_its_end_and_its_scorers_decide(ledger: Path) -> None:
    role = '\n[role.writer]\nargv = ["sh", "-c", "mkdir -p docs; echo token > docs/notes.md"]\n'
    fleet = ledger / ".wfledger/fleet.toml"
    fleet.write_text(fleet.read_text() + role)
    (ledger / "smoke.toml").write_text(FLEET)
    done = wf_json(ledger, "run", "smoke.toml", "--yes", status=9)
    assert done["verdict"] == "degraded"
    run = done["run"]
    assert git(ledger, "show", f"wf/{run}:docs/notes.md") == "token"
    listed = {one["id"]: one["status"] for one in wf_json(ledger, "list", "--run", run)["tasks"]}
    assert listed[f"{run}.notes"] == "done"
    assert listed[f"{run}.look"] == "blocked"


AGENT = """
import os, pathlib, sys
task = sys.argv[1].rsplit(".", 1)[-1]
if task == "change":
    with pathlib.Path("src/cache/size").open("a") as file:
        file.write("smaller\\n")
print(task)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "done"),
    [
        ("audit.workflow.js", ["correctness", "look", "security", "tests", "verdict"]),
        (
            "loop.star",
            ["first", "lessons", "look", "report", "rounds", "rounds.1.change", "rounds.1.suite",
             "rounds.2.change", "rounds.2.suite", "sizes"],
        ),
    ],
)  # fmt: skip
def test_published_shapes_run_to_their_end(ledger: Path, name: str, done: list[str]) -> None:
    commit(ledger, {"src/cache/size": ""})
    (ledger.parent / "agent.py").write_text(AGENT)
    argv = json.dumps([sys.executable, str(ledger.parent / "agent.py"), "{task}"])
    fleet = ledger / ".wfledger/fleet.toml"
    defaults = fleet.read_text().replace('# role = "claude"', 'role = "agent"')
    fleet.write_text(f"{defaults}\n[role.agent]\nargv = {argv}\n")
    (ledger / name).write_bytes((FILES / name).read_bytes())
    found = wf_json(ledger, "run", name, "--yes")
    assert found["verdict"] == "succeeded"
    tasks = wf_json(ledger, "list", "--run", found["run"])["tasks"]
    ended = {one["id"].removeprefix(f"{found['run']}.") for one in tasks if one["status"] == "done"}
    assert sorted(one for one in ended if ".ask-" not in one) == done
