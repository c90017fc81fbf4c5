"""The program under measurement: its command line, and repositories to run it in."""

import importlib.util
import json
import sys
from pathlib import Path

from tests.bench.measuring import call
from tests.support import repos

PROGRAM = (sys.executable, "-m", "wfledger")
IMPORTS = (sys.executable, "-c", "import click, pydantic")


def is_there() -> bool:
    """Whether this checkout has a command line."""
    return importlib.util.find_spec("wfledger.cli.main") is not None


def wfledger(repo: Path, *args: str) -> str:
    """Run the program in *repo*; return its standard output."""
    return call([*PROGRAM, *args], repo)


def repository(path: Path, *, files: int = 1) -> Path:
    """Create a repository with *files* files of 1 KB in folders of a hundred."""
    line = "a line of text that is neither long nor short\n" * 22
    return repos.make_repo(
        path, {f"src/d{number // 100:03}/f{number:05}.txt": line for number in range(files)}
    )


def plan(path: Path, tasks: int, *, chained: bool = False) -> Path:
    """Write a plan of *tasks* commands that do nothing, disjoint or one after the other."""
    found: list[dict[str, object]] = []
    for number in range(tasks):
        task: dict[str, object] = {
            "id": f"t{number:05}", "command": "true", "write": [f"out/f{number:05}"],
            "allow_no_change": True,
        }  # fmt: skip
        if chained and number:
            task["after"] = [f"t{number - 1:05}"]
        found.append(task)
    path.write_text(json.dumps({"goal": "measure", "tasks": found}))
    return path


def tree(path: Path, nodes: int) -> Path:
    """Write a plan of *nodes* nodes: branches of nine commands each that do nothing."""
    branches = [
        {"kind": "branch_set", "spec": {"id": f"b{branch}", "parallel": True, "children": [
            {"kind": "leaf", "spec": {
                "id": f"n{branch}-{number}", "command": "true", "mode": "read_write",
                "file_scope": [f"out/{branch}/{number}"],
            }} for number in range(9)
        ]}} for branch in range(nodes // 10)
    ]  # fmt: skip
    path.write_text(json.dumps({"goal": "measure", "nodes": branches}))
    return path


def filled_ledger(folder: Path, tasks: int) -> Path:
    """Create a repository whose ledger holds *tasks* tasks that may start."""
    repo = repository(folder / "repo")
    wfledger(repo, "init")
    wfledger(repo, "run", "--yes", str(plan(folder / "plan.json", tasks)), "--detach")
    return repo
