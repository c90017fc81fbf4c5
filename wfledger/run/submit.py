"""A compiled plan becomes a run and its tasks in the ledger.

The tasks are written first and the run's document last: a run exists exactly when its document
does, and tasks without one are never promoted (WFL-TASK-020).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from wfledger.clock import iso
from wfledger.core import bounds
from wfledger.core.documents import Run, Task, TaskSpec
from wfledger.core.ids import check_id
from wfledger.core.scopes import covered, parse_all
from wfledger.errors import InvalidDocumentError, NotFoundError, RepositoryError, UsageError
from wfledger.plans.compiling import Plan, renamed
from wfledger.run.attempts.nesting import nest
from wfledger.run.config.roles import Fleet
from wfledger.run.hub.branches import wish_to_follow
from wfledger.run.looks.naming import resolve
from wfledger.run.money.estimates import unpriced_models
from wfledger.run.refnames import HEADS
from wfledger.run.staffing import default_role, missing_roles, require_staffed, role_for_prompt
from wfledger.run.workspace import Workspace
from wfledger.store.transaction import Transaction
from wfledger.vcs.refs import RefUpdate, swap


@dataclass(frozen=True)
class Submission:
    """A plan and the circumstances of its submission."""

    plan: Plan
    text: str
    source: str
    name: str = ""
    #: Branch that the results are for; None: the one that is checked out.
    target: str | None = None
    #: Role of prompt tasks that name none.
    role: str | None = None
    #: Commit that the run's branch starts from; None: the tip of its target.
    base: str | None = None
    #: Runs whose results are taken (spec 93).
    reuses: tuple[str, ...] = ()


def role_for(workspace: Workspace, wanted: str | None) -> str | None:
    """Return the role that runs a prompt: *wanted*, or the default one, or None for people.

    Raises `InvalidDocumentError` for a role that fleet.toml lacks.
    """
    fleet = workspace.fleet()
    if wanted is None:
        return default_role(fleet, TaskSpec(prompt="").agent_type)
    if wanted not in {known.name for known in fleet.roles}:
        raise InvalidDocumentError(
            f"fleet.toml lacks the role {wanted}",
            hint=f"declare it in .wfledger/fleet.toml: [role.{wanted}] argv = [...]", role=wanted,
        )
    return wanted


def target_branch(workspace: Workspace, name: str | None) -> str:
    """Return the full name of the branch that results are for."""
    repo = workspace.repo
    branch = f"{HEADS}{name.removeprefix(HEADS)}" if name else workspace.current_branch()
    if branch is None:
        raise UsageError("HEAD is detached; say which branch the results are for: --target BRANCH")
    if repo.tip(branch) is None:
        raise RepositoryError(f"there is no branch {branch.removeprefix(HEADS)}", kind="no_branch")
    return branch


def check_submission(workspace: Workspace, submission: Submission) -> str:
    """Return the branch that a plan's results are for.

    Raises `InvalidDocumentError` where the plan cannot be run with this fleet; changes nothing.
    """
    plan, fleet = submission.plan, workspace.fleet()
    problems = missing_roles(plan, fleet, submission.role)
    if problems:
        raise InvalidDocumentError(
            "; ".join(problems),
            hint="declare what is missing in .wfledger/fleet.toml, such as [role.NAME]",
            problems=problems,
        )
    unpriced = unpriced_models(plan, fleet, submission.role)
    if unpriced:
        raise InvalidDocumentError(
            "; ".join(unpriced),
            hint="say its price in fleet.toml, or limit tokens or steps as well: "
            "budget: {usd: 10, tokens: 5000000}",
            problems=unpriced,
        )
    return target_branch(workspace, submission.target)


def submit(workspace: Workspace, submission: Submission) -> Run:
    """Put a plan into the ledger as a new run; starts nothing.

    Raises as `check_submission` does, and as `nest` where a worker submits it; nothing is changed
    then.
    """
    plan, fleet = submission.plan, workspace.fleet()
    target = check_submission(workspace, submission)
    base = submission.base or workspace.repo.tip(target)
    if base is None:
        raise RepositoryError(f"{target} has no commit", kind="no_branch")
    run_id = workspace.clock.short_id(8)
    now = iso(workspace.clock.now())
    ids = {task.node: f"{run_id}.{task.node}" for task in plan.tasks}
    specs = [as_submitted(item.spec, ids, submission.role, fleet) for item in plan.tasks]
    nested = nest(workspace, specs, plan.budget)
    tasks = [new_task(ids[item.node], spec, now) for item, spec in zip(plan.tasks, nested.specs,
                                                                       strict=True)]  # fmt: skip
    run = Run(
        id=run_id, seq=1, name=submission.name or plan.name, goal=plan.goal, created=now,
        plan=submission.text, plan_source=submission.source, branch=f"{HEADS}wf/{run_id}",
        target=target, base=base, max_concurrent=plan.max_concurrent, gate=plan.gate,
        budget=nested.budget, time_s=plan.time_s, parent=nested.parent, depth=nested.depth,
        tasks=tuple(ids.values()), aside=tuple(one.id for one in tasks if is_aside(one.spec)),
        reuses=submission.reuses, home=home_of_new(workspace),
    )
    _create_branch(workspace, run.branch, base)
    with workspace.ledger.transaction("author") as changes:
        for task in tasks:
            changes.add(task)
        changes.put_run(run, why="submitted")
    return run


def home_of_new(workspace: Workspace) -> str | None:
    """Return which machine decides what no worker does of a new run (WFL-HUB-014)."""
    return workspace.machine.id if workspace.is_shared else None


def _create_branch(workspace: Workspace, branch: str, base: str) -> None:
    if not swap(workspace.repo, [RefUpdate(branch, base, None)], reason="wfledger: new run"):
        raise UsageError(f"the branch {branch} exists already")


def as_submitted(
    spec: TaskSpec, ids: dict[str, str], role: str | None, fleet: Fleet
) -> TaskSpec:
    """Return a compiled spec as it goes into the ledger: full ids, and the role that runs it."""
    return with_role(renamed(spec, ids), role, fleet)


def with_role(spec: TaskSpec, role: str | None, fleet: Fleet) -> TaskSpec:
    """Return a spec with the role that runs its prompt: its own, *role*, or the default one.

    A controller keeps *role* for the prompts that it will start.
    """
    if spec.control is not None and role is not None:
        return spec.but(role=role)
    if spec.prompt is None or spec.command is not None or spec.manual or spec.role:
        return spec
    return spec.but(role=role_for_prompt(spec, fleet, role).role)


def new_task(task_id: str, spec: TaskSpec, created: str) -> Task:
    """Return the document of a new task; its spec is frozen by its digest."""
    try:
        check_id(task_id)
    except ValueError as error:
        raise UsageError(f"{task_id!r} cannot name a task: {error}") from None
    parse_all(spec.write)
    return Task(
        id=task_id, run=task_id.partition(".")[0], seq=1, attempt=0, created=created, spec=spec,
        spec_sha256=spec.digest(),
    )


def is_aside(spec: TaskSpec) -> bool:
    """Whether a task is no work of its plan: a controller, or the question of one."""
    return spec.control is not None or spec.probe


def standing_run(
    workspace: Workspace, target: str | None, *, run_id: str | None = None, name: str | None = None
) -> Run:
    """Return the run of tasks that belong to no plan, as it is or would be.

    There is one for each target branch, and others by their *run_id*. While nothing unlanded is on
    its branch, it follows the target.
    """
    branch = target_branch(workspace, target)
    tip = workspace.repo.tip(branch)
    if tip is None:
        raise RepositoryError(f"{branch} has no commit", kind="no_branch")
    run_id = run_id or _standing_id(branch.removeprefix(HEADS))
    try:
        run = workspace.ledger.run(run_id)
    except NotFoundError:
        return Run(
            id=run_id, seq=1, name=name or branch.removeprefix(HEADS),
            branch=f"{HEADS}wf/{run_id}",
            created=iso(workspace.clock.now()), target=branch, base=tip,
            home=home_of_new(workspace),
        )
    follow_target(workspace, run)
    return run


def follow_target(workspace: Workspace, run: Run) -> None:
    """Bring a standing run's branch to its target, while nothing unlanded is on it.

    Where machines share the ledger that is asked of the remote, as every move of it.
    """
    repo = workspace.repo
    mine, tip = repo.tip(run.branch), repo.tip(run.target)
    if run.plan is None and mine and tip and mine != tip and repo.is_ancestor(mine, tip):
        if workspace.is_shared and wish_to_follow(workspace, run, tip):
            return
        swap(repo, [RefUpdate(run.branch, tip, mine)], reason="wfledger: follow the target")


def _standing_id(branch: str) -> str:
    slug = re.sub(r"[^a-z0-9_-]+", "-", branch.lower()).strip("-_")[:20] or "run"
    if slug == branch:
        return slug
    return f"{slug}-{hashlib.sha256(branch.encode()).hexdigest()[:4]}"


def add(workspace: Workspace, spec: TaskSpec, *, node: str | None, target: str | None) -> Task:
    """Add one task to the standing run of a branch; returns it as it waits.

    Names in `after` may leave the run's part out. Raises as `nest` where a worker adds it.
    """
    run = standing_run(workspace, target)
    node = node or workspace.clock.short_id(5)
    spec = spec.but(
        after=tuple(qualified(workspace, run.id, name) for name in spec.after),
        inputs=tuple(qualified(workspace, run.id, name) for name in spec.inputs),
    )
    check_edges(workspace, spec)
    require_staffed(spec, workspace.fleet())
    nested = nest(workspace, [spec])
    spec = nested.specs[0].but(parent=nested.parent)
    task = new_task(f"{run.id}.{node}", spec, iso(workspace.clock.now()))
    with workspace.ledger.transaction("author") as changes:
        ensure_run(workspace, changes, run)
        changes.add(task)
    return task


def ensure_run(workspace: Workspace, changes: Transaction, run: Run) -> None:
    """Make a standing run and its branch where there is none yet."""
    try:
        workspace.ledger.run(run.id)
    except NotFoundError:
        if workspace.repo.tip(run.branch) is None:
            _create_branch(workspace, run.branch, run.base)
        changes.put_run(run, why="the standing run of its branch")


def qualified(workspace: Workspace, run_id: str, name: str) -> str:
    """Return the full id of a task: of the standing run first, then as people mean it elsewhere."""
    mine = f"{run_id}.{name}"
    try:
        workspace.ledger.get(mine)
    except (NotFoundError, ValueError):
        return resolve(workspace, name)
    return mine


def check_edges(workspace: Workspace, spec: TaskSpec) -> None:
    """Raise `UsageError` or `NotFoundError` for dependencies that cannot be."""
    if len(spec.after) > bounds.TASK_EDGES:
        raise UsageError(f"{len(spec.after)} dependencies; at most {bounds.TASK_EDGES}")
    for name in spec.after:
        workspace.ledger.get(name)


@dataclass(frozen=True)
class Neighbour:
    """An earlier run that has not landed and whose results meet a plan's scopes."""

    run: Run
    paths: tuple[str, ...]


def unlanded_neighbours(workspace: Workspace, specs: Sequence[TaskSpec]) -> list[Neighbour]:
    """Return the runs whose unlanded changes lie in the scopes of *specs*."""
    from wfledger.vcs.trees import diff

    patterns = tuple(p for spec in specs for p in parse_all(spec.write))
    found = []
    for run in workspace.ledger.runs():
        tip, target = workspace.repo.tip(run.branch), workspace.repo.tip(run.target)
        if not tip or not target or workspace.repo.is_ancestor(tip, target):
            continue
        repo = workspace.repo
        changes = diff(repo, repo.tree_of(run.base), repo.tree_of(tip))
        paths = tuple(c.text for c in changes if covered(patterns, c.text))
        if paths:
            found.append(Neighbour(run, paths))
    return found


