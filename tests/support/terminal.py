"""Somebody at a prompt: command lines as they are typed, in a shell or, quicker, in this process."""

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.support.processes import Cli, run
from tests.support.repos import make_repo
from tests.support.workspaces import open_workspace
from wfledger.cli.main import program
from wfledger.clock import Clock, SystemClock
from wfledger.core.documents import Task
from wfledger.core.policy import Policy
from wfledger.run.setup import initialise
from wfledger.run.workspace import Workspace


class Terminal:
    """A repository with a ledger, and a prompt in it."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.root = root
        self.programs = programs
        self._write_program("wfledger", f'exec {shlex.quote(sys.executable)} -m wfledger "$@"')

    def _write_program(self, name: str, script: str) -> None:
        self.programs.mkdir(exist_ok=True)
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def shell(
        self, line: str, *, status: int = 0, cwd: Path | None = None, stdin: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Cli:  # fmt: skip
        """Type *line* at a shell and check its exit status."""
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        variables = {"PATH": path, **(env or {})}
        done = run("/bin/sh", "-c", line, cwd=cwd or self.root, input=stdin, env=variables)
        assert done.status == status, f"{line}: status {done.status}\n{done.out}\n{done.err}"
        return done

    def __call__(
        self, line: str, *, status: int = 0, cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Cli:  # fmt: skip
        """Type a line that calls wfledger and nothing else; it is run in this process."""
        name, *args = shlex.split(line)
        assert name == "wfledger"
        done = call(*args, cwd=cwd or self.root, env=env)
        assert done.status == status, f"{line}: status {done.status}\n{done.out}\n{done.err}"
        return done

    def json(self, line: str, *, status: int = 0, **options: Any) -> dict[str, Any]:
        """Type a line that calls wfledger; return the one object that it prints."""
        found = json.loads(self(f"{line} --json", status=status, **options).out)
        assert isinstance(found, dict)
        return found

    def plan(self, *tasks: Mapping[str, Any], name: str = "plan.json", **rest: Any) -> str:
        """Write a plan file beside the repository; return its path, quoted."""
        path = self.root.parent / name
        path.write_text(json.dumps({"goal": "try it", "tasks": list(tasks), **rest}))
        return shlex.quote(str(path))

    def run(self, *tasks: Mapping[str, Any], status: int = 0, **rest: Any) -> str:
        """Write a plan of *tasks*, run it, and return the run's id."""
        run_id = self.json(f"wfledger run --yes {self.plan(*tasks, **rest)}", status=status)["run"]
        assert isinstance(run_id, str)
        return run_id

    @property
    def workspace(self) -> Workspace:
        """The ledger, as another process would open it."""
        return open_workspace(self.root)

    def task(self, task_id: str) -> Task:
        """Return a task's document."""
        return self.workspace.ledger.get(task_id).task

    def status(self, task_id: str) -> str:
        """Return where a task is."""
        return self.workspace.ledger.get(task_id).status.value


def call(*args: str, cwd: Path, env: Mapping[str, str] | None = None) -> Cli:
    """Run the program with *args* in this process, as `run_cli` does in another."""
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(program, list(args), env=env, prog_name="wfledger")
    return Cli(done.exit_code, done.stdout, done.stderr)


def open_terminal(
    folder: Path, files: Mapping[str, str | bytes] | None = None, *,
    policy: Policy | None = None, fleet: str = "", clock: Clock | None = None,
) -> Terminal:  # fmt: skip
    """Make a repository with *files* and a ledger in *folder*, and a prompt in it."""
    root = make_repo(folder / "repo", files or {"README.md": "# sample\n", "src/app.py": "A = 1\n"})
    initialise(root, clock=clock or SystemClock(), policy=policy)
    (root / ".wfledger" / "fleet.toml").write_text(fleet)
    return Terminal(root, folder / "bin")
