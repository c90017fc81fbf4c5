"""The work of an attempt becomes a commit under a ref, whatever the attempt came to.

`refs/wfledger/keep/<task>/<attempt>` exists before the worktree is removed; nothing is deleted that
is not reachable from a ref (WFL-RESULT-010).
"""

import os
from dataclasses import dataclass
from typing import Final

from wfledger import faults
from wfledger.core.changes import to_changed
from wfledger.core.documents import Changed, Result, Task
from wfledger.core.scopes import parse_all
from wfledger.core.text import clean_line
from wfledger.errors import EnvironmentFailedError, ScopeError
from wfledger.run.refnames import keep_ref
from wfledger.run.workspace import Workspace
from wfledger.run.worktrees import Place
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.trees import (
    ForbiddenPath,
    Outset,
    Snapshot,
    SnapshotRefused,
    diff,
    snapshot,
)
from wfledger.vcs.worktree import UNFINISHED, find

faults.register("keep.snapshot", "keep.ref")

SNAPSHOT_TIMEOUT_S: Final = 600.0
_GITLINK: Final = 0o160000
_GONE: Final = frozenset({"worktree_missing", "worktree_replaced"})


class UnkeepableError(ScopeError):
    """The worktree holds what no tree can hold; it stays where it is."""

    code = "unkeepable"


class WorkGoneError(EnvironmentFailedError):
    """The worktree is not there any more; what was committed in it may be."""

    code = "work_gone"


@dataclass(frozen=True)
class Kept:
    """What an attempt left: the commit it began from and the one that holds all it did."""

    base: str
    head: str


def kept_head(workspace: Workspace, task_id: str, attempt: int) -> str | None:
    """Return the commit that keeps an attempt's work, or None."""
    return workspace.repo.tip(keep_ref(task_id, attempt))


def keep(
    workspace: Workspace, place: Place, *, task_id: str, attempt: int, merged: str | None = None
) -> Kept:
    """Record everything in *place* as a commit under the attempt's keep ref.

    Doing it again moves the ref to what is there now. *merged* is a commit that a person has merged
    there without committing it yet; what is recorded reaches it. Raises `EnvironmentFailedError`
    when the worktree cannot be read whole and `UnkeepableError` when it holds what no tree may
    hold; then the worktree itself must stay. `WorkGoneError`: there is no worktree any more.
    """
    repo = workspace.repo
    info = find(repo, place.folder)
    if info is not None and info.locked in UNFINISHED:
        # Its files are not all there: whoever made or removed it died at that.
        raise WorkGoneError(f"{place.path} is half a worktree", path=place.path)
    try:
        taken = snapshot(
            repo, place.folder, index_dir=workspace.ledger.layout.tmp, exclude=place.excluded,
            timeout=SNAPSHOT_TIMEOUT_S, outset=Outset(place.base, place.ignore),
        )
    except SnapshotRefused as error:
        if error.facts.get("kind") in _GONE:
            raise WorkGoneError(error.message, path=place.path) from error
        raise
    if isinstance(taken, ForbiddenPath):
        raise UnkeepableError(
            f"{clean_line(taken.path)}: {taken.reason}", path=taken.path, place=place.path
        )
    _refuse_lossy(workspace, place, taken)
    faults.point("keep.snapshot")
    parents = _parents(workspace, place, taken, merged)
    head = _known(workspace, taken, parents, kept_head(workspace, task_id, attempt))
    head = head or _commit(workspace, taken, parents, f"{task_id} attempt {attempt}")
    _point(workspace, keep_ref(task_id, attempt), head)
    faults.point("keep.ref")
    return Kept(place.base, head)


def _refuse_lossy(workspace: Workspace, place: Place, taken: Snapshot) -> None:
    """Refuse a tree that names a repository whose files and commits are in the worktree alone."""
    repo = workspace.repo
    for change in diff(repo, repo.tree_of(place.base), taken.tree):
        if change.new is None or change.new.mode != _GITLINK:
            continue
        if (place.folder / os.fsdecode(change.path) / ".git").is_dir():
            raise UnkeepableError(
                f"{change.text}: a repository of its own, which a commit cannot hold",
                path=change.text, place=place.path,
            )


def keep_what_is_left(
    workspace: Workspace, place: Place, *, task_id: str, attempt: int
) -> Kept:
    """Keep the worktree, or the commits of one that is gone; raises as `keep` does."""
    try:
        return keep(workspace, place, task_id=task_id, attempt=attempt)
    except WorkGoneError:
        return keep_commits(workspace, place, task_id=task_id, attempt=attempt)


def keep_commits(workspace: Workspace, place: Place, *, task_id: str, attempt: int) -> Kept:
    """Keep what was committed in a worktree that is gone; what was kept before stays."""
    repo, known = workspace.repo, kept_head(workspace, task_id, attempt)
    if known is not None:
        return Kept(place.base, known)
    info = find(repo, place.folder)
    head = info.head if info else None
    if head is None and place.branch is not None:
        head = repo.tip(place.branch)
    if head is None or head == place.base or not repo.is_ancestor(place.base, head):
        return Kept(place.base, place.base)
    _point(workspace, keep_ref(task_id, attempt), head)
    return Kept(place.base, head)


def _parents(
    workspace: Workspace, place: Place, taken: Snapshot, merged: str | None
) -> list[str]:
    """Return the commits that what is recorded has to reach: all that the worker committed."""
    repo, head = workspace.repo, taken.head or place.base
    parents = [head] if repo.is_ancestor(place.base, head) else [place.base, head]
    if merged is not None and not repo.is_ancestor(merged, head):
        parents.append(merged)
    return parents


def _known(
    workspace: Workspace, taken: Snapshot, parents: list[str], kept: str | None
) -> str | None:
    """Return a commit that says all this already: the only parent, or what was kept before.

    A result that is on its way names the commit that was kept; keeping the same again must not
    make another one.
    """
    repo = workspace.repo
    if len(parents) == 1 and taken.tree == repo.tree_of(parents[0]):
        return parents[0]
    if kept is None or taken.tree != repo.tree_of(kept):
        return None
    return kept if all(repo.is_ancestor(parent, kept) for parent in parents) else None


def _commit(workspace: Workspace, taken: Snapshot, parents: list[str], subject: str) -> str:
    repo = workspace.repo
    return repo.commit_tree(
        taken.tree, parents, message=f"{subject}\n", author=repo.identity() or AUTHOR,
        committer=AUTHOR, when=workspace.clock.now(),
    )


def changed_paths(workspace: Workspace, kept: Kept, task: Task) -> tuple[Changed, ...]:
    """Return what an attempt changed, computed from git (WFL-RESULT-012)."""
    repo = workspace.repo
    changes = diff(repo, repo.tree_of(kept.base), repo.tree_of(kept.head))
    return to_changed(changes, parse_all(task.spec.write))


def with_kept(workspace: Workspace, task: Task, result: Result, kept: Kept) -> Result:
    """Return *result* with what git says of the attempt: base, head, and what changed."""
    paths = changed_paths(workspace, kept, task)
    return result.but(base=kept.base, head=kept.head, changed=paths)


def _point(workspace: Workspace, ref: str, head: str) -> None:
    repo = workspace.repo
    while (old := repo.tip(ref)) != head:
        if swap(repo, [RefUpdate(ref, head, old)], reason="wfledger: keep"):
            return
