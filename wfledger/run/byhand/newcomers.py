"""Tasks that a person put into waiting/ as files: a whole document, or a bare one (spec 20.7).

A bare one is written as a task of the short form of a plan is, without an `id`: the file's name
says that. It belongs to the run that its name or folder names, else to the standing run of the
current branch, as with `add`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wfledger.clock import iso
from wfledger.core.documents import Run, Task, TaskSpec
from wfledger.core.records import load_json, parse
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError, NotFoundError, UsageError
from wfledger.run import submit
from wfledger.run.workspace import Workspace
from wfledger.store.layout import SUFFIX


@dataclass(frozen=True)
class Newcomer:
    """A new task, and its run as it is or would be."""

    run: Run
    task: Task


def understand(workspace: Workspace, path: Path, raw: bytes) -> Newcomer:
    """Return what the file at *path* asks for; raises `WfledgerError` where that cannot be."""
    data = load_json(raw)
    if not isinstance(data, dict):
        raise InvalidDocumentError("a task is a JSON object")
    stem = path.name.removesuffix(SUFFIX)
    run, node = _place(workspace, path, stem)
    task_id = f"{run.id}.{node}"
    is_whole = "spec" in data
    spec = _whole(raw, {stem, task_id}) if is_whole else _bare(workspace, data, stem)
    spec = spec.but(
        after=tuple(submit.qualified(workspace, run.id, name) for name in spec.after),
        inputs=tuple(submit.qualified(workspace, run.id, name) for name in spec.inputs),
    )
    submit.check_edges(workspace, spec)
    if task_id in spec.after:
        raise UsageError(f"{task_id} cannot come after itself")
    _refuse_used(workspace, task_id)
    return Newcomer(run, submit.new_task(task_id, spec, iso(workspace.clock.now())))


def _place(workspace: Workspace, path: Path, stem: str) -> tuple[Run, str]:
    """Return the run, and the name of the task in it."""
    folder = path.parent.name if path.parent != workspace.ledger.layout.folder(
        Status.WAITING
    ) else None  # fmt: skip
    prefix, dot, rest = stem.partition(".")
    named = prefix if dot and _is_run(workspace, prefix) else None
    if folder is not None and named is not None and folder != named:
        raise UsageError(f"{stem} is a task of {named}, and lies in the folder of {folder}")
    name = folder or named
    if name is None:
        return submit.standing_run(workspace, None), stem
    if not _is_run(workspace, name):
        raise NotFoundError(f"there is no run {name}", run=name)
    run = workspace.ledger.run(name)
    if run.state == "landed":
        raise UsageError(f"the run {name} has landed; put the file into waiting/ itself")
    return run, rest if prefix == name and dot else stem


def _is_run(workspace: Workspace, name: str) -> bool:
    try:
        workspace.ledger.run(name)
    except NotFoundError:
        return False
    return True


def _whole(raw: bytes, names: set[str]) -> TaskSpec:
    """Return the spec of a whole document; all else in it is for programs to say."""
    task = parse(Task, raw)
    if task.id not in names:
        raise InvalidDocumentError(f"it holds the task {task.id}")
    return task.spec


def _bare(workspace: Workspace, data: dict[str, Any], stem: str) -> TaskSpec:
    """Return the spec that a bare task stands for, by the rules of the short form."""
    from wfledger.plans.checking import check_text

    if data.get("id", stem) != stem:
        raise InvalidDocumentError(f"its id is {data['id']!r}; the file's name says {stem!r}")
    edges = {name: _names(data, name) for name in ("after", "inputs")}
    rest = {name: value for name, value in data.items() if name not in edges}
    plan = {"goal": stem, "tasks": [{**rest, "id": "task"}]}
    checked = check_text(json.dumps(plan).encode(), f"{stem}.json")
    if checked.plan is None:
        errors = [
            f"{error.pointer.removeprefix('/tasks/0')}: {error.message}" for error in checked.errors
        ]
        raise InvalidDocumentError("; ".join(errors))
    spec = checked.plan.tasks[0].spec
    role = spec.role
    if spec.prompt is not None and spec.command is None and not spec.manual:
        role = submit.role_for(workspace, role)
    after = edges["after"] or ()
    inputs = after if edges["inputs"] is None else edges["inputs"]
    return spec.but(
        after=after, inputs=inputs, role=role, title=spec.title or stem,
        manual=spec.manual or (spec.command is None and role is None),
    )


def _names(data: dict[str, Any], member: str) -> tuple[str, ...] | None:
    value = data.get(member)
    if value is None:
        return None
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise InvalidDocumentError(f"/{member}: must be a list of names of tasks")
    return tuple(dict.fromkeys(listed))


def _refuse_used(workspace: Workspace, task_id: str) -> None:
    """Refuse an id that a task has or had (WFL-TASK-009)."""
    layout = workspace.ledger.layout
    taken = any(layout.task(status, task_id).exists() for status in Status if status.is_final)
    if taken or (layout.root / layout.result(task_id, 1)).parent.exists():
        raise UsageError(f"the id {task_id} was used before; an id is never used again")
