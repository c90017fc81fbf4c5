"""What setup left in a worktree, as git sees it; for `preparation`, before any worker has run."""

import shutil
from pathlib import Path
from typing import Final

from wfledger.errors import EnvironmentFailedError
from wfledger.run.attempts.preparation import Surveyed
from wfledger.vcs.clone import is_clone
from wfledger.vcs.registry import find
from wfledger.vcs.repo import Repository
from wfledger.vcs.sealed import Sealed, ignored_by_user, sealed

_TIMEOUT_S: Final = 300.0


def survey(repo: Repository, worktree: Path, *, scratch: Path | None = None) -> Surveyed:
    """Look at the registered *worktree*; nothing in it or in its index changes.

    *scratch* is where a private index may stand meanwhile. Raises `EnvironmentFailedError`.
    """
    info = find(repo, worktree)
    if info is None and not is_clone(repo, worktree):
        raise EnvironmentFailedError(f"{worktree} is no worktree of this repository")
    index = (info.entry if info else worktree / ".git") / "index"
    with sealed(repo, parent=scratch, ignore=ignored_by_user(repo)) as private:
        try:
            # Git's own index of the checkout knows which files are unchanged without reading them;
            # by the index's own time it knows which entries are too young to be believed.
            shutil.copy2(index, private.directory / "index", follow_symlinks=False)
        except OSError as error:
            raise EnvironmentFailedError(f"{worktree} has no index: {error}") from error
        # Status 1 only says that something is modified.
        _run(private, worktree, "update-index", "-q", "--refresh", check=False)
        modified = _run(
            private, worktree, "diff-files", "--name-only", "--ignore-submodules=all", "-z"
        )
        untracked = _run(
            private,
            worktree,
            *("ls-files", "--others", "--exclude-standard", "-z"),
            *("--directory", "--no-empty-directory"),
        )
    return Surveyed(tuple(name.rstrip("/") for name in untracked), modified)


def _run(private: Sealed, worktree: Path, *args: str, check: bool = True) -> tuple[str, ...]:
    done = private.run(args, work_tree=worktree, timeout=_TIMEOUT_S, check=check)
    return tuple(name for name in done.text().split("\0") if name)
