"""Branches of runs, called the same on the remote and on every machine that shares the ledger.

Here such a branch is what the remote has confirmed, and only ever moves forward. It is brought
along before the directory shows what landed there: whoever claims a dependent the next moment finds
the work that it depends on (WFL-HUB-071).
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from urllib.parse import unquote

from wfledger import faults
from wfledger.core.documents import Run
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.hub.proposals import Proposal, TargetPush
from wfledger.run.hub.replaying import Tip
from wfledger.run.hub.state import folder
from wfledger.run.merger import chains, targets
from wfledger.run.merger.targets import contains, safe_name
from wfledger.run.refnames import HEADS, HUB, RUNS, landed_ref, seen_ref
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.vcs.refs import RefUpdate, refs_under, swap
from wfledger.vcs.repo import CommitInfo

faults.register("hub.branch-moved", "hub.branch-noted")

_OPEN = frozenset({"open", "paused"})


# -- from the remote to here ---------------------------------------------------------------------


def follow(workspace: Workspace, refs: Mapping[str, str], *, tip: str | None = None) -> list[str]:
    """Bring the branches of runs to where *refs* says that they are on the remote.

    *tip* is the ledger that came with them; without it what the directory has counts. Returns what
    a person has to be told. Doing it again changes nothing; killed, it is done again.
    """
    repo = workspace.repo
    mine, known = refs_under(repo, RUNS), refs_under(repo, HUB)
    reader = _Reader(workspace, tip)
    told: list[str] = []
    for branch, there in refs.items():
        if not branch.startswith(RUNS):
            continue
        seen = known.get(seen_ref(branch))
        if seen != there and repo.has_commit(there):  # we have pushed it ourselves
            swap(repo, [RefUpdate(seen_ref(branch), there, seen)], reason="wfledger: pushed")
        if mine.get(branch) != there and repo.has_commit(there):
            told += _bring(reader, branch, mine.get(branch), there)
        if chains.next_ref(branch) in known:
            _clear(workspace, branch)
    return told


@dataclass
class _Reader:
    """What ledger and refs say of landings."""

    workspace: Workspace
    commit: str | None
    _tip: Tip | None = field(default=None)

    @property
    def tip(self) -> Tip | None:
        """The ledger as it came from the remote."""
        if self._tip is None and self.commit is not None:
            self._tip = Tip(self.workspace.repo, self.commit, self.workspace.ledger.layout)
        return self._tip

    def run(self, branch: str) -> Run | None:
        """Return the run whose results land on *branch*."""
        ledger, run_id = self.workspace.ledger, branch.removeprefix(RUNS)
        try:
            found = self.tip.run(ledger.layout.run(run_id)) if self.tip else None
            return found or ledger.run(run_id)
        except (WfledgerError, ValueError):
            return None

    def is_landing(self, info: CommitInfo) -> bool:
        """Whether the ledger knows a commit as the landing of its task, or as about to be that."""
        task_id = info.trailers.get("Wfledger-Task", "")
        near = (Status.DONE, Status.MERGING)
        try:
            if self.tip is not None:
                seen = self.tip.task(task_id, near=near)
                task = seen.task if seen else None
            else:
                entry = self.workspace.ledger.find(task_id)
                task = entry.task if entry else None
        except (WfledgerError, ValueError):
            return False
        if task is None:
            return False
        landed, intent = task.landed, task.intent
        is_done = landed is not None and landed.how == "merged" and landed.commit == info.oid
        return is_done or (intent is not None and intent.candidate == info.oid)


def _bring(reader: _Reader, branch: str, here: str | None, there: str) -> list[str]:
    """Move one branch, with the proofs of what landed on it, in one ref transaction."""
    workspace, run = reader.workspace, reader.run(branch)
    repo = workspace.repo
    if run is None or run.branch != branch or (here is None and run.state not in _OPEN):
        return []
    trouble = _trouble(workspace, run, here, there)
    if trouble is not None:
        return [trouble]
    if here is not None and repo.is_ancestor(there, here):
        return _step_back(workspace, run, here, there)
    landed = _landings(reader, here if here and repo.is_ancestor(here, there) else run.base, there)
    updates = [RefUpdate(branch, there, here), *_proofs(workspace, landed)]
    if not swap(repo, updates, reason="wfledger: as on the remote"):
        return []  # another process is at it
    faults.point("hub.branch-moved")
    if landed:
        targets.note_landed(workspace, branch, landed[0].oid)
    faults.point("hub.branch-noted")
    return []


def _step_back(workspace: Workspace, run: Run, here: str, there: str) -> list[str]:
    """Take a branch back that was made from a target that is further on than another machine's.

    What it has besides is the user's own, and is asked for; what has landed is never taken back.
    """
    repo = workspace.repo
    if contains(repo, here, repo.tip(run.target)):
        update = RefUpdate(run.branch, there, here)
        if run.plan is None:
            wish_to_follow(workspace, run, here)
        swap(repo, [update], reason="wfledger: as on the remote")
    return []


def _trouble(workspace: Workspace, run: Run, here: str | None, there: str) -> str | None:
    """Return why the branch stays where it is though the remote has another one."""
    repo, branch = workspace.repo, run.branch
    name, last = branch.removeprefix(HEADS), lost_there(workspace, branch, there)
    if last is not None:
        hub = workspace.hub
        return (
            f"{name} has lost {last[:12]} on the remote, which had landed there; nothing lands on "
            f"it until it is back: git push {quote(hub.name if hub else 'origin')} {last}:{branch}"
        )
    if here is None or repo.is_ancestor(there, here):
        return None
    if not _may_go(workspace, run, here, there):
        return f"{name} is at {here[:12]} here and at {there[:12]} on the remote, side by side"
    place = targets.checked_out_at(repo, branch)
    return f"{name} is checked out in {place} and cannot follow the remote" if place else None


def lost_there(workspace: Workspace, branch: str, there: str) -> str | None:
    """Return the commit that landed on a branch and that the remote's lacks (WFL-LAND-022)."""
    last = targets.last_landed(workspace, branch)
    return last if last is not None and not contains(workspace.repo, last, there) else None


def _may_go(workspace: Workspace, run: Run, here: str, there: str) -> bool:
    """Whether nothing is lost from the branch when it goes from *here* to *there*.

    What it has besides is at most what the user's own branch has: it was made, or followed that,
    while another machine was first.
    """
    repo = workspace.repo
    return repo.is_ancestor(here, there) or contains(repo, here, repo.tip(run.target))


def _landings(reader: _Reader, since: str, there: str) -> list[CommitInfo]:
    """Return the landings that came, newest first."""
    repo = reader.workspace.repo
    start = since if contains(repo, since, there) else None
    if start is None:
        return []
    return [info for info in repo.walk(there, since=start) if reader.is_landing(info)]


def _proofs(workspace: Workspace, landed: list[CommitInfo]) -> Iterator[RefUpdate]:
    """Yield the moves that make a proof of each landing (WFL-HUB-072)."""
    made: set[str] = set()
    for info in landed:
        ref = landed_ref(info.trailers["Wfledger-Task"])
        old = workspace.repo.tip(ref)
        if ref not in made and old != info.oid:
            yield RefUpdate(ref, info.oid, old)
        made.add(ref)


def _clear(workspace: Workspace, branch: str) -> None:
    """Drop what was ahead of the branch once it is there, or cannot come any more."""
    repo = workspace.repo
    tip, ahead = repo.tip(branch), repo.tip(chains.next_ref(branch))
    if ahead is None or tip is None:
        return
    if contains(repo, ahead, tip) or not contains(repo, tip, ahead):
        swap(repo, [RefUpdate(chains.next_ref(branch), None, ahead)], reason="wfledger: overtaken")


# -- from here to the remote ---------------------------------------------------------------------


def to_create(workspace: Workspace, refs: Mapping[str, str]) -> tuple[TargetPush, ...]:
    """Return the branches of open runs of ours that the remote lacks, or has from earlier times."""
    repo, found = workspace.repo, []
    for run in workspace.ledger.runs():
        if run.state not in _OPEN or not run.branch.startswith(RUNS):
            continue
        tip, there = repo.tip(run.branch), refs.get(run.branch)
        if tip is None or tip == there or run.home not in {None, workspace.machine.id}:
            continue
        is_behind = there is not None and contains(repo, there, tip) and not lost_there(
            workspace, run.branch, there
        )  # fmt: skip
        if there is None or (is_behind and repo.tip(chains.next_ref(run.branch)) is None):
            found.append(TargetPush(run.branch, there, tip))
    return tuple(found)


def wish_to_follow(workspace: Workspace, run: Run, tip: str) -> bool:
    """Note that a standing run's branch is to come to *tip* of its target.

    False where the remote does not have the branch yet: then it may simply be moved here.
    """
    if workspace.repo.tip(seen_ref(run.branch)) is None:
        return False
    path = _wishes(workspace) / safe_name(run.branch)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.replace(path, tip.encode(), tmp=workspace.ledger.layout.tmp)
    return True


def wished(workspace: Workspace) -> list[str]:
    """Return the commits that branches of standing runs are to come to."""
    found = []
    with suppress(FileNotFoundError):
        for path in _wishes(workspace).iterdir():
            with suppress(FileNotFoundError, ValueError):
                found.append(path.read_text("ascii"))
    return found


def to_follow(
    workspace: Workspace, refs: Mapping[str, str], *, but: Collection[str]
) -> list[Proposal]:
    """Return the moves of standing runs' branches to what they follow, on which nothing waits."""
    try:
        paths = sorted(_wishes(workspace).iterdir())
    except FileNotFoundError:
        return []
    pushes = [_follows(workspace, path, refs) for path in paths]
    return [
        Proposal(f"bring {push.ref.removeprefix(HEADS)} to what it follows", targets=(push,))
        for push in pushes if push is not None and push.ref not in but
    ]  # fmt: skip


def _wishes(workspace: Workspace) -> Path:
    return folder(workspace.ledger.layout.local) / "follow"


def _follows(workspace: Workspace, path: Path, refs: Mapping[str, str]) -> TargetPush | None:
    """Return the move that a note wishes for; one that is over is removed."""
    repo, branch = workspace.repo, unquote(path.name)
    try:
        wanted = path.read_text("ascii")
    except (FileNotFoundError, ValueError):
        return None
    there = refs.get(branch)
    if there is None or repo.tip(branch) != there or repo.tip(chains.next_ref(branch)) is not None:
        return None
    if wanted == there or not repo.has_commit(wanted) or not repo.is_ancestor(there, wanted):
        path.unlink(missing_ok=True)
        return None
    return TargetPush(branch, there, wanted)
