"""Work of attempts on its way between machines: refs of its own on the remote (spec 97, section 7).

What an attempt leaves is noted here when its ref is made, and goes with the push that says how the
attempt ended. Another machine fetches it when a task needs it: to land what was accepted, to judge
it, to choose among candidates. When the task is over the ref goes from the remote; the machine
where the work was done keeps its own.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from wfledger import faults
from wfledger.core.documents import Task
from wfledger.core.statuses import Status
from wfledger.errors import GitError, WfledgerError
from wfledger.run.hub.state import Hub, folder
from wfledger.run.merger.targets import contains
from wfledger.run.refnames import HUB, KEEP, keep_ref, seen_ref
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.vcs.refs import RefUpdate, refs_under, swap

faults.register("keeps.noted", "keeps.sent", "keeps.fetched")

#: Notes: what is to go to the remote, what is there, and what is to be fetched.
_OUT: Final = "out"
_THERE: Final = "there"
_WANTED: Final = "wanted"
#: Where fetched work arrives.
_ARRIVED: Final = f"{HUB}/keep"
#: Refs in one push, and in one fetch.
_MOST: Final = 200


@dataclass(frozen=True)
class KeepUpdate:
    """One ref of the remote: to be at *commit*, or gone. Pushed with no lease: nobody else's."""

    #: Its name there, and what comes after `refs/wfledger/keep/` here.
    ref: str
    name: str
    commit: str | None


def _place(workspace: Workspace, kind: str, name: str = "") -> Path:
    inside = folder(workspace.ledger.layout.local) / "keeps" / kind
    return inside / quote(name, safe="") if name else inside


def _notes(workspace: Workspace, kind: str) -> list[str]:
    try:
        return sorted(unquote(path.name) for path in _place(workspace, kind).iterdir())
    except FileNotFoundError:
        return []


def _note(workspace: Workspace, kind: str, name: str, text: str) -> None:
    path = _place(workspace, kind, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.replace(path, text.encode(), tmp=workspace.ledger.layout.tmp)


def _forget(workspace: Workspace, kind: str, name: str) -> None:
    _place(workspace, kind, name).unlink(missing_ok=True)


# -- to the remote -------------------------------------------------------------------------------


def offer(workspace: Workspace, ref: str, commit: str) -> None:
    """Note that *ref*, which keeps work, is to be on the remote with the end of its attempt.

    Called when the ref is made, before anything says that the attempt is over.
    """
    if workspace.is_shared:
        _note(workspace, _OUT, ref.removeprefix(f"{KEEP}/"), commit)
        faults.point("keeps.noted")


def queued(workspace: Workspace) -> tuple[KeepUpdate, ...]:
    """Return what is to go with the next push."""
    hub = workspace.hub
    found: list[KeepUpdate] = []
    for name in _notes(workspace, _OUT) if hub is not None else ():
        commit = _commit_of(workspace, name)
        if commit and _is_landed(workspace, name, commit):
            _forget(workspace, _OUT, name)  # an attempt that committed nothing of its own
        elif hub is not None and (commit is None or workspace.repo.has_commit(commit)):
            found.append(KeepUpdate(f"{hub.names.keeps}{name}", name, commit))
    return tuple(found[:_MOST])


def _commit_of(workspace: Workspace, name: str) -> str | None:
    """Return what a note says; None: the ref is to go."""
    try:
        return _place(workspace, _OUT, name).read_text("ascii") or None
    except (FileNotFoundError, ValueError):
        return None


def _is_landed(workspace: Workspace, name: str, commit: str) -> bool:
    """Whether the run's branch has it: there is nothing that only this machine has."""
    try:
        run = workspace.ledger.run(name.partition(".")[0])
    except WfledgerError:
        return False
    return contains(workspace.repo, commit, workspace.repo.tip(run.branch))


def sent(workspace: Workspace, updates: Iterable[KeepUpdate]) -> None:
    """Note that a push with *updates* came through; a note that was renewed since stays."""
    for update in updates:
        if update.commit is None:
            _forget(workspace, _THERE, update.name)
        else:
            _note(workspace, _THERE, update.name, update.commit)
        faults.point("keeps.sent")
        if _commit_of(workspace, update.name) == update.commit:
            _forget(workspace, _OUT, update.name)


def again(workspace: Workspace) -> None:
    """Have what this machine has brought to the remote go there again: it may have lost it."""
    for name in _notes(workspace, _THERE):
        commit = _place(workspace, _THERE, name).read_text("ascii")
        if not _place(workspace, _OUT, name).exists():
            _note(workspace, _OUT, name, commit)


def retire(workspace: Workspace, *, older_s: float) -> int:
    """Have the remote drop what nobody will ask for any more; returns how many refs.

    What has landed goes at once: the branch has it. What was given up, or may still be chosen,
    stays for *older_s* seconds, or as long as its run goes on.
    """
    return sum(
        _drop(workspace, name) for name in _notes(workspace, _THERE)
        if _is_over(workspace, name.partition("/")[0], older_s=older_s)
    )  # fmt: skip


def retire_landed(workspace: Workspace, tasks: Collection[str]) -> None:
    """Have the remote drop the work of *tasks*, which have just landed."""
    for name in _notes(workspace, _THERE):
        if name.partition("/")[0] in tasks:
            _drop(workspace, name)


def _drop(workspace: Workspace, name: str) -> bool:
    _note(workspace, _OUT, name, "")
    return True


def _is_over(workspace: Workspace, task_id: str, *, older_s: float) -> bool:
    from wfledger.run.upkeep.archiving import is_ripe

    before = workspace.clock.now() - timedelta(seconds=older_s)
    try:
        entry = workspace.ledger.find(task_id)
    except (WfledgerError, OSError):
        return False
    if entry is None:
        return True
    landed = entry.task.landed
    if entry.status is Status.DONE and landed is not None and landed.how != "kept":
        return True
    return is_ripe(workspace, task_id, before)


# -- from the remote -----------------------------------------------------------------------------


def missing(workspace: Workspace, task: Task) -> tuple[str, ...]:
    """Return the commits that *task* needs and that are not here; "branch" for its run's branch.

    Only a look: nothing is fetched.
    """
    repo = workspace.repo
    found: list[str] = []
    try:
        branch = workspace.ledger.run(task.run).branch
    except WfledgerError:
        return ("branch",)
    here, there = repo.tip(branch), repo.tip(seen_ref(branch))
    if here is None or (there is not None and not contains(repo, there, here)):
        found.append("branch")
    found += [oid for oid, _ in _needs(workspace, task) if not repo.has_commit(oid)]
    return tuple(dict.fromkeys(found))


def _needs(workspace: Workspace, task: Task) -> Iterator[tuple[str, str | None]]:
    """Yield the commits that a task needs, each with the kept work that reaches it."""
    spec, accepted = task.spec, task.accepted
    if accepted is not None:
        for oid in (accepted.head, accepted.base):
            yield oid, _name(task.id, accepted.attempt)
    if spec.verifies is not None:
        judged = _name(spec.verifies.task, spec.verifies.attempt)
        yield spec.verifies.head, judged
        if spec.verifies.base is not None:
            yield spec.verifies.base, judged
    if spec.at is not None:
        yield spec.at, None
    producers = (*spec.inputs, *spec.after)
    yield from _kept_by(workspace, dict.fromkeys(producers))


def _kept_by(workspace: Workspace, tasks: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the results of *tasks* that are on no branch."""
    for task_id in tasks:
        try:
            entry = workspace.ledger.find(task_id)
        except (WfledgerError, OSError):
            continue
        landed = entry.task.landed if entry is not None else None
        if entry is not None and landed is not None and landed.how == "kept" and landed.commit:
            yield landed.commit, (landed.target or "").removeprefix(f"{KEEP}/") or None


def _name(task_id: str, attempt: int) -> str:
    return keep_ref(task_id, attempt).removeprefix(f"{KEEP}/")


def want(workspace: Workspace, task: Task) -> None:
    """Have the next meeting fetch the work that *task* needs; its own last attempt's as well."""
    names = {name for _, name in _needs(workspace, task) if name is not None}
    if task.attempt:
        names.add(_name(task.id, task.attempt))
    for name in names:
        if workspace.repo.tip(f"{KEEP}/{name}") is None:
            _note(workspace, _WANTED, name, "")


def fetch_wanted(workspace: Workspace, *, timeout: float) -> None:
    """Fetch what was asked for; called without any lock. What is not there is asked for no more."""
    hub = workspace.hub
    names = _notes(workspace, _WANTED)[:_MOST]
    if hub is None or not names:
        return
    if fetch(workspace, hub, names, timeout=timeout):
        for name in names:
            _forget(workspace, _WANTED, name)


def fetch(workspace: Workspace, hub: Hub, names: Sequence[str], *, timeout: float) -> bool:
    """Fetch kept work by name and put it under the refs that keep it here; False: no answer."""
    from wfledger.vcs.remote import Trouble
    from wfledger.vcs.remote import fetch as ask

    # Folders with a wildcard: one that is not there costs no further round trips.
    tasks = dict.fromkeys(name.rpartition("/")[0] for name in names)
    wanted = [f"+{hub.names.keeps}{task}/*:{_ARRIVED}/{task}/*" for task in tasks]
    came = ask(workspace.repo, hub.url, wanted, timeout=timeout)
    if isinstance(came, Trouble):
        return False
    faults.point("keeps.fetched")
    for task in tasks:
        _put(workspace, refs_under(workspace.repo, f"{_ARRIVED}/{task}"))
    return True


def _put(workspace: Workspace, arrived: dict[str, str]) -> None:
    """Put what has arrived under the refs that keep it here; what is kept already stays."""
    repo = workspace.repo
    for ref, commit in arrived.items():
        kept = f"{KEEP}/{ref.removeprefix(f'{_ARRIVED}/')}"
        updates = [RefUpdate(ref, None, commit)]
        if repo.tip(kept) is None:
            updates.append(RefUpdate(kept, commit, None))
        swap(repo, updates, reason="wfledger: kept on another machine")


def bring(workspace: Workspace, task_id: str, attempt: int, *, timeout: float = 30.0) -> bool:
    """Fetch the work of one attempt now, for somebody who wants to see it; False: it is not there.

    At once where the ledger has no remote, or the work is here.
    """
    repo, name = workspace.repo, _name(task_id, attempt)
    if repo.tip(f"{KEEP}/{name}") is not None:
        return True
    hub = workspace.hub
    if hub is None:
        return False
    try:
        fetch(workspace, hub, (name,), timeout=timeout)
    except GitError:
        return False
    return repo.tip(f"{KEEP}/{name}") is not None
