"""Git's records of linked worktrees, read as the plain files that they are.

Git is never run inside a worktree: the `.git` file there is the worker's, and may point anywhere.
What is believed is `<common>/worktrees/<name>`, which git and we write.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.errors import GitError
from wfledger.vcs.discovery import LEDGER_BRANCH
from wfledger.vcs.repo import Repository

_LARGEST: Final = 64 * 1024


@dataclass(frozen=True)
class WorktreeInfo:
    """One linked worktree as the shared directory knows it."""

    #: Where its checkout is, or was.
    path: Path
    #: Its administrative entry, `<common>/worktrees/<name>`.
    entry: Path
    #: The commit that HEAD leads to, None where it leads nowhere.
    head: str | None
    #: Full name of the branch that is checked out, None when HEAD is detached.
    branch: str | None
    #: The reason why it is locked, "" without one, None where it is not locked.
    locked: str | None
    #: Whether the checkout is gone.
    prunable: bool


def listed(repo: Repository) -> tuple[WorktreeInfo, ...]:
    """Return the linked worktrees in the order of their entries; the main one is not among them."""
    try:
        entries = sorted(repo.common_dir.joinpath("worktrees").iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    found = (_info(repo, entry) for entry in entries)
    return tuple(info for info in found if info is not None)


def find(repo: Repository, path: Path) -> WorktreeInfo | None:
    """Return the worktree whose checkout is at *path*, None where none is registered there."""
    wanted = normal(path)
    entries = repo.common_dir / "worktrees"
    # Git names an entry like its checkout where that is free: hundreds need not be read for one.
    for name in (wanted.name, *_others(entries, wanted.name)):
        if _checkout(entries / name) == wanted:
            return _info(repo, entries / name)
    return None


def _others(entries: Path, name: str) -> Iterator[str]:
    """Yield the names of all entries but *name*, in order; they are listed when first asked for."""
    try:
        found = sorted(os.listdir(entries))  # noqa: PTH208 - names alone
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (other for other in found if other != name)


def points_to(path: Path, entry: Path) -> bool:
    """Whether `<path>/.git` is a plain file that names *entry*."""
    text = read_small(path / ".git")
    if text is None or not text.startswith("gitdir: "):
        return False
    named = path / text.removeprefix("gitdir: ").rstrip("\n")
    return os.path.realpath(named) == os.path.realpath(entry)


def expected_pointer(path: Path, repo: Repository) -> bool:
    """Whether *path* is the very worktree of the ledger that this repository has registered.

    Runs no git. False where the directory was removed and made again, where `.git` is a
    directory, a link or leads elsewhere, and where the entry is gone or has another branch.
    """
    info = find(repo, path)
    return (
        info is not None
        and not path.is_symlink()
        and points_to(path, info.entry)
        and info.branch == LEDGER_BRANCH
        and shares(info.entry, repo.common_dir)
    )


def normal(path: Path) -> Path:
    """Return *path* with its parent resolved; a link in the last place is not followed."""
    return Path(os.path.realpath(path.parent)) / path.name


def shares(entry: Path, common: Path) -> bool:
    """Whether git, started with *entry*, would take *common* for its shared directory."""
    pointer = read_small(entry / "commondir")
    return pointer is not None and Path(os.path.realpath(entry / pointer.strip())) == common


def _checkout(entry: Path) -> Path | None:
    """Return where the checkout of *entry* is, or was; None where it is no entry."""
    pointer = read_small(entry / "gitdir")
    if pointer is None:
        return None
    return normal(Path(os.path.normpath(entry / pointer.rstrip("\n"))).parent)


def _info(repo: Repository, entry: Path) -> WorktreeInfo | None:
    path = _checkout(entry)
    if path is None:
        return None
    head = (read_small(entry / "HEAD") or "").strip().removeprefix("ref: ")
    branch = head if head.startswith("refs/") else None
    locked = read_small(entry / "locked")
    return WorktreeInfo(
        path=path,
        entry=entry,
        head=_commit(repo, head),
        branch=branch,
        locked=None if locked is None else locked.strip(),
        prunable=not os.path.lexists(path / ".git"),
    )


def _commit(repo: Repository, head: str) -> str | None:
    """Return the commit behind what HEAD says; only branches are followed."""
    if head.startswith("refs/heads/"):
        try:
            head = repo.tip(head) or ""
        except GitError:  # a name that is none, or a ref file that a crash left empty
            return None
    return head if repo.has_commit(head) else None


def read_small(path: Path) -> str | None:
    """Read a small regular file; a worker may have put anything in its place."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError:
        return None
    try:
        return os.read(handle, _LARGEST).decode("utf-8", "surrogateescape")
    except OSError:  # a directory
        return None
    finally:
        os.close(handle)
