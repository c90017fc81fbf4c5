"""Whether `.wfledger/` is the worktree that it must be, and making it so without touching files.

Git's own `worktree add` would check the branch out; what a person or a file worker did in the
folder is newer than the branch. So only git's records are written here, as the plain files that
they are, each step whole and repeatable.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from wfledger import faults
from wfledger.vcs.discovery import LEDGER_BRANCH
from wfledger.vcs.registry import WorktreeInfo, find, listed, normal, points_to
from wfledger.vcs.repo import Repository

#: Why git may not prune the ledger's worktree.
LOCK_REASON: Final = "the ledger of wfledger"
_NAME: Final = "wfledger"

faults.register("attach.moved-aside", "attach.entered", "attach.pointed")

Kind = Literal["gone", "foreign", "unpointed", "head", "unlocked"]


@dataclass(frozen=True)
class Flaw:
    """What is wrong with the ledger's folder as a worktree."""

    kind: Kind
    message: str


def flaw_of(repo: Repository, path: Path) -> Flaw | None:
    """Return what is wrong with *path* as the ledger's worktree, the gravest only; runs no git."""
    path = normal(path)
    if not os.path.lexists(path):
        return Flaw("gone", f"{path} was removed")
    if _is_foreign(repo, path):
        return Flaw("foreign", f"something else stands at {path}")
    info = find(repo, path)
    if info is None or not points_to(path, info.entry) or not _shares(repo, info.entry):
        return Flaw("unpointed", f"{path} does not lead to the ledger's branch")
    if info.branch != LEDGER_BRANCH:
        return Flaw("head", f"{path} has {info.branch or 'a single commit'} checked out")
    if info.locked is None:
        return Flaw("unlocked", f"{path} is not locked; git may prune it")
    return None


def reattach(repo: Repository, path: Path, *, aside: Path) -> None:
    """Make *path* the locked worktree of the ledger's branch; what files it has stay as they are.

    What is something else altogether is moved to *aside*, which must not exist. The index is left
    to `History.refresh_index`. Doing it again after a crash leads to the same.
    """
    path = normal(path)
    if os.path.lexists(path) and _is_foreign(repo, path):
        path.rename(aside)
        faults.point("attach.moved-aside")
    entry = _entry(repo, path)
    entry.mkdir(parents=True, exist_ok=True)
    # Locked first: git prunes an entry whose checkout is not there yet.
    _write(entry / "locked", f"{LOCK_REASON}\n")
    _write(entry / "HEAD", f"ref: {LEDGER_BRANCH}\n")
    _write(entry / "commondir", "../..\n")
    _write(entry / "gitdir", f"{path / '.git'}\n")
    faults.point("attach.entered")
    path.mkdir(exist_ok=True)
    _write(path / ".git", f"gitdir: {entry}\n")
    faults.point("attach.pointed")


def _entry(repo: Repository, path: Path) -> Path:
    """Return git's record of the ledger's worktree, or where it should be."""
    known = listed(repo)
    here = [info for info in known if normal(info.path) == path]
    ours = [info for info in known if info.branch == LEDGER_BRANCH and not _is_used(info)]
    if here or ours:
        return (here or ours)[0].entry
    folder = repo.common_dir / "worktrees"
    names = [_NAME, *(f"{_NAME}{number}" for number in range(1, len(known) + 2))]
    taken = {info.entry.name for info in known}
    return next(folder / name for name in names if name not in taken)


def _is_used(info: WorktreeInfo) -> bool:
    """Whether somebody has a worktree of his own on the ledger's branch."""
    return points_to(info.path, info.entry)


def _is_foreign(repo: Repository, path: Path) -> bool:
    """Whether *path* is no folder, or the checkout of something else that is there."""
    if path.is_symlink() or not path.is_dir():
        return True
    pointer = path / ".git"
    if not os.path.lexists(pointer):
        return False
    if pointer.is_symlink() or not pointer.is_file():
        return True
    text = pointer.read_bytes()[:4096].decode("utf-8", "surrogateescape").strip()
    if not text.startswith("gitdir: "):
        return False
    target = Path(os.path.normpath(path / text.removeprefix("gitdir: ")))
    is_ours = normal(target.parent) == repo.common_dir / "worktrees"
    # A pointer to nothing is what is left when the repository was moved.
    return target.exists() and not is_ours


def _shares(repo: Repository, entry: Path) -> bool:
    try:
        pointer = (entry / "commondir").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return Path(os.path.realpath(entry / pointer)) == repo.common_dir


def _write(path: Path, text: str) -> None:
    """Write a small file whole, where it does not say so already."""
    try:
        if path.read_text("utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        pass
    number, name = tempfile.mkstemp(prefix=".wfledger-", dir=path.parent)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(0o644)
    Path(name).replace(path)
