"""Plans and single tasks become runs and tasks of the ledger."""

from pathlib import Path

import pytest

from tests.support.repos import commit, git
from tests.support.workspaces import make_workspace, open_workspace
from wfledger.core.documents import Gate, Task, TaskSpec
from wfledger.core.records import canonical, parse
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError, NotFoundError, UsageError
from wfledger.plans.checking import check_text
from wfledger.run.submit import Submission, add, submit, target_branch, unlanded_neighbours
from wfledger.run.workspace import Workspace

PLAN = """
goal: g
tasks:
  - {id: a, command: "true", write: [src]}
  - {id: b, command: "true", after: [a]}
"""


def submission(text: str = PLAN, *, target: str | None = None) -> Submission:
    compiled = check_text(text, "plan.yaml").plan
    assert compiled is not None
    return Submission(compiled, text, "plan.yaml", target=target)


@pytest.mark.requirement("WFL-TASK-021")
def test_run_lands_on_a_branch_of_its_own_at_the_tip_of_its_target(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    run = submit(workspace, submission())
    tip = git(workspace.main, "rev-parse", "main")
    assert (run.branch, run.base) == (f"refs/heads/wf/{run.id}", tip)
    assert git(workspace.main, "rev-parse", run.branch) == tip
    assert run.target == "refs/heads/main"


def test_second_submission_of_a_plan_is_a_run_of_its_own(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    first, second = submit(workspace, submission()), submit(workspace, submission())
    assert first.id != second.id
    assert not set(first.tasks) & set(second.tasks)


def test_dependencies_are_named_within_the_run(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    run = submit(workspace, submission())
    task = workspace.ledger.get(f"{run.id}.b").task
    assert task.spec.after == task.spec.inputs == (f"{run.id}.a",)


def test_prompt_without_a_role_is_refused_before_anything_changes(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    refs = git(workspace.main, "for-each-ref")
    with pytest.raises(InvalidDocumentError):
        submit(workspace, submission("goal: g\ntasks: [{id: a, prompt: do it}]\n"))
    assert git(workspace.main, "for-each-ref") == refs
    assert workspace.ledger.names(Status.WAITING) == []


@pytest.mark.requirement("WFL-PLAN-044")
def test_verifier_without_a_worker_is_refused_and_the_gate_goes_into_the_run(
    tmp_path: Path,
) -> None:
    workspace = make_workspace(tmp_path)
    task = "{id: a, command: 'true', verify: {kind: task, prompt: look"
    for role in ("", ", role: nobody"):
        with pytest.raises(InvalidDocumentError, match="verified by"):
            submit(workspace, submission(f"goal: g\ntasks: [{task}{role}}}}}]\n"))
    assert workspace.ledger.names(Status.WAITING) == []
    run = submit(workspace, submission("goal: g\ngate: make\ntasks: [{id: a, command: 'true'}]\n"))
    assert workspace.ledger.run(run.id).gate == Gate(command="make")


def test_detached_head_needs_a_target(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    git(workspace.main, "checkout", "-q", "--detach")
    with pytest.raises(UsageError):
        target_branch(workspace, None)
    assert submit(workspace, submission(target="main")).target == "refs/heads/main"


@pytest.mark.requirement("WFL-TASK-022")
def test_branch_is_that_of_the_worktree_that_the_user_stands_in(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    other = tmp_path / "other tree"
    git(workspace.main, "worktree", "add", "--quiet", "-b", "feature/x", str(other))
    assert target_branch(open_workspace(other), None) == "refs/heads/feature/x"
    assert target_branch(workspace, None) == "refs/heads/main"
    git(other, "checkout", "--quiet", "--detach")
    with pytest.raises(UsageError, match="detached"):
        target_branch(open_workspace(other), None)


def test_worktrees_of_wfledger_count_as_the_main_checkout(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    attempt = workspace.state / "attempt"
    git(workspace.main, "worktree", "add", "--quiet", "-b", "wf-try/r1.a/1", str(attempt))
    for place in (attempt, workspace.ledger.layout.root):
        assert target_branch(open_workspace(place), None) == "refs/heads/main"


def test_added_task_belongs_to_the_standing_run_of_the_branch(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    git(workspace.main, "checkout", "-q", "-b", "topic/one")
    task = add(workspace, TaskSpec(command="true"), node="a", target=None)
    run = workspace.ledger.run(task.run)
    assert run.target == "refs/heads/topic/one"
    again = add(workspace, TaskSpec(command="true", after=("a",)), node="b", target=None)
    assert again.spec.after == (task.id,)


def test_standing_run_follows_its_target_while_nothing_is_unlanded(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    task = add(workspace, TaskSpec(command="true"), node="a", target=None)
    commit(workspace.main, {"new": "x"})
    add(workspace, TaskSpec(command="true"), node="b", target=None)
    branch = workspace.ledger.run(task.run).branch
    assert git(workspace.main, "rev-parse", branch) == git(workspace.main, "rev-parse", "main")


@pytest.mark.parametrize("node", ["../x", "A", "a b", "x.lock", "con", "a..b", ""])
def test_hostile_name_is_refused(tmp_path: Path, node: str) -> None:
    workspace = make_workspace(tmp_path)
    if not node:
        assert add(workspace, TaskSpec(command="true"), node=node, target=None).id
        return
    with pytest.raises(UsageError):
        add(workspace, TaskSpec(command="true"), node=node, target=None)
    assert workspace.ledger.names(Status.WAITING) == []


def test_unknown_dependency_is_refused(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    with pytest.raises(NotFoundError):
        add(workspace, TaskSpec(command="true", after=("nobody",)), node="a", target=None)


def test_earlier_run_whose_changes_meet_a_scope_is_named(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    first = _run_with_change(workspace, "src/a.py")
    found = unlanded_neighbours(workspace, [TaskSpec(command="true", write=("src",))])
    assert [(one.run.id, one.paths) for one in found] == [(first, ("src/a.py",))]
    assert unlanded_neighbours(workspace, [TaskSpec(command="true", write=("docs",))]) == []


def _run_with_change(workspace: Workspace, path: str) -> str:
    run = submit(workspace, submission())
    branch = run.branch.removeprefix("refs/heads/")
    git(workspace.main, "checkout", "-q", branch)
    commit(workspace.main, {path: "x"})
    git(workspace.main, "checkout", "-q", "main")
    return run.id


@pytest.mark.requirement("WFL-TASK-012")
@pytest.mark.parametrize(
    ("fields", "valid"),
    [
        ({"command": "true"}, True),
        ({"prompt": "do"}, True),
        ({"manual": True}, True),
        ({"prompt": "do", "manual": True}, True),
        ({}, False),
        ({"command": "true", "prompt": "do"}, False),
        ({"command": "true", "manual": True}, False),
    ],
)
def test_it_is_known_who_does_a_task(fields: dict[str, object], *, valid: bool) -> None:
    spec = TaskSpec.model_construct(**fields)
    task = Task.model_construct(
        id="r.a", run="r", seq=1, attempt=0, created="x", spec=spec, spec_sha256="x"
    )
    raw = canonical(task)
    if valid:
        assert parse(Task, raw).spec.writes is False
        return
    with pytest.raises(InvalidDocumentError):
        parse(Task, raw)
