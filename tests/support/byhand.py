"""Somebody with `mv` and an editor in a ledger, and the shell worker of the examples."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.support.engines import statuses
from tests.support.processes import Cli, run
from tests.support.sealed import ROOT
from tests.support.workspaces import add_task
from wfledger.core.statuses import Status
from wfledger.run.byhand.adopting import SETTLE_S, Adopter
from wfledger.run.commit import commit_journal
from wfledger.run.scheduler import Scheduler
from wfledger.run.workspace import Workspace
from wfledger.store.claims import ClaimRecord
from wfledger.store.inspect import inspect

SCRIPT: Final = ROOT / "examples" / "shell-worker.sh"
#: Debian's /bin/sh, where it is; any other one else.
SHELL: Final = "/bin/dash" if Path("/bin/dash").exists() else "/bin/sh"


def mv(workspace: Workspace, task_id: str, source: Status, target: Status) -> Path:
    """Move a task's file as a person does, and return where it is."""
    layout = workspace.ledger.layout
    goal = layout.task(target, task_id)
    goal.parent.mkdir(exist_ok=True)
    layout.task(source, task_id).rename(goal)
    return goal


def edit(workspace: Workspace, task_id: str, status: Status, **members: Any) -> None:
    """Change members of a task's document as an editor does; `spec` is changed member by member."""
    path = workspace.ledger.layout.task(status, task_id)
    data = json.loads(path.read_text())
    data["spec"] |= members.pop("spec", {})
    temporary = path.with_name(path.name + "~")
    temporary.write_text(json.dumps(data | members))
    temporary.replace(path)


def put_file(workspace: Workspace, name: str, content: str | Mapping[str, Any]) -> Path:
    """Write a file into waiting/."""
    path = workspace.ledger.layout.root / "waiting" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def claim_by_files(workspace: Workspace, task_id: str, *, worker: str = "ana") -> int:
    """Take an offer by a rename and a record; return the attempt."""
    path = mv(workspace, task_id, Status.PENDING, Status.IN_PROGRESS)
    attempt: int = json.loads(path.read_text())["attempt"]
    record = ClaimRecord(worker, "machine", os.getpid(), "boot", "0" * 64)
    workspace.ledger.layout.claim(task_id, attempt).write_bytes(record.to_bytes())
    return attempt


def put_result(workspace: Workspace, task_id: str, attempt: int, **envelope: Any) -> Path:
    """Write the result file of an attempt."""
    path = workspace.ledger.layout.root / workspace.ledger.layout.result(task_id, attempt)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"status": "succeeded"} | envelope))
    return path


def settle(workspace: Workspace) -> list[tuple[str, str]]:
    """Take in what was done, also what must stay as it is for a while first."""
    adopter = Adopter(workspace)
    said = adopter.step()
    workspace.clock.wait(SETTLE_S)
    return said + adopter.step()


def reasons(workspace: Workspace) -> dict[str, str]:
    """Return what lies in quarantine/, with its reason."""
    folder = workspace.ledger.layout.root / "quarantine"
    notes = folder.glob("*.reason")
    return {note.name.removesuffix(".reason"): json.loads(note.read_text())["reason"]
            for note in notes}  # fmt: skip


def shell_worker(root: Path, *args: str) -> Cli:
    """Run the shell worker until nothing is on offer."""
    return run(SHELL, SCRIPT, "-C", root, *args, cwd=root)


def start_shell_worker(root: Path, *args: str) -> "subprocess.Popen[bytes]":
    """Start a shell worker and leave it to itself, in a session of its own."""
    return subprocess.Popen(
        [SHELL, str(SCRIPT), "-C", str(root), *args], cwd=root, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def offered(workspace: Workspace, node: str = "a", **spec: Any) -> str:
    """Put a task on offer and let everything up to then be seen."""
    task_id = add_task(workspace, node, **spec).id
    step(workspace)
    assert statuses(workspace)[task_id] == "pending"
    return task_id


def step(workspace: Workspace) -> list[tuple[str, str]]:
    """Take one step; return what was taken in."""
    return list(Scheduler(workspace).step(slots=4).adopted)


def journal(workspace: Workspace, task_id: str) -> list[tuple[str | None, str, str]]:
    """Return the moves of a task that are not committed yet: from, to, why."""
    return [
        (said["from"], said["to"], said["why"])
        for said in workspace.ledger.journal.records() if said.get("task") == task_id
    ]


def whole(workspace: Workspace) -> bool:
    """Whether every file is as it was recorded."""
    commit_journal(workspace)
    found = inspect(workspace.ledger, committed=workspace.history.read)
    return [one for one in found if one.severity != "note"] == []


def blocked(workspace: Workspace, **spec: Any) -> str:
    """Return a task that its claimant, by files, has failed."""
    task_id = offered(workspace, **spec)
    put_result(
        workspace, task_id, claim_by_files(workspace, task_id), status="failed", summary="no"
    )
    mv(workspace, task_id, Status.IN_PROGRESS, Status.MERGING)
    step(workspace)
    assert statuses(workspace)[task_id] == "blocked"
    return task_id
