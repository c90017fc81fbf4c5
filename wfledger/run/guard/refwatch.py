"""wfledger's own branches: whether somebody else has moved them, and putting them back.

The ledger's branch and its pin, and the branches of open runs, are what is believed; every move of
ours leaves its reason where it can be found again: a history commit is made by wfledger on its one
parent, a landed commit is named by its task. So nothing has to be written down before a move, and a
crash, or a move by another process at this moment, raises no alarm.

The branch of an attempt is its worker's. What keeps work and proves landings decides nothing by
itself, and `doctor --fix` makes it again (WFL-REC-010).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from wfledger.core import bounds
from wfledger.core.documents import Run
from wfledger.core.records import parse
from wfledger.errors import GitError, WfledgerError
from wfledger.run.guard.planted import Change
from wfledger.run.merger.targets import last_landed
from wfledger.run.refnames import landed_ref, seen_ref
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.layout import SUFFIX
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.repo import CommitInfo

_STRAYED: Final = "refs/wfledger/strayed"
#: Commits that are looked through for one that is known; more have to be looked at by a person.
_MOST: Final = 20_000


def tips(workspace: Workspace) -> dict[str, str]:
    """Return where the refs are that decisions rest on."""
    history = workspace.history
    refs = (history.branch, history.pin, *_open_branches(workspace))
    found = {ref: workspace.repo.tip(ref) for ref in refs}
    return {ref: oid for ref, oid in found.items() if oid is not None}


def _open_branches(workspace: Workspace) -> list[str]:
    branches: list[str] = []
    try:
        with os.scandir(workspace.ledger.layout.root / "runs") as entries:
            found = [entry for entry in entries if entry.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return branches  # somebody removed the ledger
    for entry in found:
        with suppress(FileNotFoundError):  # it was archived meanwhile
            facts = entry.stat(follow_symlinks=False)
            identity = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
            branches += _open_branch(entry.path, identity)
    return sorted(branches)


@lru_cache(maxsize=4096)
def _open_branch(path: str, identity: tuple[int, int, int]) -> tuple[str, ...]:
    """Return the branch of an open run; a document that changes gets another *identity*."""
    del identity
    try:
        run = parse(Run, atomic.read(Path(path), limit=bounds.RUN_BYTES), limit=bounds.RUN_BYTES)
    except (WfledgerError, OSError, ValueError):
        return ()  # a doctor finding
    return (run.branch,) if run.state in {"open", "paused"} else ()


def strayed(workspace: Workspace, known: dict[str, str], found: dict[str, str]) -> list[Change]:
    """Return the moves from *known* to *found* that wfledger has not made."""
    runs = {run.branch: run for run in workspace.ledger.runs()}
    own = {workspace.history.branch, workspace.history.pin}
    changes = []
    for ref in sorted(known.keys() | found.keys()):
        old, new = known.get(ref), found.get(ref)
        if old == new or (ref not in own and ref not in runs):
            continue
        ours = _is_history(workspace, old, new) if ref in own else _is_run(
            workspace, runs[ref], old, new
        )  # fmt: skip
        if not ours:
            changes.append(Change(ref, "", _newest(workspace, ref, old), new))
    return changes


def _newest(workspace: Workspace, ref: str, old: str | None) -> str | None:
    """Return where *ref* was last by what we know: something may have landed since we looked."""
    last = last_landed(workspace, ref)
    if last is None or old is None or not workspace.repo.has_commit(last):
        return old
    return last if _follows(workspace, old, last) else old


def _is_history(workspace: Workspace, old: str | None, new: str | None) -> bool:
    if new is None:
        return False
    if old is None:
        return True  # it was lost when we looked last, and is back
    for info in _since(workspace, old, new):
        if info.author != AUTHOR:
            return False
    return _follows(workspace, old, new)


def _is_run(workspace: Workspace, run: Run, old: str | None, new: str | None) -> bool:
    if new is None:
        return _is_over(workspace, run)
    # What the remote has is what holds: it was fetched, and nobody here decides about it.
    there = workspace.repo.tip(seen_ref(run.branch))
    known = {one for one in (old, run.base, there) if one is not None}
    target = workspace.repo.tip(run.target) if run.plan is None else None
    if old is not None and not _follows(workspace, old, new):
        return False
    for info in _chain(workspace, new):
        if info.oid in known or (target is not None and _follows(workspace, info.oid, target)):
            return True
        if not _is_landed(workspace, info):
            return False
    return False


def _is_over(workspace: Workspace, run: Run) -> bool:
    try:
        return workspace.ledger.run(run.id).state not in {"open", "paused"}
    except WfledgerError:
        return True


def _is_landed(workspace: Workspace, info: CommitInfo) -> bool:
    """Whether the ledger knows a commit as the landing of its task, or as about to be that."""
    task_id = info.trailers.get("Wfledger-Task", "")
    try:
        entry = workspace.ledger.find(task_id)
        if entry is None:
            return False
        task = entry.task
        if task.intent is not None and task.intent.candidate == info.oid:
            return True
        landed = task.landed
        if landed is not None and landed.how == "merged" and landed.commit == info.oid:
            return True
        return workspace.repo.tip(landed_ref(task_id)) == info.oid
    except WfledgerError:
        return False


def _follows(workspace: Workspace, old: str, new: str) -> bool:
    try:
        return workspace.repo.is_ancestor(old, new)
    except GitError:
        return False


def _since(workspace: Workspace, old: str, new: str) -> Iterator[CommitInfo]:
    try:
        yield from workspace.repo.walk(new, since=old)
    except GitError:
        return


def _chain(workspace: Workspace, tip: str) -> Iterator[CommitInfo]:
    """Yield commits from *tip* back."""
    try:
        for number, info in enumerate(workspace.repo.walk(tip)):
            if number >= _MOST:
                return
            yield info
    except GitError:
        return


# -- putting back --------------------------------------------------------------------------------


def mend(workspace: Workspace, changes: list[Change]) -> None:
    """Put back what was deleted or taken back; nobody's commit is lost by that."""
    for change in changes:
        is_back = change.new is not None and change.old is not None and _follows(
            workspace, change.new, change.old
        )  # fmt: skip
        if change.old is not None and (change.new is None or is_back):
            update = RefUpdate(change.name, change.old, change.new)
            swap(workspace.repo, [update], reason="wfledger: put back")


def restore(workspace: Workspace, change: Change) -> bool:
    """Put a ref back to where it was known to be; what was there stays under a ref.

    False where something of ours stands on what was put there, so that going back would lose it.
    """
    repo, old, new = workspace.repo, change.old, change.new
    if old is None:
        return False
    updates = [RefUpdate(change.name, old, new)]
    if new is not None:
        if any(_is_ours(workspace, info) for info in _since(workspace, old, new)):
            return False
        kept = f"{_STRAYED}/{new}"
        if repo.tip(kept) is None:
            updates.append(RefUpdate(kept, new, None))
    return swap(repo, updates, reason="wfledger: restore")


def _is_ours(workspace: Workspace, info: CommitInfo) -> bool:
    return info.author == AUTHOR or _is_landed(workspace, info)
