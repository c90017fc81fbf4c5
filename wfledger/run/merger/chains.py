"""Landings that wait for the remote: each on the one before, none of them on the branch yet.

On a ledger that machines share, a branch here is what the remote has confirmed. Results are landed
on a tip of their own ahead of it, `refs/wfledger/hub/next/<name>`, and the next push takes the
whole chain there (spec 97, section 6). Whatever breaks the chain leads to the same: what is behind
the break is no longer on `next`, and is landed again.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from wfledger import faults
from wfledger.core.documents import Hold, Intent, Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.records import canonical_json
from wfledger.errors import BusyError, GitError
from wfledger.run.hub.state import folder, read_state
from wfledger.run.merger.targets import contains, safe_name
from wfledger.run.refnames import HEADS, HUB, fence_ref
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.vcs.refs import RefUpdate, refs_under, swap

faults.register("chain.moved", "chain.broken")

NEXT: Final = f"{HUB}/next"
#: What the hold of a task says whose landing waits for the remote.
WAITS: Final = "remote"
#: Commits that are looked through for a landing that only its trailers prove.
_LOOKED_THROUGH: Final = 10_000
_PAUSE_S: Final = 30.0


def next_ref(branch: str) -> str:
    """Return the ref of the tip that the branch is to have next."""
    return f"{NEXT}/{safe_name(branch)}"


def tip_of(workspace: Workspace, branch: str) -> str | None:
    """Return the commit that the next result is landed on: the branch, or what is ahead of it."""
    tip = workspace.repo.tip(branch)
    return (_ahead(workspace, branch, tip) or tip) if workspace.is_shared else tip


def _ahead(workspace: Workspace, branch: str, tip: str | None) -> str | None:
    """Return `next` where it follows from the branch; another machine may have landed meanwhile."""
    ahead = workspace.repo.tip(next_ref(branch))
    if ahead is None or tip is None or not contains(workspace.repo, tip, ahead):
        return None
    return ahead


def is_waiting(workspace: Workspace, intent: Intent) -> bool:
    """Whether what *intent* announced is done here, and the remote has to confirm it."""
    repo, tip = workspace.repo, workspace.repo.tip(intent.target)
    if contains(repo, intent.candidate, tip):
        return True
    return contains(repo, intent.candidate, _ahead(workspace, intent.target, tip))


def is_due_here(workspace: Workspace, task: Task) -> bool:
    """Whether a task in merging/ is for this machine to land, as far as other machines matter."""
    if not workspace.is_shared:
        return True
    if is_elsewhere(task, workspace.machine.id):
        return False
    return task.intent is None or not is_waiting(workspace, task.intent)


def waiting_hold(workspace: Workspace) -> Hold:
    """Return what a task says whose landing is on its way to the remote."""
    hub = workspace.hub
    return Hold(code=WAITS, reason=f"waits for {hub.name if hub else 'the remote'}")


def move(workspace: Workspace, task_id: str, intent: Intent, *, fenced: str | None) -> bool:
    """Take `next` from the tip of *intent* to its candidate; False where either has moved.

    *fenced* is what the task's fence was before the intent was written (WFL-LAND-024).
    """
    ref, fence = next_ref(intent.target), fence_ref(task_id)
    repo, old = workspace.repo, workspace.repo.tip(ref)
    if tip_of(workspace, intent.target) != intent.tip:
        return False
    updates = [RefUpdate(ref, intent.candidate, old), RefUpdate(fence, fenced, fenced)]
    moved = swap(repo, updates, reason=f"wfledger: {task_id} is to land")
    faults.point("chain.moved")
    return moved


def links(workspace: Workspace, branch: str, tasks: Iterable[Task]) -> list[Task]:
    """Return those of *tasks* whose intents lead from the branch on without a gap, in order."""
    tip = workspace.repo.tip(branch)
    ahead = _ahead(workspace, branch, tip)
    by_tip = {task.intent.tip: task for task in tasks if task.intent is not None}
    found: list[Task] = []
    while ahead is not None and tip in by_tip:
        task = by_tip.pop(tip)
        candidate = task.intent.candidate if task.intent else ""
        if not contains(workspace.repo, candidate, ahead):
            break  # announced, and never done
        found.append(task)
        tip = candidate
    return found


def stay_whole(workspace: Workspace, branch: str, chain: Sequence[Task]) -> None:
    """Take off `next` what *chain*, its unbroken part, does not lead to; that lands again.

    A task in the middle is gone when another machine has cancelled it or taken it over, and when
    we died in taking it off. Nothing on top of it could ever be asked for.
    """
    ref = next_ref(branch)
    ahead, intent = workspace.repo.tip(ref), chain[-1].intent if chain else None
    last = intent.candidate if intent is not None else None
    if ahead not in {None, last}:
        swap(workspace.repo, [RefUpdate(ref, last, ahead)], reason="wfledger: nothing leads there")


def branches_ahead(workspace: Workspace) -> set[str]:
    """Return the branches that have a `next`; one of a very long name is left out."""
    found = {unquote(ref.removeprefix(f"{NEXT}/")) for ref in refs_under(workspace.repo, NEXT)}
    return {name for name in found if name.startswith(HEADS)}


def break_before(workspace: Workspace, intent: Intent) -> None:
    """Take *intent*, and all that was landed on top of it, off `next`.

    The caller holds the target, and no push is under way.
    """
    ref = next_ref(intent.target)
    repo, old = workspace.repo, workspace.repo.tip(ref)
    if old is None or not contains(repo, intent.candidate, old):
        return
    is_first = contains(repo, intent.tip, repo.tip(intent.target))
    if not swap(repo, [RefUpdate(ref, None if is_first else intent.tip, old)], reason="cancelled"):
        raise BusyError(f"{ref} was moved by somebody else", hint="try again")
    faults.point("chain.broken")


def drop(workspace: Workspace, branch: str) -> None:
    """Forget all that is ahead of the branch; what had landed there is landed again."""
    ref = next_ref(branch)
    while (old := workspace.repo.tip(ref)) is not None:
        if swap(workspace.repo, [RefUpdate(ref, None, old)], reason="wfledger: overtaken"):
            return


def quiet(workspace: Workspace, *, wait_s: float = _PAUSE_S) -> AbstractContextManager[None]:
    """Keep the next push from beginning; raises `BusyError` while one is under way."""
    return workspace.ledger.locks.hold("meeting", timeout=wait_s)


def is_in_flight(workspace: Workspace, intent: Intent) -> bool:
    """Whether a push has begun that lands it, and nobody knows yet how that ended."""
    state = read_state(workspace.ledger.layout.local)
    flights = [*state.earlier, *([state.inflight] if state.inflight else [])]
    ends = [one.targets[intent.target][1] for one in flights if intent.target in one.targets]
    alone = pushed_alone(workspace, intent.target)
    ends += [alone[1]] if alone is not None else []
    return any(contains(workspace.repo, intent.candidate, end) for end in ends)


def _alone_path(workspace: Workspace, branch: str) -> Path:
    return folder(workspace.ledger.layout.local) / "alone" / safe_name(branch)


def note_alone(workspace: Workspace, branch: str, old: str | None, new: str) -> None:
    """Remember, before it begins, that the branch is about to be pushed without the ledger."""
    path = _alone_path(workspace, branch)
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = canonical_json([old, new])
    atomic.replace(path, raw, tmp=workspace.ledger.layout.tmp, durable=True)


def pushed_alone(workspace: Workspace, branch: str) -> tuple[str | None, str] | None:
    """Return from where to where the branch was pushed without the ledger; None: it was not."""
    try:
        old, new = json.loads(_alone_path(workspace, branch).read_bytes())
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return old, str(new)


def forget_alone(workspace: Workspace, branch: str) -> None:
    """Forget such a push, which has ended."""
    _alone_path(workspace, branch).unlink(missing_ok=True)


def found_on(
    workspace: Workspace, task: Task, *, base: str | None, head: str | None
) -> str | None:
    """Return the commit of the branch that says it is the landing of *head*, None for none.

    A machine that was silent may have pushed it when its task had been taken over.
    """
    run = workspace.ledger.run(task.run)
    repo, tip = workspace.repo, workspace.repo.tip(run.branch)
    if tip is None or base is None or head in {None, base} or not contains(repo, base, tip):
        return None
    wanted = {"Wfledger-Task": task.id, "Wfledger-Head": head or ""}
    try:
        for number, info in enumerate(repo.walk(tip, since=base)):
            if number >= _LOOKED_THROUGH:
                return None
            if wanted.items() <= info.trailers.items():
                return info.oid
    except GitError:
        return None  # a shallow clone: there is nothing more to be seen
    return None
