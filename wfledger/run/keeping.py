"""The work of an attempt becomes a commit under a ref, whatever the attempt came to.

`refs/wfledger/keep/<task>/<attempt>` exists before the worktree is removed; nothing is deleted that
is not reachable from a ref (WFL-RESULT-010).
"""

from dataclasses import dataclass
from typing import Final

from wfledger import faults
from wfledger.core.changes import to_changed
from wfledger.core.documents import Changed, Task
from wfledger.core.scopes import parse_all
from wfledger.core.text import clean_line
from wfledger.errors import ScopeError
from wfledger.run.refnames import keep_ref
from wfledger.run.workspace import Workspace
from wfledger.run.worktrees import Place
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.trees import ForbiddenPath, Outset, Snapshot, diff, snapshot

faults.register("keep.snapshot", "keep.ref")

SNAPSHOT_TIMEOUT_S: Final = 600.0


class UnkeepableError(ScopeError):
    """The worktree holds a path that git refuses in any tree; it stays where it is."""

    code = "unkeepable"


@dataclass(frozen=True)
class Kept:
    """What an attempt left: the commit it began from and the one that holds all it did."""

    base: str
    head: str


def kept_head(workspace: Workspace, task_id: str, attempt: int) -> str | None:
    """Return the commit that keeps an attempt's work, or None."""
    return workspace.repo.tip(keep_ref(task_id, attempt))


def keep(workspace: Workspace, place: Place, *, task_id: str, attempt: int) -> Kept:
    """Record everything in *place* as a commit under the attempt's keep ref.

    Doing it again moves the ref to what is there now. Raises `EnvironmentFailedError` when the
    worktree cannot be read whole and `UnkeepableError` when it holds what no tree may hold; then
    the worktree itself must stay.
    """
    repo = workspace.repo
    taken = snapshot(
        repo, place.folder, index_dir=workspace.ledger.layout.tmp, exclude=place.excluded,
        timeout=SNAPSHOT_TIMEOUT_S, outset=Outset(place.base, place.ignore),
    )
    if isinstance(taken, ForbiddenPath):
        raise UnkeepableError(
            f"{clean_line(taken.path)}: {taken.reason}", path=taken.path, place=place.path
        )
    faults.point("keep.snapshot")
    head = _commit_of(workspace, place, taken, f"{task_id} attempt {attempt}")
    _point(workspace, keep_ref(task_id, attempt), head)
    faults.point("keep.ref")
    return Kept(place.base, head)


def _commit_of(workspace: Workspace, place: Place, taken: Snapshot, subject: str) -> str:
    """Return a commit with the snapshot's tree that reaches all that the worker committed."""
    repo, head = workspace.repo, taken.head or place.base
    descends = repo.is_ancestor(place.base, head)
    if descends and taken.tree == repo.tree_of(head):
        return head
    parents = [head] if descends else [place.base, head]
    return repo.commit_tree(
        taken.tree, parents, message=f"{subject}\n", author=repo.identity() or AUTHOR,
        committer=AUTHOR, when=workspace.clock.now(),
    )


def changed_paths(workspace: Workspace, kept: Kept, task: Task) -> tuple[Changed, ...]:
    """Return what an attempt changed, computed from git (WFL-RESULT-012)."""
    repo = workspace.repo
    changes = diff(repo, repo.tree_of(kept.base), repo.tree_of(kept.head))
    return to_changed(changes, parse_all(task.spec.write))


def _point(workspace: Workspace, ref: str, head: str) -> None:
    repo = workspace.repo
    while (old := repo.tip(ref)) != head:
        if swap(repo, [RefUpdate(ref, head, old)], reason="wfledger: keep"):
            return
