"""The user's own checkout: looked at, and moved forward only by `land`.

Here git is run with the user's own configuration, as they would run it, since their filters decide
how files look; hooks and fsmonitor stay switched off (see `proc`). Nothing that is not committed is
ever overwritten: git's own `--ff-only` and `--keep` refuse that.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wfledger.core.changes import Change
from wfledger.vcs.proc import Finished, run_git
from wfledger.vcs.registry import listed, shares
from wfledger.vcs.repo import Repository

_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Checkout:
    """A working tree and the git directory that belongs to it."""

    path: Path
    git_dir: Path

    def git(self, args: Sequence[str], *, check: bool = True) -> Finished:
        """Run git on this checkout."""
        env = {"GIT_WORK_TREE": str(self.path), "GIT_CONFIG_GLOBAL": str(_user_config())}
        return run_git(args, git_dir=self.git_dir, env=env, timeout=_TIMEOUT_S, check=check)


def _user_config() -> Path:
    named = os.environ.get("GIT_CONFIG_GLOBAL")
    if named:
        return Path(named)
    home = Path(os.environ.get("HOME", "/"))
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "git" / "config"
    plain = home / ".gitconfig"
    return plain if plain.exists() or not xdg.exists() else xdg


def checkout_of(repo: Repository, branch: str) -> Checkout | None:
    """Return where *branch* (a full name) is checked out, or None."""
    if repo.workdir is not None and repo.head_branch() == branch:
        return Checkout(repo.workdir, repo.common_dir)
    for info in listed(repo):
        if info.branch == branch and not info.prunable and shares(info.entry, repo.common_dir):
            return Checkout(info.path, info.entry)
    return None


def uncommitted(checkout: Checkout) -> frozenset[str]:
    """Return the paths that differ from HEAD or are not tracked, ignored ones left out."""
    done = checkout.git(
        ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames",
         "--ignore-submodules=all"]
    )  # fmt: skip
    return frozenset(entry[3:] for entry in done.text().split("\0") if entry)


def in_the_way(checkout: Checkout, changes: Iterable[Change]) -> tuple[str, ...]:
    """Return the uncommitted paths that *changes* to the branch would run into.

    Also an ignored file where one is added: git itself would overwrite it.
    """
    dirty, found = uncommitted(checkout), set[str]()
    above = {parent for path in dirty for parent in _parents(path)}
    for change in changes:
        path = os.fsdecode(change.path)
        found |= {path, *_parents(path)} & dirty
        if path in above:  # a folder with uncommitted files becomes something else
            found |= {name for name in dirty if name.startswith(f"{path}/")}
        where = checkout.path / path
        if change.old is None and os.path.lexists(where) and not _is_folder(where):
            found.add(path)
    return tuple(sorted(found))


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def fast_forward(checkout: Checkout, commit: str) -> None:
    """Bring the branch that is checked out forward to *commit*, and the files with it.

    Raises `GitError` when git refuses; nothing has changed then.
    """
    checkout.git(["merge", "--ff-only", "--no-overwrite-ignore", "--quiet", commit])


def reset_keep(checkout: Checkout, commit: str) -> None:
    """Take the branch that is checked out back to *commit*; uncommitted work stays."""
    checkout.git(["reset", "--keep", "--quiet", commit])
