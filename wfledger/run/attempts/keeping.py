"""The work of an attempt becomes a commit under a ref, whatever the attempt came to.

`refs/wfledger/keep/<task>/<attempt>` exists before the worktree is removed; nothing is deleted that
is not reachable from a ref (WFL-RESULT-010).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wfledger import faults
from wfledger.core.changes import to_changed
from wfledger.core.documents import Changed, Result, Task
from wfledger.core.scopes import parse_all
from wfledger.core.text import clean_line
from wfledger.errors import BusyError, EnvironmentFailedError, ScopeError
from wfledger.run.attempts.worktrees import Place
from wfledger.run.guard import vouching
from wfledger.run.hub.keeping import bring, offer
from wfledger.run.refnames import KEEP, keep_ref, late_ref
from wfledger.run.upkeep.archiving import archived_head
from wfledger.run.workspace import Workspace
from wfledger.vcs import clone
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.refs import RefUpdate, refs_under, swap
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
#: Snapshots taken until one is kept; another keeps the same attempt at the same moment otherwise.
_ROUNDS: Final = 5
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
    #: The ref of what was found when another had ended and kept the attempt; None where it is the
    #: attempt's own, or nothing was left that is not kept.
    late: str | None = None


def _is_ours() -> bool:
    """Say that the attempt is not over: whoever keeps it has seen to that."""
    return False


def kept_head(workspace: Workspace, task_id: str, attempt: int) -> str | None:
    """Return the commit that keeps an attempt's work, by its ref or in the archive, or None."""
    head = workspace.repo.tip(keep_ref(task_id, attempt))
    return head or archived_head(workspace, task_id, attempt)


def fetched_head(workspace: Workspace, task_id: str, attempt: int) -> str | None:
    """Return `kept_head`; what another machine has kept is fetched for somebody who asks for it."""
    head = kept_head(workspace, task_id, attempt)
    if head is None and workspace.is_shared and bring(workspace, task_id, attempt):
        head = kept_head(workspace, task_id, attempt)
    return head


def keep(
    workspace: Workspace, place: Place, *, task_id: str, attempt: int, merged: str | None = None,
    is_over: Callable[[], bool] = _is_ours,
) -> Kept:  # fmt: skip
    """Record everything in *place* as a commit under the attempt's keep ref.

    Doing it again moves the ref to what is there now. *merged* is a commit that a person has merged
    there without committing it yet; what is recorded reaches it. Where another has ended the
    attempt (*is_over*), its ref stays and what is new goes under a name of its own: a zombie
    overwrites nothing and loses nothing (WFL-CLAIM-024). Raises `EnvironmentFailedError`
    when the worktree cannot be read whole and `UnkeepableError` when it holds what no tree may
    hold; then the worktree itself must stay. `WorkGoneError`: there is no worktree any more.
    """
    ref = keep_ref(task_id, attempt)
    subject = f"{task_id} attempt {attempt}"
    for _ in range(_ROUNDS):
        # Read before it is asked who we are: a finder that takes over later moves the ref, and then
        # the swap is lost.
        old, known = workspace.repo.tip(ref), kept_head(workspace, task_id, attempt)
        late = is_over()
        taken = _taken(workspace, place)
        faults.point("keep.snapshot")
        parents = _parents(workspace, place, taken, merged)
        before = (known, *_late_before(workspace, task_id, attempt)) if late else (known,)
        same = (_known(workspace, taken, parents, kept) for kept in before)
        head = next(filter(None, same), None) or _commit(workspace, taken, parents, subject)
        if late:
            found, name = Kept(place.base, head), late_ref(task_id, attempt, head)
            return _put_late(workspace, found, known, name)
        if _point(workspace, ref, head, old):
            faults.point("keep.ref")
            return Kept(place.base, head)
    raise BusyError(f"{ref} is moved by another process", hint="try again")


def _late_before(workspace: Workspace, task_id: str, attempt: int) -> tuple[str, ...]:
    """Return what was kept too late before: a zombie may come again and again."""
    mine = late_ref(task_id, attempt, "")
    found = refs_under(workspace.repo, f"{KEEP}/{task_id}")
    return tuple(head for ref, head in found.items() if ref.startswith(mine))


def _put_late(workspace: Workspace, found: Kept, known: str | None, ref: str) -> Kept:
    """Put what was found too late under *ref*, unless it is kept already or is nothing."""
    repo, head = workspace.repo, found.head
    if head == found.base or (known is not None and repo.is_ancestor(head, known)):
        return Kept(found.base, known or found.base)
    while not _point(workspace, ref, head, repo.tip(ref)):
        pass
    return Kept(found.base, head, late=ref)


def _taken(workspace: Workspace, place: Place) -> Snapshot:
    """Return everything in *place*; raises as `keep` does."""
    repo = workspace.repo
    info = find(repo, place.folder)
    if info is not None and info.locked in UNFINISHED:
        # Its files are not all there: whoever made or removed it died at that.
        raise WorkGoneError(f"{place.path} is half a worktree", path=place.path)
    head = _bring_over(workspace, place) if place.isolation == "clone" else None
    try:
        taken = snapshot(
            repo, place.folder, index_dir=workspace.ledger.layout.tmp, exclude=place.excluded,
            timeout=SNAPSHOT_TIMEOUT_S, outset=Outset(place.base, place.ignore, head),
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
    return taken


def _bring_over(workspace: Workspace, place: Place) -> str | None:
    """Bring what was committed in a clone to the repository; returns where its HEAD leads."""
    head = clone.head_of(place.folder)
    if head is None:
        return None
    try:
        clone.bring(
            workspace.repo, place.folder, head.commit, base=place.base,
            scratch=workspace.ledger.layout.tmp, timeout=SNAPSHOT_TIMEOUT_S,
        )
    except clone.UnsoundError as error:
        raise UnkeepableError(error.message, path=place.path, place=place.path) from error
    return head.commit


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


def keep_late(workspace: Workspace, place: Place, *, task_id: str, attempt: int) -> Kept:
    """Keep what is in *place* beside what was kept when its attempt ended; raises as `keep`."""
    return keep(workspace, place, task_id=task_id, attempt=attempt, is_over=lambda: True)


def keep_what_is_left(
    workspace: Workspace, place: Place, *, task_id: str, attempt: int,
    is_over: Callable[[], bool] = _is_ours,
) -> Kept:  # fmt: skip
    """Keep the worktree, or the commits of one that is gone; raises as `keep` does."""
    try:
        return keep(workspace, place, task_id=task_id, attempt=attempt, is_over=is_over)
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
    if not _point(workspace, keep_ref(task_id, attempt), head, None):
        head = kept_head(workspace, task_id, attempt) or head  # another has just kept it
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
        taken.tree, parents, message=f"{subject}\n",
        author=vouching.identity(workspace) or AUTHOR, committer=AUTHOR,
        when=workspace.clock.now(),
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


def _point(workspace: Workspace, ref: str, head: str, old: str | None) -> bool:
    """Move *ref* from *old* to *head*; False where it was not at *old* any more."""
    update = RefUpdate(ref, head, old)
    if old != head and not swap(workspace.repo, [update], reason="wfledger: keep"):
        return False
    offer(workspace, ref, head)
    return True
