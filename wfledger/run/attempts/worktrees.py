"""Worktrees for attempts, verification and the gate: made under a lock, recorded before they exist.

`attempts/<name>.json` in the local state says which worktree and branch are about to be made. After
a crash the record tells what to adopt or to roll back (WFL-REC-010); a worktree is removed only
when what was in it is reachable from a ref or was never anybody's work.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

from wfledger import faults
from wfledger.core.documents import Confined, Task
from wfledger.errors import EnvironmentFailedError
from wfledger.run.config.confinement import UNCONFINED, Confinement, Isolation, Sandboxed
from wfledger.run.guard import vouching
from wfledger.run.refnames import keep_ref, try_branch
from wfledger.run.workers.confining import confinement_of
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.vcs import clone, worktree
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.trees import Outset

faults.register("worktree.recorded", "worktree.added", "worktree.removed")

ADD_TIMEOUT_S: Final = 600.0


Purpose = Literal["attempt", "scratch", "open"]


@dataclass(frozen=True)
class Place:
    """A worktree that is ours."""

    #: `<task>.<attempt>` for attempts, `<task>.<attempt>.<purpose>` for scratch checkouts.
    name: str
    path: str
    base: str
    #: Full name of the branch; None when detached (readers, scratch checkouts).
    branch: str | None
    #: `attempt` and `open` may hold somebody's work; a person's `open` one is never swept.
    purpose: Purpose
    #: What was ignored besides `.gitignore` when it was made; a worker may change that file.
    ignore: str = ""
    #: Paths that preparation put there; never part of a change.
    excluded: tuple[str, ...] = ()
    #: `clone`: a repository of its own, whose commits come over when they are kept.
    isolation: Isolation = "worktree"
    #: How a runtime keeps the worker apart that it starts there.
    sandbox: Sandboxed = "none"
    network: bool = True

    @property
    def folder(self) -> Path:
        """The worktree's root."""
        return Path(self.path)


def record_path(workspace: Workspace, name: str) -> Path:
    """Return where the record of the worktree *name* lies."""
    return workspace.ledger.layout.local / "attempts" / f"{name}.json"


def remember(workspace: Workspace, place: Place) -> None:
    """Record *place*; before it is made, and again when preparation has said what it put there."""
    raw = json.dumps(asdict(place), indent=2).encode() + b"\n"
    atomic.replace(record_path(workspace, place.name), raw, tmp=workspace.ledger.layout.tmp)


def recorded(workspace: Workspace) -> list[Place]:
    """Return every recorded worktree of this machine; an unreadable record is left out."""
    places = []
    for path in sorted((workspace.ledger.layout.local / "attempts").glob("*.json")):
        try:
            place = find(workspace, path.name.removesuffix(".json"))
        except (ValueError, TypeError):
            continue  # `doctor` names it
        if place is not None:
            places.append(place)
    return places


def find(workspace: Workspace, name: str) -> Place | None:
    """Return the recorded worktree of that name, or None."""
    try:
        facts = json.loads(record_path(workspace, name).read_bytes())
    except FileNotFoundError:
        return None
    facts["excluded"] = tuple(facts.get("excluded", ()))
    return Place(**facts)


def make(
    workspace: Workspace, name: str, *, base: str, branch: str | None, purpose: Purpose,
    confinement: Confinement = UNCONFINED,
) -> Place:  # fmt: skip
    """Make a worktree at *base*; made again after a crash, it is the same one.

    Linked ones are registered one at a time: git's own bookkeeping races otherwise.
    """
    outset = Outset.of(workspace.repo, base)
    path = str(workspace.state / name)
    place = Place(
        name, path, base, branch, purpose, ignore=outset.ignore,
        isolation=confinement.isolation, sandbox=confinement.settled, network=confinement.network,
    )  # fmt: skip
    remember(workspace, place)
    faults.point("worktree.recorded")
    place.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        _add(workspace, place)
    except worktree.WorktreeOccupiedError as error:
        if error.facts.get("kind") == "path_occupied":  # nothing there is ours to sweep
            record_path(workspace, name).unlink(missing_ok=True)
        raise
    faults.point("worktree.added")
    return place


def _add(workspace: Workspace, place: Place) -> None:
    repo, folder, base, branch = workspace.repo, place.folder, place.base, place.branch
    if place.isolation == "clone":
        clone.add(repo, folder, branch=branch, base=base, timeout=ADD_TIMEOUT_S)
        return
    worktree.add(repo, folder, branch=branch, base=base, alone=_alone(workspace))


def _alone(workspace: Workspace) -> worktree.Alone:
    return partial(workspace.ledger.locks.hold, "git", timeout=ADD_TIMEOUT_S)


def make_for(workspace: Workspace, task: Task, attempt: int) -> Place:
    """Make the worktree of an attempt at the tip of its run, or at the commit that its spec names.

    A writer's is on a branch of its own.

    Raises `EnvironmentFailedError` where the run's branch is gone.
    """
    run = workspace.ledger.run(task.run)
    base = task.spec.at or workspace.repo.tip(run.branch)
    if base is None:
        raise EnvironmentFailedError(f"the branch {run.branch} is gone", branch=run.branch)
    name = workspace.ledger.layout.attempt_name(task.id, attempt)
    branch = try_branch(task.id, attempt) if task.spec.writes else None
    confinement = confinement_of(vouching.fleet(workspace), task.spec)
    return make(
        workspace, name, base=base, branch=branch, purpose="attempt", confinement=confinement
    )


def confined(workspace: Workspace, place: Place, task: Task) -> Confined | None:
    """Return how the worker of an attempt was kept apart; None where no runtime started one."""
    if not workspace.ledger.layout.live(task.id, task.attempt).exists():
        return None
    return Confined(sandbox=place.sandbox, network=place.network, isolation=place.isolation)


def scratch_name(workspace: Workspace, task: Task, purpose: str) -> str:
    """Return the name of a checkout that the present merger of *task* makes.

    Each merger has its own: one that stood still and goes on clears away what bears its name.
    """
    name = workspace.ledger.layout.attempt_name(task.id, task.attempt)
    epoch = task.merger.epoch if task.merger else 1
    return f"{name}.{purpose}" if epoch == 1 else f"{name}.{purpose}-{epoch}"


def excluding(workspace: Workspace, place: Place, excluded: tuple[str, ...]) -> Place:
    """Record what preparation has put into *place*."""
    prepared = replace(place, excluded=excluded)
    remember(workspace, prepared)
    return prepared


def discard(workspace: Workspace, place: Place) -> None:
    """Remove a worktree whose work is kept elsewhere, its branch, then its record.

    The branch stays where its tip is not reachable from the attempt's keep ref. Repeating it is
    harmless.
    """
    if place.isolation == "clone":
        clone.remove(place.folder, timeout=ADD_TIMEOUT_S)
    else:
        worktree.remove(
            workspace.repo, place.folder, timeout=ADD_TIMEOUT_S, alone=_alone(workspace)
        )
    faults.point("worktree.removed")
    if place.branch is not None and place.isolation == "worktree":
        _drop_branch(workspace, place, place.branch)
    record_path(workspace, place.name).unlink(missing_ok=True)


def _drop_branch(workspace: Workspace, place: Place, branch: str) -> None:
    repo = workspace.repo
    task_id, _, attempt = place.name.rpartition(".")
    tip, head = repo.tip(branch), repo.tip(keep_ref(task_id, int(attempt)))
    if tip is None:
        return
    untouched = tip == place.base
    if untouched or (head is not None and repo.is_ancestor(tip, head)):
        swap(repo, [RefUpdate(branch, None, tip)], reason="wfledger: kept elsewhere")


@contextmanager
def scratch(workspace: Workspace, name: str, *, commit: str) -> Iterator[Place]:
    """Make a clean detached checkout of *commit* for verification or gate, for a while."""
    place = make(workspace, name, base=commit, branch=None, purpose="scratch")
    try:
        yield place
    finally:
        discard(workspace, place)
