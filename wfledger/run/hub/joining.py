"""Taking part in a ledger that is on a remote, in a clone that has none yet (spec 97).

Order: this machine's own state, the branch and its pin at the remote's tip, the folder with every
file where this machine shows it, what is known of the remote, and last the pointer that makes the
ledger known here. What is on offer to others is never in `pending/`, not even for a moment. Killed
anywhere before the last step there is no ledger here, and doing it again goes on.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Final

from wfledger import faults
from wfledger.clock import Clock, iso
from wfledger.core import bounds
from wfledger.core.documents import Run, Task
from wfledger.core.hub import shown
from wfledger.core.records import parse
from wfledger.core.statuses import Status
from wfledger.errors import (
    EnvironmentFailedError,
    RemoteError,
    RepositoryError,
    UsageError,
    WfledgerError,
)
from wfledger.run.hub import reaching, trusting
from wfledger.run.hub.probing import Means
from wfledger.run.hub.reaching import Fetched, Found
from wfledger.run.hub.state import Hub, State, distrust, folder, read_hub, write_hub, write_state
from wfledger.run.localnames import FOLDER, LOCAL, POINTER
from wfledger.run.refnames import RUNS, landed_ref, seen_ref
from wfledger.run.setup import make_local, refuse_foreign, refuse_unsound, write_pointer
from wfledger.store import atomic, folders
from wfledger.store.boot import note_boot
from wfledger.store.layout import Layout
from wfledger.store.ledger import Ledger
from wfledger.vcs import remote
from wfledger.vcs.attachment import reattach
from wfledger.vcs.history import AUTHOR, History
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.remote import Trouble
from wfledger.vcs.repo import Repository
from wfledger.vcs.worktree import exclude_path

faults.register(
    "joining.branch", "joining.attached", "joining.filled", "joining.noted", "joining.pointed"
)

#: Is there while a join has begun and not ended.
_BEGUN: Final = "joining.json"


@dataclass(frozen=True)
class Joined:
    """What `join` did."""

    root: Path
    ledger: str
    machine: str
    #: False where this clone took part already.
    fresh: bool


def taking_part(repo: Repository) -> Joined | None:
    """Return how this clone takes part already; None where it has no ledger.

    Raises `UsageError` where it has a ledger of its own.
    """
    layout = _layout(repo)
    try:
        facts = json.loads((layout.local / POINTER).read_text("utf-8"))
        ledger = str(facts["ledger"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    hub = read_hub(layout.local)
    if hub is None:
        raise UsageError(
            "this repository has a ledger of its own", ledger=ledger,
            hint="to share it: wfledger remote set; to take part in another: in a clone of its own",
        )  # fmt: skip
    return Joined(layout.root, ledger, layout.machine, fresh=False)


def refuse_second(
    repo: Repository, remote: str | None, *, start: Path | None = None,
    timeout: float = reaching.CALL_S,
) -> None:  # fmt: skip
    """Raise `RemoteError` where a remote has a ledger and this clone has none: it is to join."""
    if (_layout(repo).local / POINTER).exists():
        return
    found = reaching.look(repo, reaching.address(repo, remote, start=start), timeout=timeout)
    if found.tip is not None:
        name = found.address.name
        raise RemoteError(f"{name} has a ledger already", kind="has_ledger",
                          hint=f"wfledger join {quote(name)}")  # fmt: skip


def refuse_kind(repo: Repository) -> None:
    """Raise `RepositoryError` for a clone that lacks what its workers would need.

    Those that cannot be opened (bare, partial, SHA-256, reftable) were refused before.
    """
    marks = repo.common_dir / "shallow"
    ends = marks.read_text("ascii").split() if marks.exists() else []
    # The history of a ledger that was fetched here may end somewhere.
    if all(info.author == AUTHOR for oid in ends for info in repo.log(oid, limit=1)):
        return
    raise RepositoryError(
        "the clone is shallow: results of other machines could not be merged with a history that "
        "is not here",
        hint="git fetch --unshallow", kind="shallow", path=str(repo.common_dir),
    )  # fmt: skip


def join(
    found: Found, fetched: Fetched, means: Means, *, clock: Clock, state_home: Path
) -> Joined:
    """Take part in the ledger that was *fetched*; somebody has agreed to what it may run.

    Done again after a crash it goes on. Raises `EnvironmentFailedError` where something else stands
    in its place.
    """
    repo = fetched.repo
    layout, main = _layout(repo), repo.main_workdir
    if main is None:
        raise RepositoryError("a bare repository has no place for .wfledger/", kind="bare")
    if not (folder(layout.local) / _BEGUN).exists():
        refuse_foreign(layout.root, repo)
    make_local(layout, clock=clock)
    refuse_unsound(main, layout.local)
    folder(layout.local).mkdir(exist_ok=True)
    (folder(layout.local) / _BEGUN).touch()
    exclude_path(repo, f"/{FOLDER}")
    _adopt_branch(repo, fetched.tip)
    _bring_branches(repo, found, fetched.tip)
    faults.point("joining.branch")
    reattach(repo, layout.root, aside=layout.local / f"aside-{clock.short_id()}")
    faults.point("joining.attached")
    _fill(repo, layout, fetched.tip)
    faults.point("joining.filled")
    trusting.agree(
        trusting.path_of(state_home, fetched.config.id, layout.machine), ledger=fetched.config.id,
        url=found.address.url, files=fetched.files, at=iso(clock.now()),
    )
    oldest = [info.oid for info in repo.walk(fetched.tip)][-1]
    write_state(layout.local, State(applied=fetched.tip, seen=iso(clock.now())))
    distrust(layout.local)
    write_hub(layout.local, Hub(
        found.address.name, found.address.url, means.space, means.atomic, oldest
    ))  # fmt: skip
    note_boot(Ledger(layout.root, layout.local, clock=clock))
    faults.point("joining.noted")
    ledger = write_pointer(repo, main, layout)
    faults.point("joining.pointed")
    finish(repo)
    return Joined(layout.root, ledger, layout.machine, fresh=True)


def finish(repo: Repository) -> None:
    """Do what comes after the ledger is known here; what was done already is not done again."""
    layout = _layout(repo)
    begun = folder(layout.local) / _BEGUN
    if begun.exists():
        History(repo).refresh_index(layout.root)
        reaching.forget(repo)
        begun.unlink()


def _layout(repo: Repository) -> Layout:
    return Layout((repo.main_workdir or repo.common_dir) / FOLDER, repo.common_dir / LOCAL)


def _adopt_branch(repo: Repository, tip: str) -> None:
    """Bring branch and pin to the remote's *tip*; what they may be is a part of its history."""
    history = History(repo)
    updates = []
    for ref in (history.branch, history.pin):
        old = repo.tip(ref)
        if old is not None and not _follows(repo, old, tip):
            raise EnvironmentFailedError(
                f"{ref} is there already and is no part of the ledger's history",
                hint=f"give it another name: git branch -m {ref.removeprefix('refs/heads/')} OTHER",
            )
        if old != tip:
            updates.append(RefUpdate(ref, tip, old))
    if not swap(repo, updates, reason="wfledger: join"):
        raise RemoteError(
            f"{history.branch} is being moved by somebody else", kind="moved", hint="wfledger join"
        )


def _bring_branches(repo: Repository, found: Found, tip: str) -> None:
    """Make the branches of open runs here, as the remote has them; what is there stays."""
    wanted = f"+{RUNS}*:{seen_ref(RUNS)}*"
    done = remote.fetch(repo, found.address.url, [wanted], timeout=reaching.FETCH_S)
    if isinstance(done, Trouble):
        raise reaching.failure(found.address, done)
    runs = (raw for path, raw in History(repo).files("runs", at=tip) if path.endswith(".json"))
    named = {run.branch: run for run in map(_readable_run, runs) if run is not None}
    there = {ref: oid for ref, oid in done.refs.items() if ref in named}
    updates = [RefUpdate(ref, oid, None) for ref, oid in there.items() if repo.tip(ref) is None]
    swap(repo, [*updates, *_proofs(repo, tip, there, named)], reason="wfledger: join")


def _proofs(
    repo: Repository, tip: str, there: Mapping[str, str], runs: Mapping[str, Run]
) -> Iterator[RefUpdate]:
    """Yield the proofs of what has landed on the branches that are *there* (WFL-HUB-072)."""
    on = {
        ref: {info.oid for info in repo.walk(oid, since=runs[ref].base)}
        for ref, oid in there.items() if repo.has_commit(runs[ref].base)
    }  # fmt: skip
    for path, raw in History(repo).files(Status.DONE.value, at=tip):
        task = _readable_task(raw) if path.endswith(".json") else None
        landed = task.landed if task is not None else None
        if task is None or landed is None or landed.commit not in on.get(landed.target or "", ()):
            continue
        if repo.tip(landed_ref(task.id)) is None:
            yield RefUpdate(landed_ref(task.id), landed.commit, None)


def _readable_run(raw: bytes) -> Run | None:
    try:
        return parse(Run, raw, limit=bounds.RUN_BYTES)
    except WfledgerError:
        return None  # a finding of the doctor


def _readable_task(raw: bytes) -> Task | None:
    try:
        return parse(Task, raw)
    except WfledgerError:
        return None  # a finding of the doctor


def _follows(repo: Repository, old: str, new: str) -> bool:
    try:
        return repo.is_ancestor(old, new)
    except WfledgerError:
        return False  # it is not even here


def _fill(repo: Repository, layout: Layout, tip: str) -> None:
    """Write every file of *tip* where this machine shows it; what else a crash left goes.

    Nobody knows of the ledger yet, so nobody has changed anything in it.
    """
    wanted = dict(_shown_files(repo, tip, layout.machine))
    for path in _present(layout.root):
        if path not in wanted:
            (layout.root / path).unlink()
    folders.create(layout)
    for path, raw in sorted(wanted.items()):
        target = layout.root / path
        if target.is_file() and target.read_bytes() == raw:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.replace(target, raw, tmp=layout.tmp)


def _shown_files(repo: Repository, tip: str, here: str) -> Iterator[tuple[str, bytes]]:
    for path, raw in History(repo).files(at=tip):
        parts = PurePosixPath(path).parts
        if ".." in parts or ".git" in {part.lower() for part in parts}:
            continue  # no ledger has such a file; doctor names what is odd
        yield _shown_path(path, raw, here), raw


def _shown_path(path: str, raw: bytes, here: str) -> str:
    status, _, name = path.partition("/")
    if status != Status.PENDING.value or not name.endswith(".json"):
        return path
    task = _readable_task(raw)
    if task is None:
        return path  # nobody can claim what cannot be read
    return f"{shown(task, Status.PENDING, here).value}/{name}"


def _present(root: Path) -> Iterator[str]:
    for path in root.rglob("*"):
        relative = path.relative_to(root).as_posix()
        if relative != ".git" and (path.is_symlink() or path.is_file()):
            yield relative
