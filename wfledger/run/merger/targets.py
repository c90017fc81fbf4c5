"""The branch that results land on: its lock, its proof, and what it must not have become.

`refs/wfledger/landed/<task>` is the proof of a landing. It is made in one ref transaction with the
move of the target; git's ref files are renamed one by one, so after a crash only one of the two
may be there, and then the target decides (WFL-LAND-021).
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from wfledger import faults
from wfledger.core.documents import Intent, Task
from wfledger.core.records import canonical_json
from wfledger.errors import BusyError
from wfledger.run.beating import Heart
from wfledger.run.liveness import look_for_stopped
from wfledger.run.refnames import fence_ref, landed_ref
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.registry import listed
from wfledger.vcs.repo import Repository

faults.register(
    "target.taken-over", "landing.fenced", "landing.proof-made", "landing.proof-dropped",
    "landing.noted",
)  # fmt: skip

#: Characters of a lock's name; file systems allow 255 bytes.
_NAME_CHARS: Final = 150
#: A wait for the target's lock is cut into such pieces, so that a stop is heard.
_SLICE_S: Final = 0.25


def safe_name(branch: str) -> str:
    """Return *branch* as a part of a file name; two branches never share one."""
    name = quote(branch, safe="")
    if len(name) <= _NAME_CHARS:
        return name
    return hashlib.sha256(branch.encode()).hexdigest()


@contextmanager
def hold_target(
    workspace: Workspace, branch: str, *, wait_s: float, stop: threading.Event
) -> Iterator[Heart]:
    """Be the only one on this machine who lands on *branch*; raises `BusyError` after *wait_s*.

    Yields what beats meanwhile. From a holder who stands still the branch is taken over: there is
    another lock then, of the next generation (WFL-LAND-023).
    """
    name = safe_name(branch)
    with ExitStack() as held:
        for left in range(int(wait_s / _SLICE_S), -1, -1):
            is_last = left == 0 or stop.is_set()
            if _enter(held, workspace, name, timeout=0.0 if is_last else _SLICE_S):
                break
            if is_last:
                raise BusyError(
                    f"another landing on {branch} is under way", hint="try again", lock="target"
                )
        # Entered last and left first: the note never names one that has stopped beating by itself.
        heart = held.enter_context(Heart(workspace))
        _note_holder(workspace, name, _Holder(_holder(workspace, name).generation, heart.name))
        yield heart


def _enter(held: ExitStack, workspace: Workspace, name: str, *, timeout: float) -> bool:
    """Take the present lock of a branch; False when somebody who beats holds it."""
    while True:
        holder = _holder(workspace, name)
        lock = workspace.ledger.locks.hold("target", holder.lock(name), timeout=timeout)
        try:
            held.enter_context(lock)
        except BusyError:
            if not _take_over(workspace, name, holder):
                return False
            continue
        if _holder(workspace, name).generation == holder.generation:
            return True
        held.close()  # it was taken over while we waited


@dataclass(frozen=True)
class _Holder:
    """Which lock of a branch counts, and which runtime noted that it has it."""

    generation: int = 0
    runtime: str | None = None

    def lock(self, name: str) -> str:
        return f"{name}~{self.generation}" if self.generation else name


def _holder_path(workspace: Workspace, name: str) -> Path:
    return workspace.ledger.layout.local / "index" / f"holder-{name}.json"


def _holder(workspace: Workspace, name: str) -> _Holder:
    try:
        found = json.loads(_holder_path(workspace, name).read_bytes())
        return _Holder(int(found["generation"]), found["runtime"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return _Holder()


def _note_holder(workspace: Workspace, name: str, holder: _Holder) -> None:
    raw = canonical_json({"generation": holder.generation, "runtime": holder.runtime})
    atomic.replace(_holder_path(workspace, name), raw, tmp=workspace.ledger.layout.tmp)


def _take_over(workspace: Workspace, name: str, seen: _Holder) -> bool:
    """Begin the next generation of a branch's lock where its holder stands still."""
    if seen.runtime is None or seen.runtime not in look_for_stopped(workspace):
        return False
    with workspace.ledger.locks.hold("ledger"):
        if _holder(workspace, name) == seen:  # else another was first
            _note_holder(workspace, name, _Holder(seen.generation + 1))
            faults.point("target.taken-over")
    return True


def checked_out_at(repo: Repository, branch: str) -> Path | None:
    """Return a worktree in which *branch* is checked out: moving it would belie its files."""
    if repo.head_branch() == branch:
        return repo.main_workdir
    found = (info.path for info in listed(repo) if info.branch == branch and not info.prunable)
    return next(found, None)


# -- proof ---------------------------------------------------------------------------------------


def contains(repo: Repository, commit: str, tip: str | None) -> bool:
    """Whether *commit* is reachable from *tip*; one that is not there any more is not."""
    return tip is not None and repo.has_commit(commit) and repo.is_ancestor(commit, tip)


def fence(workspace: Workspace, task_id: str, intent: Intent) -> None:
    """See to it that whoever announced *intent* cannot carry it out any more (WFL-LAND-024).

    He expects this ref as it was before he announced it, in the transaction that moves the target.
    So what is found on the target after this is all that there ever will be of it.
    """
    repo, clock, ref = workspace.repo, workspace.clock, fence_ref(task_id)
    message = f"Fence off {intent.candidate}\n\n{clock.short_id(20)}\n"
    mark = repo.commit_tree(
        intent.tree, [], message=message, author=AUTHOR, committer=AUTHOR, when=clock.now()
    )
    _point(repo, RefUpdate(ref, mark, repo.tip(ref)))
    faults.point("landing.fenced")


def resolve_intent(workspace: Workspace, task_id: str, intent: Intent) -> bool:
    """Whether what *intent* announced has happened; the proof says the same afterwards.

    May be repeated after a crash at any point (WFL-LAND-021).
    """
    repo, ref = workspace.repo, landed_ref(task_id)
    proof = repo.tip(ref)
    if contains(repo, intent.candidate, repo.tip(intent.target)):
        if proof != intent.candidate:
            _point(repo, RefUpdate(ref, intent.candidate, proof))
        faults.point("landing.proof-made")
        return True
    if proof == intent.candidate:
        _point(repo, RefUpdate(ref, None, proof))
    faults.point("landing.proof-dropped")
    return False


def _point(repo: Repository, update: RefUpdate) -> None:
    if not swap(repo, [update], reason="wfledger: proof of landing"):
        raise BusyError(f"{update.ref} was moved by somebody else")


def proven_commit(workspace: Workspace, task: Task, *, branch: str, attempt: int) -> str | None:
    """Return the commit that *task* has landed as, where only the ledger has lost that.

    A ledger that was rebuilt may have lost intent and move; the proof is then still there. Another
    commit of that name proves nothing.
    """
    repo = workspace.repo
    commit, tip = repo.tip(landed_ref(task.id)), repo.tip(branch)
    if commit is None or not contains(repo, commit, tip):
        return None
    trailers = repo.log(commit, limit=1)[0].trailers
    wanted = {"Wfledger-Task": task.id, "Wfledger-Attempt": str(attempt)}
    return commit if wanted.items() <= trailers.items() else None


def as_landed(repo: Repository, task: Task) -> tuple[str, str] | None:
    """Return the change that a task has made to its target: from the commit before it, to its own.

    For where the work itself is not, as on a machine that did not do it; None: it is not there.
    """
    landed = task.landed
    if landed is None or landed.how != "merged" or landed.commit is None:
        return None
    before = repo.resolve(f"{landed.commit}^") if repo.has_commit(landed.commit) else None
    return None if before is None else (before, landed.commit)


# -- rewinds -------------------------------------------------------------------------------------


def _note_path(workspace: Workspace, branch: str) -> Path:
    return workspace.ledger.layout.local / "index" / f"target-{safe_name(branch)}.json"


def note_landed(workspace: Workspace, branch: str, commit: str) -> None:
    """Remember the last commit that landed on *branch* from this machine."""
    raw = canonical_json({"branch": branch, "commit": commit})
    atomic.replace(_note_path(workspace, branch), raw, tmp=workspace.ledger.layout.tmp)
    faults.point("landing.noted")


def last_landed(workspace: Workspace, branch: str) -> str | None:
    """Return the last commit known to have landed on *branch*."""
    try:
        commit = json.loads(_note_path(workspace, branch).read_bytes())["commit"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return str(commit)


def lost_commit(workspace: Workspace, branch: str) -> str | None:
    """Return the commit that *branch* has lost since something landed there (WFL-LAND-022)."""
    last = last_landed(workspace, branch)
    if last is None or contains(workspace.repo, last, workspace.repo.tip(branch)):
        return None
    return last
