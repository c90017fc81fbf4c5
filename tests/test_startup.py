"""The command line starts without the packages that few commands need."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.processes import run
from tests.support.sealed import ROOT

HEAVY = {"pygit2", "rich", "ruamel", "watchdog", "openai", "asyncio", "multiprocessing"}


@pytest.mark.skipif(
    not (ROOT / "wfledger/cli/main.py").exists(), reason="there is no command line yet"
)
def test_command_line_starts_light(tmp_path: Path) -> None:
    code = "import wfledger.cli.main, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.status == 0, done.err
    assert HEAVY & {name.partition(".")[0] for name in json.loads(done.out)} == set()
