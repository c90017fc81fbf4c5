"""What a claimant hands in as files: its envelope, and the commit that holds its work.

Nothing here is believed: the envelope is bounded and parsed as that of any worker, the commit must
exist and descend from the history of the run's branch, and what it changed is computed from git.
"""

from dataclasses import dataclass
from typing import Final

from wfledger.core import bounds
from wfledger.core.documents import Result, Task
from wfledger.core.records import load_json
from wfledger.errors import GitError, WfledgerError
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.closing import as_said, failure
from wfledger.run.attempts.envelope import parse_envelope
from wfledger.run.attempts.keeping import Kept, keep_what_is_left, with_kept
from wfledger.run.hub.keeping import offer
from wfledger.run.refnames import keep_ref, late_ref
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.vcs.refs import RefUpdate, swap

_OID_CHARS: Final = 40


@dataclass(frozen=True)
class Handed:
    """A result file of the present attempt, judged; its work is kept."""

    result: Result
    #: Why the file as it is cannot stand; a copy goes to quarantine/ before it is replaced.
    problem: str | None = None


def read(workspace: Workspace, task: Task) -> Handed | None:
    """Return what lies in the results of the present attempt of *task*; None: nothing.

    Its work is under the keep ref afterwards. The ledger lock is not held.
    """
    ledger = workspace.ledger
    path = ledger.layout.root / ledger.layout.result(task.id, task.attempt)
    try:
        raw = atomic.read(path, limit=bounds.RESULT_BYTES)
        result = as_said(parse_envelope(raw, task_id=task.id, attempt=task.attempt))
        head = _head_in(raw)
    except FileNotFoundError:
        return None
    except (WfledgerError, OSError) as error:
        empty = Result(task=task.id, attempt=task.attempt, status="failed")
        said = f"the result file is invalid: {error}"
        return Handed(_with_work(workspace, task, _failed(empty, said), None), said)
    return Handed(_with_work(workspace, task, result, head))


def _failed(result: Result, said: str) -> Result:
    return result.but(status="failed", failure=failure("task", said))


def _head_in(raw: bytes) -> str | None:
    data = load_json(raw, limit=bounds.RESULT_BYTES)
    head = data.get("head") if isinstance(data, dict) else None
    return head if isinstance(head, str) and head else None


def _with_work(workspace: Workspace, task: Task, result: Result, head: str | None) -> Result:
    """Return *result* with what git says of the commit *head*, or of the recorded worktree."""
    tip = workspace.repo.tip(workspace.ledger.run(task.run).branch)
    if head is None:
        return _with_worktree(workspace, task, result, tip)
    base = _base(workspace, tip, head)
    if base is None:
        said = f"its head {head[:_OID_CHARS]} is no commit that builds on the run's branch"
        return _failed(result, said).but(base=tip, head=tip)
    if head == base:
        return result.but(base=base, head=base)
    ref = keep_ref(task.id, task.attempt)
    old = workspace.repo.tip(ref)
    # An older look may have kept an earlier commit of the same attempt; nothing else is replaced.
    if old is not None and not workspace.repo.is_ancestor(old, head):
        _keep(workspace, head, late_ref(task.id, task.attempt, head))
        return _failed(result, "another commit is kept for this attempt").but(base=base, head=old)
    _keep(workspace, head, ref)
    return with_kept(workspace, task, result, Kept(base, head))


def _with_worktree(
    workspace: Workspace, task: Task, result: Result, tip: str | None
) -> Result:
    name = workspace.ledger.layout.attempt_name(task.id, task.attempt)
    place = worktrees.find(workspace, name)
    if place is None:
        return result.but(base=tip, head=tip)
    kept = keep_what_is_left(workspace, place, task_id=task.id, attempt=task.attempt)
    return with_kept(workspace, task, result, kept)


def _base(workspace: Workspace, tip: str | None, head: str) -> str | None:
    """Return where *head* left the history of the run's branch; None where it never was on it."""
    is_name = len(head) == _OID_CHARS and all(letter in "0123456789abcdef" for letter in head)
    if tip is None or not is_name:
        return None
    try:
        workspace.repo.is_ancestor(head, head)  # raises for what is no commit
        return workspace.repo.merge_base(tip, head)
    except GitError:
        return None


def _keep(workspace: Workspace, head: str, ref: str) -> None:
    repo = workspace.repo
    while (old := repo.tip(ref)) != head:
        if swap(repo, [RefUpdate(ref, head, old)], reason="wfledger: keep"):
            break
    offer(workspace, ref, head)


def keep_late(workspace: Workspace, task: Task, attempt: int) -> None:
    """Keep the commit that an envelope names whose attempt is over, beside what was kept of it."""
    layout = workspace.ledger.layout
    try:
        raw = atomic.read(
            layout.root / layout.result(task.id, attempt), limit=bounds.RESULT_BYTES
        )
        head = _head_in(raw)
    except (WfledgerError, OSError):
        return  # nothing legible: there is no commit to be found by it
    tip = workspace.repo.tip(workspace.ledger.run(task.run).branch)
    if head is None or _base(workspace, tip, head) in {None, head}:
        return
    kept = workspace.repo.tip(keep_ref(task.id, attempt))
    if kept is None:
        _keep(workspace, head, keep_ref(task.id, attempt))
    elif not workspace.repo.is_ancestor(head, kept):
        _keep(workspace, head, late_ref(task.id, attempt, head))
