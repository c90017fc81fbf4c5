"""The command line starts without the packages that few commands need."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.driving import submit_tasks
from tests.support.processes import run
from tests.support.sealed import ROOT
from tests.support.terminal import open_terminal

HEAVY = {"pygit2", "rich", "ruamel", "watchdog", "openai", "mcp", "asyncio", "multiprocessing"}
#: What an attempt of a plain program and the looks at a ledger do without.
IDLE = (
    "openai.", "mcp.", "asyncio.", "ruamel.", "rich.", "wfledger.run.agents.", "wfledger.run.models.",
)  # fmt: skip


@pytest.mark.skipif(
    not (ROOT / "wfledger/cli/main.py").exists(), reason="there is no command line yet"
)
def test_command_line_starts_light(tmp_path: Path) -> None:
    code = "import wfledger.cli.main, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.status == 0, done.err
    assert HEAVY & {name.partition(".")[0] for name in json.loads(done.out)} == set()


def test_attempts_of_programs_and_looks_load_neither_agents_nor_models(tmp_path: Path) -> None:
    code = (
        "import wfledger.run.attempts.attempt, wfledger.run.attempts.claims\n"
        "import wfledger.run.looks.overview, wfledger.run.looks.explain\n"
        "import sys, json; print(json.dumps(sorted(sys.modules)))"
    )
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.status == 0, done.err
    loaded = json.loads(done.out)
    assert [name for name in loaded if f"{name}.".startswith(IDLE)] == []


#: Verbs that no model answers, one after the other, in one process.
VERBS = (
    "status", "list", "check ../plan.json", "claim one", "show --brief", "heartbeat one",
    "expand one --file ../tasks.json", "release one", "claim one", "complete one --check",
    "claim two", "fail two --reason x", "why two", "show two", "tick", "doctor",
)  # fmt: skip


@pytest.mark.long
def test_verbs_that_need_no_model_import_neither_openai_nor_mcp(tmp_path: Path) -> None:
    terminal = open_terminal(tmp_path)
    by_hand = {"manual": True, "title": "do it", "write": ["src"]}
    submit_tasks(terminal, {"id": "one", **by_hand}, {"id": "two", "manual": True, "title": "x"})
    terminal.plan({"id": "a", "command": "true"})
    (tmp_path / "tasks.json").write_text('[{"id": "sub", "command": "true"}]')
    (tmp_path / "verbs.json").write_text(json.dumps(VERBS))
    done = run(sys.executable, "-c", _CALLS, tmp_path / "verbs.json", cwd=terminal.root)
    assert done.status == 0, done.err
    found = json.loads(done.out.splitlines()[-1])
    assert [verb for verb, status in found["statuses"].items() if status not in {0, 1}] == []
    assert {"openai", "mcp"} & {name.partition(".")[0] for name in found["modules"]} == set()


_CALLS = """
import json, os, sys
from wfledger.cli.main import program
from pathlib import Path

statuses = {}
for verb in json.loads(Path(sys.argv[1]).read_text()):
    name = verb.split()[1] if " " in verb else ""
    tokens = sorted(Path(".git/wfledger/tokens").glob(f"*.{name}.*"), key=lambda p: p.stat().st_mtime)
    os.environ["WFLEDGER_TOKEN"] = tokens[-1].read_text() if tokens else "none"
    try:
        program(verb.split(), prog_name="wfledger")
    except SystemExit as ended:
        statuses[verb] = ended.code
print(json.dumps({"statuses": statuses, "modules": sorted(sys.modules)}))
"""
