"""The command line, called in this process: quicker than `processes.run_cli` and otherwise alike."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.support.processes import Cli
from wfledger.cli.main import program


def wf(where: Path, *args: str | Path, input: str | None = None) -> Cli:  # noqa: A002
    """Run `wfledger -C WHERE ARGS`."""
    given = ["-C", str(where), *map(str, args)]
    done = CliRunner().invoke(program, given, input=input, prog_name="wfledger")
    return Cli(done.exit_code, done.stdout, done.stderr)


def wf_json(where: Path, *args: str | Path, status: int = 0) -> dict[str, Any]:
    """Run a verb with `--json`, expect *status* and return the one object it printed."""
    done = wf(where, *args, "--json")
    assert done.status == status, (done.out, done.err)
    found: dict[str, Any] = json.loads(done.out)
    return found


def plan(folder: Path, tasks: Mapping[str, Mapping[str, Any]], **top: Any) -> Path:
    """Write a plan in the short form, of *tasks* by id, and return its path."""
    listed = [{"id": name, **fields} for name, fields in tasks.items()]
    path = folder / "plan.json"
    path.write_text(json.dumps({"goal": "a goal", **top, "tasks": listed}))
    return path


def contents(*folders: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time of change and content of every file below *folders*."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            facts = path.lstat()
            raw = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (facts.st_mode, facts.st_mtime_ns, raw)
    return found
