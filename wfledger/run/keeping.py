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
from wfledger.run.refnames import keep_ref
from wfledger.run.workspace import Workspace
from wfledger.run.worktrees import Place
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.repo import Identity
from wfledger.vcs.trees import diff, snapshot

faults.register("keep.snapshot", "keep.ref")

#: Committer of what wfledger itself records.
SELF: Final = Identity("wfledger", "wfledger@localhost")
SNAPSHOT_TIMEOUT_S: Final = 600.0


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

    Doing it again moves the ref to what is there now. Raises `EnvironmentFailedError` (of
    `vcs.trees`) when the worktree cannot be read whole; then the worktree itself must stay.
    """
    repo = workspace.repo
    taken = snapshot(
        repo, place.folder, index_dir=workspace.ledger.layout.tmp, exclude=place.excluded,
        timeout=SNAPSHOT_TIMEOUT_S,
    )
    faults.point("keep.snapshot")
    if taken.head == place.base and taken.tree == repo.tree_of(place.base):
        head = place.base
    elif taken.head != place.base and taken.tree == repo.tree_of(taken.head) and (
        repo.is_ancestor(place.base, taken.head)
    ):
        head = taken.head
    else:
        head = _commit(workspace, place, taken.tree, taken.head, f"{task_id} attempt {attempt}")
    _point(workspace, keep_ref(task_id, attempt), head)
    faults.point("keep.ref")
    return Kept(place.base, head)


def changed_paths(workspace: Workspace, kept: Kept, task: Task) -> tuple[Changed, ...]:
    """Return what an attempt changed, computed from git (WFL-RESULT-012)."""
    repo = workspace.repo
    changes = diff(repo, repo.tree_of(kept.base), repo.tree_of(kept.head))
    return to_changed(changes, parse_all(task.spec.write))


def _commit(workspace: Workspace, place: Place, tree: str, head: str, subject: str) -> str:
    repo = workspace.repo
    parents = [head] if repo.is_ancestor(place.base, head) else [place.base, head]
    identity = repo.identity() or SELF
    return repo.commit_tree(
        tree, parents, message=f"{subject}\n", author=identity, committer=SELF,
        when=workspace.clock.now(),
    )


def _point(workspace: Workspace, ref: str, head: str) -> None:
    repo = workspace.repo
    while (old := repo.tip(ref)) != head:
        if swap(repo, [RefUpdate(ref, head, old)], reason="wfledger: keep"):
            return
