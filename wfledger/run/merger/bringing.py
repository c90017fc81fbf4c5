"""`land`: a run's results come to the user's branch, shown first, without touching other work.

The only operation that moves a branch of the user's. A fast-forward where it can be, else a merge
in memory; a conflict, or uncommitted changes in the paths concerned, stop it before anything moves.
"""

from dataclasses import dataclass
from typing import Final, Literal

from wfledger import faults
from wfledger.clock import iso
from wfledger.core.changes import Change
from wfledger.core.documents import Bringing as Intent
from wfledger.core.documents import Landed, Run
from wfledger.core.statuses import Status
from wfledger.errors import (
    NotFoundError,
    PausedError,
    RepositoryError,
    ScopeError,
    StaleError,
    TransitionError,
    UsageError,
)
from wfledger.run.guard import fingerprints, vouching
from wfledger.run.merger.targets import contains
from wfledger.run.refnames import HEADS
from wfledger.run.workspace import Workspace
from wfledger.vcs.checkout import Checkout, checkout_of, fast_forward, in_the_way, reset_keep
from wfledger.vcs.merge import Conflict, merge_trees
from wfledger.vcs.refs import RefUpdate, is_branch_name, swap
from wfledger.vcs.repo import CommitInfo
from wfledger.vcs.trees import diff

faults.register("land.announced", "land.moved")

#: Paths that a message names.
_NAMED: Final = 10


@dataclass(frozen=True)
class Bringing:
    """What `land` would do; shown before it is done."""

    run: Run
    #: Tip of the user's branch now, and what it would become.
    before: str
    after: str
    how: Literal["fast-forward", "merge", "nothing"]
    commits: tuple[CommitInfo, ...]
    #: Paths that would change on the user's branch.
    paths: tuple[str, ...]


def prepare_landing(workspace: Workspace, run_id: str) -> Bringing:
    """Work out how a run comes to its target; makes the merge commit, moves nothing.

    A `land` that was killed half-way is brought to its end first. Raises `ScopeError` on a conflict
    (status 5), `UsageError` where uncommitted changes are in the way, naming them, `PausedError`
    under an alarm (status 8).
    """
    require_trust(workspace)
    run, repo = settle(workspace, run_id), workspace.repo
    tip, before = repo.tip(run.branch), repo.tip(run.target)
    if tip is None or before is None:
        gone = run.branch if tip is None else run.target
        raise RepositoryError(f"{gone.removeprefix(HEADS)} is gone", kind="no_branch")
    if repo.is_ancestor(tip, before):
        return Bringing(run, before, before, "nothing", (), ())
    commits = tuple(repo.walk(tip, since=before))
    if repo.is_ancestor(before, tip):
        after, how = tip, "fast-forward"
    else:
        after, how = _merge(workspace, run, tip, before), "merge"
    changes = diff(repo, repo.tree_of(before), repo.tree_of(after))
    paths = tuple(change.text for change in changes)
    _refuse_uncommitted(workspace, run, changes)
    return Bringing(run, before, after, how, commits, paths)  # type: ignore[arg-type]


def _merge(workspace: Workspace, run: Run, tip: str, before: str) -> str:
    repo = workspace.repo
    base = repo.merge_base(before, tip)
    merged = merge_trees(repo, base=base, ours=before, theirs=tip)
    name = run.target.removeprefix(HEADS)
    if isinstance(merged, Conflict):
        paths = [conflict.path for conflict in merged.paths]
        raise ScopeError(
            f"{name} has moved on and conflicts with the run in {', '.join(paths[:5])}",
            hint=f"git merge {run.branch.removeprefix(HEADS)}, resolve, commit",
            paths=paths,
        )
    who = vouching.identity(workspace)
    if who is None:
        raise RepositoryError(
            "git does not know who you are, and this needs a merge commit",
            hint='git config user.email "you@example.com" && git config user.name "You"',
            kind="no_identity",
        )
    subject = f"Merge {run.name or 'run'} {run.id}: {run.goal}".rstrip(": ")[:100]
    return repo.commit_tree(
        merged.tree, [before, tip], message=f"{subject}\n\nWfledger-Run: {run.id}\n",
        author=who, committer=who, when=workspace.clock.now(),
    )


def require_trust(workspace: Workspace) -> None:
    """Raise `PausedError` while something that changed under attempts waits for a person.

    Here git runs in the user's checkout with the user's own filters, so nothing may be planted.
    """
    alarm = fingerprints.check(workspace)
    if alarm is not None:
        raise PausedError(f"nothing is brought anywhere: {alarm.reason}", hint=alarm.command)


def _checkout(workspace: Workspace, branch: str) -> Checkout | None:
    """Return where the user has *branch* checked out."""
    found = checkout_of(workspace.repo, branch)
    if found is not None and found.path.is_relative_to(workspace.state.resolve()):
        raise RepositoryError(
            f"{branch.removeprefix(HEADS)} is checked out in a worker's worktree, {found.path}",
            hint="switch to it in your checkout", kind="in_worktree",
        )
    return found


def _refuse_uncommitted(workspace: Workspace, run: Run, changes: tuple[Change, ...]) -> None:
    checkout = _checkout(workspace, run.target)
    if checkout is None:
        return
    touched = in_the_way(checkout, changes)
    if touched:
        raise UsageError(
            f"uncommitted changes in {', '.join(touched[:_NAMED])}, which the run changes too",
            hint="commit or stash them first", paths=list(touched),
        )


def bring(workspace: Workspace, bringing: Bringing) -> Run:
    """Do what was shown. Raises `StaleError` when the branch has moved since.

    What is about to happen is recorded first, so that a kill after the branch has moved leaves a
    landing that is found, and can be taken back (WFL-LAND-045).
    """
    repo, run = workspace.repo, bringing.run
    require_trust(workspace)
    if bringing.how != "nothing":
        if repo.tip(run.target) != bringing.before:
            raise StaleError(f"{run.target.removeprefix(HEADS)} has moved", hint="look again")
        _announce(workspace, bringing)
        faults.point("land.announced")
        checkout = _checkout(workspace, run.target)
        if checkout is not None:
            fast_forward(checkout, bringing.after)
        else:
            update = RefUpdate(run.target, bringing.after, bringing.before)
            if not swap(repo, [update], reason=f"wfledger: land {run.id}"):
                raise StaleError(f"{run.target.removeprefix(HEADS)} has moved", hint="look again")
        faults.point("land.moved")
    return _note(workspace, run, before=bringing.before, after=bringing.after)


def _announce(workspace: Workspace, bringing: Bringing) -> None:
    run = bringing.run
    machine = workspace.machine.id if workspace.is_shared else None
    intent = Intent(
        target=run.target, before=bringing.before, after=bringing.after, machine=machine
    )
    with workspace.ledger.transaction("person") as changes:
        present = workspace.ledger.run(run.id)
        announced = present.but(seq=present.seq + 1, bringing=intent)
        changes.put_run(announced, why=f"about to land {bringing.after[:12]}")


def settle(workspace: Workspace, run_id: str) -> Run:
    """Bring a `land` that was killed half-way to its end, or forget it; returns the run.

    It has happened where its target has what it was to become.
    """
    run, repo = workspace.ledger.run(run_id), workspace.repo
    intent = run.bringing
    if intent is None or is_brought_elsewhere(workspace, intent):
        return run
    if contains(repo, intent.after, repo.tip(intent.target)):
        return _note(workspace, run, before=intent.before, after=intent.after)
    with workspace.ledger.transaction("person") as changes:
        present = workspace.ledger.run(run_id)
        if present.bringing == intent:
            present = present.but(seq=present.seq + 1, bringing=None)
            changes.put_run(present, why="what was about to land did not")
    return present


def is_brought_elsewhere(workspace: Workspace, intent: Intent) -> bool:
    """Whether another machine has begun that: its branch of that name is its own (WFL-HUB-083)."""
    return intent.machine is not None and intent.machine != workspace.machine.id


def _note(workspace: Workspace, run: Run, *, before: str, after: str) -> Run:
    """Record that the target of *run* went from *before* to *after*, which may be the same."""
    at, moved = iso(workspace.clock.now()), before != after
    landed = Landed(target=run.target, commit=after, how="merged" if moved else "nothing", at=at)
    if moved:
        landed = landed.but(before=before)
    with workspace.ledger.transaction("person") as changes:
        present = workspace.ledger.run(run.id)
        over = present.plan is not None and not _open_tasks(workspace, run.id)
        state = "landed" if over and present.state == "open" else present.state
        if not moved and present.landed is not None:
            landed = present.landed  # what `--undo` takes back
        updated = present.but(seq=present.seq + 1, state=state, landed=landed, bringing=None)
        changes.put_run(updated, why="landed")
    return updated


def _open_tasks(workspace: Workspace, run_id: str) -> bool:
    final = {Status.DONE, Status.CANCELLED}
    return any(
        workspace.ledger.names(status, run=run_id) for status in Status if status not in final
    )


def undo(workspace: Workspace, run_id: str) -> str:
    """Take the last landing of a run back while nothing followed; returns the commit before it."""
    require_trust(workspace)
    repo, run = workspace.repo, settle(workspace, run_id)
    before = (run.landed.model_extra or {}).get("before") if run.landed else None
    if run.landed is None or run.landed.commit is None or not isinstance(before, str):
        raise NotFoundError(f"{run_id} has not landed", run=run_id)
    tip = repo.tip(run.target)
    if tip not in {run.landed.commit, before}:
        raise TransitionError(
            f"{run.target.removeprefix(HEADS)} has moved on since {run_id} landed",
            hint=f"git revert {run.landed.commit[:12]}", run=run_id,
        )
    back = diff(repo, repo.tree_of(run.landed.commit), repo.tree_of(before))
    _refuse_uncommitted(workspace, run, back)
    checkout = _checkout(workspace, run.target)
    if tip == before:
        pass  # an undo that was killed has done the rest
    elif checkout is not None:
        reset_keep(checkout, before)
    elif not swap(repo, [RefUpdate(run.target, before, run.landed.commit)], reason="undo"):
        raise StaleError("the branch has moved", hint="look again")
    with workspace.ledger.transaction("person") as changes:
        present = workspace.ledger.run(run_id)
        state = "open" if present.state == "landed" else present.state
        undone = present.but(seq=present.seq + 1, state=state, landed=None)
        changes.put_run(undone, why="landing undone")
    return before


def branch_off(workspace: Workspace, run_id: str, name: str) -> str:
    """Make a branch at a run's tip, for a pull request; returns the commit."""
    run = workspace.ledger.run(run_id)
    tip = workspace.repo.tip(run.branch)
    if tip is None:
        raise RepositoryError(f"{run.branch} is gone", kind="no_branch")
    if not is_branch_name(name):
        raise UsageError(f"{name!r} cannot name a branch")
    ref = f"{HEADS}{name}"
    if not swap(workspace.repo, [RefUpdate(ref, tip, None)], reason=f"wfledger: {run_id}"):
        raise UsageError(f"the branch {name} exists already", hint="choose another name")
    return tip
