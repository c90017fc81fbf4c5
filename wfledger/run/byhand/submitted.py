"""The spec that a task was submitted with, where its file says something else by now.

Workers can reach the ledger's files. A task whose spec does not have the digest that was frozen is
never run or landed as it is (WFL-TASK-011); a person's decision about it puts back the spec that
has, from the ledger's history or from the plan of its run.
"""

from typing import Final

from wfledger.core.documents import Run, Task, TaskSpec
from wfledger.core.records import canonical_json, parse
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError, NotFoundError
from wfledger.run.commit import commit_journal
from wfledger.run.submit import as_submitted
from wfledger.run.workspace import Workspace

#: Member of the facts of a block that holds the spec as it was submitted.
SUBMITTED: Final = "submitted"
#: Commits that name the task and are looked into, newest first.
_COMMITS = 500


def submitted_spec(workspace: Workspace, task: Task) -> TaskSpec:
    """Return the spec whose digest is frozen in *task*; raises `NotFoundError` where it is lost."""
    if task.spec.digest() == task.spec_sha256:
        return task.spec
    beside = _beside(task)
    if beside is not None:
        return beside
    commit_journal(workspace)
    for commit in workspace.history.log(task=task.id, limit=_COMMITS):
        for path in _paths(task):
            found = _spec_in(workspace.history.read(path, commit.oid))
            if found is not None and found.digest() == task.spec_sha256:
                return found
    planned = _planned(workspace, task)
    if planned is not None:
        return planned
    raise NotFoundError(
        f"the spec of {task.id} was changed past the verbs, and what was submitted is not in the "
        "history", hint=f"wfledger cancel {task.id}", task=task.id,
    )  # fmt: skip


def _beside(task: Task) -> TaskSpec | None:
    """Return the spec that its block keeps, if it has the frozen digest."""
    kept = task.block.facts.get(SUBMITTED) if task.block is not None else None
    if not isinstance(kept, dict):
        return None
    try:
        spec = parse(TaskSpec, canonical_json(kept))
    except InvalidDocumentError:
        return None
    return spec if spec.digest() == task.spec_sha256 else None


def _planned(workspace: Workspace, task: Task) -> TaskSpec | None:
    """Return the spec as the plan of its run gives it, if that has the frozen digest.

    How strictly the plan was checked is not kept; controllers remember it in what they hold.
    """
    run = workspace.ledger.run(task.run)
    found = (
        None if run.plan is None else _compiled(workspace, run, task, lenient=lenient)
        for lenient in (True, False)
    )
    return next(
        (spec for spec in found if spec is not None and spec.digest() == task.spec_sha256), None
    )


def _compiled(workspace: Workspace, run: Run, task: Task, *, lenient: bool) -> TaskSpec | None:
    from wfledger.run.plantexts import check_plan

    text, source = (run.plan or "").encode(), run.plan_source or "plan"
    plan = check_plan(text, source, lenient=lenient, clock=workspace.clock).plan
    tasks = plan.tasks if plan else ()
    ids = {one.node: f"{run.id}.{one.node}" for one in tasks}
    spec = next((one.spec for one in tasks if ids[one.node] == task.id), None)
    if spec is None:
        return None
    return as_submitted(spec, ids, task.spec.role, workspace.fleet())


def _paths(task: Task) -> list[str]:
    return [
        f"{status.value}/{task.run}/{task.id}.json" if status.is_cold
        else f"{status.value}/{task.id}.json"
        for status in Status
    ]  # fmt: skip


def _spec_in(raw: bytes | None) -> TaskSpec | None:
    if raw is None:
        return None
    try:
        return parse(Task, raw).spec
    except InvalidDocumentError:
        return None
