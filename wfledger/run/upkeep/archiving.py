"""Refs of tasks that were over long ago, folded into one that reaches all they did (spec 70).

A fleet makes some refs for each task and a branch for each run. When their time is over, a commit
with all of them as parents goes on `refs/wfledger/archive`, and they go in the same transaction: no
commit becomes unreachable at any moment, and `diff` and `open` find the work as before.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from wfledger import faults
from wfledger.clock import parse_iso
from wfledger.core.documents import Run
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.refnames import ARCHIVE, FENCE, HEADS, KEEP, LANDED
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.vcs.checkout import checkout_of
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.refs import RefUpdate, refs_under, swap

faults.register("archive.committed")

#: Refs that one commit folds; git takes any number of parents, people's tools some hundred.
_PARENTS: Final = 200

Ref = tuple[str, str]


def archive_refs(workspace: Workspace, *, older_s: float) -> int:
    """Fold the refs of what was over *older_s* seconds ago; returns how many went.

    A kill leaves them as they were, or gone with the archive reaching them.
    """
    before = workspace.clock.now() - timedelta(seconds=older_s)
    found = [*_of_tasks(workspace, before), *_of_runs(workspace, before)]
    ripe = [(ref, oid) for ref, oid in found if workspace.repo.has_commit(oid)]
    chunks = [ripe[at : at + _PARENTS] for at in range(0, len(ripe), _PARENTS)]
    return sum(_fold(workspace, chunk) for chunk in chunks)


def _of_tasks(workspace: Workspace, before: datetime) -> Iterator[Ref]:
    known: dict[str, bool] = {}
    for prefix in (KEEP, LANDED, FENCE):
        for ref, oid in refs_under(workspace.repo, prefix).items():
            task_id = ref.removeprefix(f"{prefix}/").partition("/")[0]
            if task_id not in known:
                known[task_id] = is_ripe(workspace, task_id, before)
            if known[task_id]:
                yield ref, oid


def is_ripe(workspace: Workspace, task_id: str, before: datetime) -> bool:
    """Whether a task was over *before* that moment, and nobody may choose its result any more."""
    try:
        entry = workspace.ledger.find(task_id)
    except (WfledgerError, OSError):
        return False
    if entry is None or not entry.status.is_final or _may_be_chosen(workspace, entry):
        return False
    ended = _ended(entry)
    return ended is not None and parse_iso(ended) < before


def _may_be_chosen(workspace: Workspace, entry: Entry) -> bool:
    """Whether it is a candidate of a run that goes on: its ref is what proves it (WFL-CTRL-066)."""
    if entry.task.spec.candidate_of is None:
        return False
    try:
        return workspace.ledger.run(entry.task.run).state in {"open", "paused"}
    except WfledgerError:
        return False


def _ended(entry: Entry) -> str | None:
    task = entry.task
    if entry.status is Status.DONE:
        return task.landed.at if task.landed else None
    return task.attempts[-1].ended if task.attempts else task.created


def _of_runs(workspace: Workspace, before: datetime) -> Iterator[Ref]:
    """Yield the branches of runs that have landed; a standing run goes on for ever."""
    repo = workspace.repo
    for run in workspace.ledger.runs():
        if not has_landed_before(run, before):
            continue
        tip = repo.tip(run.branch)
        if tip is not None and checkout_of(repo, run.branch) is None:
            yield run.branch, tip


def has_landed_before(run: Run, before: datetime) -> bool:
    """Whether a run landed and was over *before* that moment; a standing run never is."""
    if run.state != "landed" or run.landed is None or run.plan is None:
        return False
    try:
        return parse_iso(run.landed.at) < before
    except ValueError:  # nobody knows when: it stays
        return False


def _fold(workspace: Workspace, refs: Sequence[Ref]) -> int:
    repo = workspace.repo
    archive = repo.tip(ARCHIVE)
    heads = list(dict.fromkeys(oid for _, oid in refs))
    parents = ([archive] if archive else []) + heads
    lines = "".join(f"{oid} {_short(ref)}\n" for ref, oid in refs)
    commit = repo.commit_tree(
        repo.tree_of(parents[0]), parents, message=f"Archive {len(refs)} refs\n\n{lines}",
        author=AUTHOR, when=workspace.clock.now(),
    )  # fmt: skip
    faults.point("archive.committed")
    updates = [RefUpdate(ARCHIVE, commit, archive)]
    updates += [RefUpdate(ref, None, oid) for ref, oid in refs]
    return len(refs) if swap(repo, updates, reason="wfledger: archive") else 0


def _short(ref: str) -> str:
    return ref.removeprefix("refs/wfledger/").removeprefix(HEADS)


def archived_head(workspace: Workspace, task_id: str, attempt: int) -> str | None:
    """Return the commit that an attempt left, if its ref was folded into the archive."""
    repo = workspace.repo
    archive = repo.tip(ARCHIVE)
    if archive is None:
        return None
    result = None
    with suppress(WfledgerError, OSError):  # a finding of `doctor`
        result = workspace.ledger.result(task_id, attempt)
    if result is None or result.head is None or not repo.has_commit(result.head):
        return None
    return result.head if repo.is_ancestor(result.head, archive) else None
