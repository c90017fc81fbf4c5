"""`init`: a ledger for a repository, made so that a crash half-way leaves something to go on from.

Order: local state, the branch with its first commit, the worktree, and last the pointer that makes
the ledger known. Nothing of the user's is touched but one line in `info/exclude`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.clock import Clock, iso
from wfledger.core.policy import LedgerConfig, Policy
from wfledger.core.records import canonical, parse
from wfledger.core.statuses import Status
from wfledger.errors import (
    EnvironmentFailedError,
    InvalidDocumentError,
    LedgerDamagedError,
    RepositoryError,
)
from wfledger.run.config.proposals import found_in
from wfledger.run.config.roles import propose
from wfledger.run.doctor.mounts import network_kind
from wfledger.run.hub.state import is_shared
from wfledger.run.workspace import FOLDER, LOCAL, POINTER, points_home
from wfledger.store import atomic
from wfledger.store.boot import note_boot
from wfledger.store.layout import LOCAL_FOLDERS, OTHER_FOLDERS, Layout
from wfledger.store.ledger import Ledger
from wfledger.vcs.history import ATTRIBUTES, History
from wfledger.vcs.repo import Repository
from wfledger.vcs.worktree import exclude_path

_KEEP: Final = ".keep"


@dataclass(frozen=True)
class Created:
    """What `init` did."""

    root: Path
    ledger: str
    #: False when there was a ledger already and nothing was changed.
    fresh: bool
    #: Files that the proposed worktree setup is about.
    hints: tuple[str, ...] = ()


def initialise(start: Path, *, clock: Clock, policy: Policy | None = None) -> Created:
    """Make a ledger in the repository that *start* is in; an existing one is left as it is.

    Raises `RepositoryError` for repositories that cannot hold one, `EnvironmentFailedError` where
    the file system cannot (read-only, git directory on another file system).
    """
    repo = Repository.discover(start)
    main = repo.main_workdir  # WFL-LEDGER-001: also when started in another worktree
    if main is None:
        raise RepositoryError("a bare repository has no place for .wfledger/", kind="bare")
    root, local = main / FOLDER, repo.common_dir / LOCAL
    known = _known(local)
    if known is not None and points_home(root, repo.common_dir):
        return Created(root, known, fresh=False)
    if known is not None and not root.exists():
        raise LedgerDamagedError(f"{root} is gone", hint="wfledger doctor --fix", path=str(root))
    history = History(repo)
    refuse_foreign(root, repo)
    _refuse_foreign_branch(history)
    layout = Layout(root, local)
    try:
        make_local(layout, clock=clock)
    except OSError as error:
        message = f"{local} cannot be written: {error.strerror}"
        raise EnvironmentFailedError(message, path=str(local)) from error
    refuse_unsound(main, local)
    names = tuple(sorted(path.name for path in main.iterdir()))
    if history.tip() is None:
        config = LedgerConfig(id=clock.short_id(12), created=iso(clock.now()),
                              policy=policy or Policy())
        files = first_files(config, propose(names))
        history.create(files, message="A new ledger\n", when=clock.now())
    exclude_path(repo, f"/{FOLDER}")
    history.attach(root)
    for relative in folders():
        (root / relative).mkdir(exist_ok=True)
    note_boot(Ledger(root, local, clock=clock))
    return Created(root, write_pointer(repo, main, layout), fresh=True, hints=found_in(names))


def _known(local: Path) -> str | None:
    """Return the id of the ledger that is known here already."""
    try:
        return str(json.loads((local / POINTER).read_text("utf-8"))["ledger"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise LedgerDamagedError(
            f"{local / POINTER} cannot be read", hint="wfledger doctor --fix"
        ) from None


def write_pointer(repo: Repository, main: Path, layout: Layout) -> str:
    """Make the ledger known to this repository; returns its id.

    `state` is what the folder of its worktrees is called: clones on one computer that share a
    ledger have one each, and a clone keeps the one that it began with.
    """
    config = parse(LedgerConfig, History(repo).read("ledger.json") or b"{}")
    folds = (repo.config_get("core.ignorecase") or "").lower() == "true"
    facts = {
        "root": str(layout.root), "main": str(main), "ledger": config.id, "folds_case": folds,
        "state": _state_name(layout, config.id),
    }  # fmt: skip
    raw = json.dumps(facts).encode() + b"\n"
    atomic.replace(layout.local / POINTER, raw, tmp=layout.tmp)
    return config.id


def _state_name(layout: Layout, ledger: str) -> str:
    try:
        before = json.loads((layout.local / POINTER).read_text("utf-8"))
        return str(before.get("state", ledger))
    except (FileNotFoundError, ValueError, AttributeError):
        return f"{ledger}.{layout.machine}" if is_shared(layout.local) else ledger


def refuse_unsound(main: Path, local: Path) -> None:
    """Refuse file systems on which a claim could not be one rename (WFL-LEDGER-016)."""
    if main.stat().st_dev != local.stat().st_dev:
        raise EnvironmentFailedError(
            "the checkout and its git directory lie on different file systems; "
            "a claim is a rename between them",
            path=str(main),
        )
    kind = network_kind(main)
    if kind is not None:
        raise EnvironmentFailedError(
            f"{main} lies on a network file system ({kind}), whose renames and locks are not known "
            "to exclude each other",
            hint="use a clone on a disk of this machine",
            path=str(main),
        )


def refuse_foreign(root: Path, repo: Repository) -> None:
    """Refuse where something else stands in the ledger's place."""
    foreign = root.is_symlink() or (root.exists() and not root.is_dir())
    if not foreign and root.exists() and not points_home(root, repo.common_dir):
        foreign = any(root.iterdir())
    if foreign:
        raise EnvironmentFailedError(
            f"{root} exists and is not a ledger of this repository",
            hint=f"move it away, e.g. mv {FOLDER} {FOLDER}.old",
            path=str(root),
        )


def _refuse_foreign_branch(history: History) -> None:
    if history.tip() is None:
        return
    try:
        parse(LedgerConfig, history.read("ledger.json") or b"")
    except InvalidDocumentError as error:
        name = history.branch.removeprefix("refs/heads/")
        raise EnvironmentFailedError(
            f"the branch {name} is there already and holds no ledger: {error.message}",
            hint=f"give it another name: git branch -m {name} NEW-NAME",
        ) from None


def folders() -> tuple[str, ...]:
    """Return every folder of a ledger."""
    return (*(status.value for status in Status), *OTHER_FOLDERS)


def first_files(config: LedgerConfig, fleet: str) -> dict[str, bytes]:
    """Return the files of a ledger's first commit."""
    files = {f"{folder}/{_KEEP}": b"" for folder in folders()}
    files["ledger.json"] = canonical(config)
    files["fleet.toml"] = fleet.encode()
    files[".gitattributes"] = ATTRIBUTES
    return files


def make_local(layout: Layout, *, clock: Clock) -> None:
    """Make this machine's own state where it is missing."""
    layout.local.mkdir(exist_ok=True)
    for name in LOCAL_FOLDERS:
        (layout.local / name).mkdir(exist_ok=True)
    (layout.local / "tokens").chmod(0o700)
    machine = layout.local / "machine.json"
    if not machine.exists():
        facts = {"id": clock.short_id(8)}
        atomic.replace(machine, json.dumps(facts).encode() + b"\n", tmp=layout.tmp)
