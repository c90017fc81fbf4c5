"""Makes and removes linked worktrees, each step of which may be the last one before a crash.

A worktree is registered first, under a lock reason that says it is being made; then its files are
written by a sealed checkout, in which nothing planted in the shared directory runs; then the lock
goes. So whoever finds that reason knows that nobody has worked there yet and starts over, and
whoever does not find it treats what is there as work. Where calls for one repository may overlap
the caller hands in its lock: two worktrees are not registered at once, but filled and emptied.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

from wfledger import faults
from wfledger.clock import SystemClock
from wfledger.errors import EnvironmentFailedError
from wfledger.vcs.discovery import LEDGER_BRANCH
from wfledger.vcs.proc import run_git
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.registry import (
    WorktreeInfo,
    expected_pointer,
    find,
    listed,
    normal,
    points_to,
)
from wfledger.vcs.repo import Repository
from wfledger.vcs.sealed import sealed
from wfledger.vcs.trees import Outset, Snapshot, snapshot

__all__ = [
    "UNFINISHED", "WorktreeInfo", "WorktreeOccupiedError", "add", "checkout_tree", "delete",
    "exclude_path", "expected_pointer", "find", "listed", "remove",
]  # fmt: skip

#: Gives what keeps others from registering worktrees of the same repository.
Alone = Callable[[], AbstractContextManager[object]]

_HEADS: Final = "refs/heads/"
_MAKING: Final = "wfledger: being made"
_REMOVING: Final = "wfledger: being removed"
#: What says that nobody works there: ours, and what git itself writes first.
UNFINISHED: Final = frozenset({_MAKING, _REMOVING, "initializing"})
#: Longest that one git command of `add` may take.
_ADD_S: Final = 600.0
_PAUSE_S: Final = 0.05
_CLEAR_S: Final = 60.0
_SNAPSHOT_S: Final = 300.0
_CLOCK: Final = SystemClock()

faults.register(
    "worktree.add.branch",
    "worktree.add.registered",
    "worktree.add.filled",
    "worktree.remove.marked",
    "worktree.remove.emptied",
)


class WorktreeOccupiedError(EnvironmentFailedError):
    """A leftover stands where a worktree should, and may hold work; it was not touched.

    The fact `kind` is path_occupied, branch_moved, head_moved, other_branch or changed.
    """

    code = "worktree_occupied"


def add(
    repo: Repository,
    path: Path,
    *,
    branch: str | None,
    base: str,
    lock: str | None = None,
    alone: Alone = nullcontext,
) -> None:
    """Make a worktree at *path* with the files of the commit *base*.

    *branch* (a name or a full ref) is created at *base*, or adopted if it is there; without one
    HEAD is detached. *lock* locks the worktree for good, for that reason. *alone* is held while it
    is registered and not while its files are written, which takes most of the time. Done again
    after a crash, or after success, it leads to the same: what is unfinished is made anew, what is
    finished and unchanged is adopted. Raises `WorktreeOccupiedError` where a leftover may hold
    work.
    """
    path, name = normal(path), branch and branch.removeprefix(_HEADS)
    with alone():
        if _is_there(repo, path, name, base):
            return
        info = _register(repo, path, name, base=base)
    faults.point("worktree.add.registered")
    with sealed(repo) as private:
        private.run(
            ["read-tree", "--reset", "-u", repo.tree_of(base)],
            work_tree=path,
            index=info.entry / "index",
            timeout=_ADD_S,
        )
    faults.point("worktree.add.filled")
    _lock(info, lock)


def _register(repo: Repository, path: Path, name: str | None, *, base: str) -> WorktreeInfo:
    """Let git record a worktree without files, under a reason that says so."""
    if name is not None:
        _make_branch(repo, f"{_HEADS}{name}", base)
    faults.point("worktree.add.branch")
    path.parent.mkdir(parents=True, exist_ok=True)
    what = ["--detach", "--", str(path), base] if name is None else ["--", str(path), name]
    run_git(
        ["worktree", "add", "--quiet", "--no-checkout", "--lock", "--reason", _MAKING, *what],
        git_dir=repo.common_dir,
        timeout=_ADD_S,
    )
    return _entry(repo, path)


def checkout_tree(repo: Repository, commit: str, path: Path) -> None:
    """Make a worktree at *path* with the files of *commit* and no branch, as `add` does."""
    add(repo, path, branch=None, base=commit)


def remove(
    repo: Repository, path: Path, *, timeout: float = 60, alone: Alone = nullcontext
) -> None:
    """Remove the worktree at *path*, its files and git's record of it; its branch stays.

    Half of it may be gone already. Refuses what is no linked worktree of this repository, and
    the ledger's own. While processes still write there it tries again until *timeout*. *alone* is
    held as by `add`, and not while files are removed.
    """
    path = normal(path)
    with alone():
        info = find(repo, path)
        _check_removable(repo, path, info)
        if info is not None:
            _lock(info, _REMOVING)
    faults.point("worktree.remove.marked")
    delete(path, timeout=timeout)
    faults.point("worktree.remove.emptied")
    if info is not None:
        with alone():
            delete(info.entry, timeout=timeout)


def exclude_path(repo: Repository, pattern: str) -> None:
    """Let the whole repository ignore *pattern*: one line of `info/exclude`, added once."""
    file = repo.common_dir / "info/exclude"
    file.parent.mkdir(exist_ok=True)
    with file.open("a+b") as handle:
        handle.seek(0)
        text = handle.read()
        if pattern.encode() in text.splitlines():
            return
        gap = b"" if text.endswith(b"\n") or not text else b"\n"
        handle.write(gap + pattern.encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())


def _is_there(repo: Repository, path: Path, name: str | None, base: str) -> bool:
    """Whether the worktree is there, finished and unchanged; clears away what is in the way."""
    info = find(repo, path)
    if info is None:
        if os.path.lexists(path) and not _is_empty(path):
            raise _occupied("path_occupied", f"{path} exists and is no worktree of ours", path)
        return False
    if info.locked in UNFINISHED:
        remove(repo, path)
        return False
    if not os.path.lexists(path):
        _check_gone(info, base)
        delete(info.entry, timeout=_CLEAR_S)
        return False
    _check_unworked(repo, info, name, base)
    return True


def _check_gone(info: WorktreeInfo, base: str) -> None:
    """Refuse to forget the only name of commits; those of a branch stay on it."""
    if info.branch is None and info.head not in {None, base}:
        raise _occupied("head_moved", f"{info.path} is gone and was at {info.head}", info.path)


def _check_unworked(repo: Repository, info: WorktreeInfo, name: str | None, base: str) -> None:
    """Refuse what somebody may have worked in since it was made."""
    path = info.path
    if info.branch != (name and f"{_HEADS}{name}"):
        raise _occupied(
            "other_branch", f"{path} has {info.branch or 'no branch'} checked out", path
        )
    if info.head != base:
        raise _occupied("head_moved", f"{path} is at {info.head}, not at {base}", path)
    outset = Outset.of(repo, base)
    found = snapshot(
        repo, path, index_dir=Path(tempfile.gettempdir()), timeout=_SNAPSHOT_S, outset=outset
    )
    intact = isinstance(found, Snapshot) and found.pointer and found.tree == repo.tree_of(base)
    if not intact:
        raise _occupied("changed", f"{path} holds changes", path)


def _make_branch(repo: Repository, ref: str, base: str) -> None:
    if swap(repo, [RefUpdate(ref, base, None)], reason="wfledger: worktree"):
        return
    at = repo.tip(ref)
    if at != base:
        raise _occupied("branch_moved", f"{ref} is at {at}, not at {base}", None, ref=ref, at=at)


def _entry(repo: Repository, path: Path) -> WorktreeInfo:
    info = find(repo, path)
    if info is None:
        raise EnvironmentFailedError(f"git has not recorded the worktree {path}", path=str(path))
    return info


def _lock(info: WorktreeInfo, reason: str | None) -> None:
    file = info.entry / "locked"
    if reason is None:
        file.unlink(missing_ok=True)
    else:
        file.write_text(f"{reason}\n", "utf-8")


def _check_removable(repo: Repository, path: Path, info: WorktreeInfo | None) -> None:
    main = repo.main_workdir
    around = [repo.common_dir, *([main] if main else [])]
    if any(path == place or path in place.parents for place in around):
        raise EnvironmentFailedError(f"{path} is no linked worktree", kind="not_a_worktree")
    if info is not None and info.branch == LEDGER_BRANCH and info.locked not in UNFINISHED:
        raise EnvironmentFailedError(f"{path} is the ledger", kind="is_ledger")
    known = info is not None or not os.path.lexists(path) or _is_empty(path)
    if not known and not _pointed_into(repo, path):
        raise EnvironmentFailedError(
            f"{path} is no worktree of this repository", kind="not_a_worktree", path=str(path)
        )


def _pointed_into(repo: Repository, path: Path) -> bool:
    """Whether `.git` there names an entry of this repository that is gone already."""
    with suppress(OSError, UnicodeDecodeError):
        named = path.joinpath(".git").read_text("utf-8").strip().removeprefix("gitdir: ")
        return Path(named).parent == repo.common_dir / "worktrees" and points_to(path, Path(named))
    return False


def delete(path: Path, *, timeout: float) -> None:
    """Delete *path* whatever it is; a link in its place is deleted, not followed."""
    until = _CLOCK.elapsed() + timeout
    while os.path.lexists(path):
        try:
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            else:
                _open_folders(path)
                shutil.rmtree(path)
        except FileNotFoundError:
            continue
        except OSError as error:  # processes that are left still write there
            if _CLOCK.elapsed() > until:
                raise EnvironmentFailedError(
                    f"{path} cannot be removed: {error}", kind="not_removed", path=str(path)
                ) from error
            _CLOCK.wait(_PAUSE_S)


def _open_folders(top: Path) -> None:
    """Make folders writable: caches and mistaken workers leave some that are not."""
    with suppress(OSError):
        top.chmod(stat.S_IRWXU)
    for root, names, _ in os.walk(top):
        for name in names:
            folder = Path(root, name)
            mode = folder.lstat().st_mode
            if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
                folder.chmod(stat.S_IRWXU)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and next(path.iterdir(), None) is None


def _occupied(kind: str, message: str, path: Path | None, **facts: Any) -> WorktreeOccupiedError:
    return WorktreeOccupiedError(
        message,
        hint="look at what is there; it is not overwritten",
        kind=kind,
        path=None if path is None else str(path),
        **facts,
    )
