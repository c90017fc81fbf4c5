"""Plans in other languages through the command line: checked, run to the end, and as a hook."""

import json
import re
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
