"""A repository of a worker's own: its objects come from the user's, nothing else is shared.

It has references, configuration and hooks that only its worker meets, and borrows the user's
objects through `objects/info/alternates`. Nothing of it is ever obeyed: it is made file by file,
its HEAD is read as text, and its commits come over as a pack that is built in a sealed directory
and checked object by object. Git is never run in it.

What it borrows must stay in the user's repository while it lives. Its base does: the run's branch
reaches it.
"""

import os
import re
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wfledger import faults
from wfledger.errors import GitError, ScopeError
from wfledger.vcs import proc
from wfledger.vcs.registry import read_small
from wfledger.vcs.repo import Repository
from wfledger.vcs.sealed import ignored_by_user, sealed
from wfledger.vcs.trees import Outset, Snapshot, snapshot
from wfledger.vcs.worktree import WorktreeOccupiedError, delete

faults.register("clone.filled", "clone.made", "clone.packed")

_OID: Final = re.compile(r"[0-9a-f]{40}\Z")
_BRANCH: Final = re.compile(r"refs/heads/[A-Za-z0-9][A-Za-z0-9._/-]*\Z")
_MAKING: Final = ".making"
#: Objects, and bytes, up to which they are stored one by one; git's own limit for a fetch.
_LOOSE: Final = 100
_LOOSE_BYTES: Final = 8 * 2**20
#: What stands in a repository's configuration and holds for its clone too.
_CARRIED: Final = frozenset(
    {"core.autocrlf", "core.eol", "core.safecrlf", "core.ignorecase", "core.precomposeunicode",
     "core.symlinks", "core.filemode", "user.name", "user.email"}
)  # fmt: skip
#: Files beside the objects that say what is in them; the worker may have written others.
_NO_SHORTCUTS: Final = ("-c", "core.commitGraph=false", "-c", "core.multiPackIndex=false")


class UnsoundError(ScopeError):
    """The commits of a clone are broken, or reach what is not there; none came over."""

    code = "unsound"


@dataclass(frozen=True)
class Head:
    """Where HEAD of a clone leads; its branch is None when it is detached."""

    commit: str
    branch: str | None


def add(
    repo: Repository, path: Path, *, branch: str | None, base: str, timeout: float = 300
) -> None:
    """Make a clone at *path* with the files of the commit *base*.

    *branch* (a full ref) is checked out in it; without one HEAD is detached. It is there whole or
    not at all; one that is there already and unchanged is adopted. Raises `WorktreeOccupiedError`
    where a leftover may hold work.
    """
    if _is_there(repo, path, base, timeout):
        return
    making = path.with_name(path.name + _MAKING)
    delete(making, timeout=timeout)
    git_dir = making / ".git"
    for name in ("objects/info", "objects/pack", "refs/heads", "info"):
        (git_dir / name).mkdir(parents=True)
    borrowed = f"{repo.common_dir / 'objects'}\n"
    (git_dir / "objects/info/alternates").write_text(borrowed, "utf-8", "surrogateescape")
    (git_dir / "info/exclude").write_text(ignored_by_user(repo), "utf-8", "surrogateescape")
    (git_dir / "config").write_text(_config(repo), "utf-8", "surrogateescape")
    (git_dir / "HEAD").write_text(f"ref: {branch}\n" if branch else f"{base}\n")
    if branch:
        (git_dir / branch).parent.mkdir(parents=True, exist_ok=True)
        (git_dir / branch).write_text(f"{base}\n")
    if repo.shallow:
        shutil.copyfile(repo.common_dir / "shallow", git_dir / "shallow")
    with sealed(repo) as private:
        private.run(
            ["read-tree", "--reset", "-u", repo.tree_of(base)],
            work_tree=making, index=git_dir / "index", timeout=timeout,
        )
    faults.point("clone.filled")
    making.rename(path)
    faults.point("clone.made")


def remove(path: Path, *, timeout: float = 60) -> None:
    """Remove the clone at *path*, also half of one; nothing of it is left."""
    delete(path.with_name(path.name + _MAKING), timeout=timeout)
    delete(path, timeout=timeout)


def is_clone(repo: Repository, path: Path) -> bool:
    """Whether a repository stands at *path* that borrows the objects of *repo*."""
    text = read_small(path / ".git/objects/info/alternates")
    return text == f"{repo.common_dir / 'objects'}\n" and _is_folder(path / ".git")


def head_of(path: Path) -> Head | None:
    """Return where HEAD of the clone at *path* leads; None where nobody can say."""
    git_dir = path / ".git"
    text = (read_small(git_dir / "HEAD") or "").strip() if _is_folder(git_dir) else ""
    if _OID.match(text):
        return Head(text, None)
    ref = text.removeprefix("ref: ")
    if not text.startswith("ref: ") or not _BRANCH.match(ref) or ".." in ref:
        return None
    commit = _loose(git_dir, ref) or _packed(git_dir, ref)
    return Head(commit, ref) if commit else None


def bring(
    repo: Repository, path: Path, commit: str, *, base: str, scratch: Path, timeout: float
) -> None:
    """Bring *commit* of the clone at *path* over, with all that it reaches and *base* does not.

    Every object is checked on the way and stored durably; no ref names it yet. Raises
    `UnsoundError`; *scratch*, on the repository's file system, is for files in between.
    """
    objects = path / ".git/objects"
    if commit == base:
        return
    if not is_clone(repo, path) or not _is_plain(objects):
        raise UnsoundError(f"the objects in {path} are not as git keeps them", path=str(path))
    with tempfile.TemporaryDirectory(prefix="sealed-", dir=scratch) as folder, sealed(
        repo, parent=scratch
    ) as private:
        reading = replace(
            private, objects=private.directory / "objects", also=(private.objects, objects)
        )
        try:
            done = reading.run(
                [*_NO_SHORTCUTS, "pack-objects", "-q", "--revs", f"{folder}/pack"],
                stdin=f"{commit}\n^{base}\n".encode(), timeout=timeout,
            )
            faults.point("clone.packed")
            pack = Path(folder, f"pack-{done.text()}.pack")
            count = int.from_bytes(pack.read_bytes()[8:12], "big") if _is_small(pack) else _LOOSE
            if count < _LOOSE:
                private.run(
                    ["unpack-objects", "-q", "--strict"], stdin=pack.read_bytes(), timeout=timeout
                )
                return
            private.run(["index-pack", "--strict", str(pack)], timeout=timeout)
        except GitError as error:
            if error.facts.get("kind") != "failed":
                raise
            raise UnsoundError(
                f"the commits in {path} cannot be taken: {error.message}", path=str(path)
            ) from error
        _store(pack, private.objects / "pack")


def _store(pack: Path, folder: Path) -> None:
    """Move a checked pack to the objects; its index last, for that makes it known."""
    folder.mkdir(exist_ok=True)
    for name in (pack, pack.with_suffix(".idx")):
        name.chmod(0o444)
        name.rename(folder / name.name)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_small(pack: Path) -> bool:
    return pack.stat().st_size < _LOOSE_BYTES


def _is_there(repo: Repository, path: Path, base: str, timeout: float) -> bool:
    if not os.path.lexists(path):
        return False
    head = head_of(path)
    if head is not None and head.commit == base and is_clone(repo, path):
        found = snapshot(
            repo, path, index_dir=Path(tempfile.gettempdir()), timeout=timeout,
            outset=Outset.of(repo, base),
        )
        if isinstance(found, Snapshot) and found.tree == repo.tree_of(base):
            return True
    raise WorktreeOccupiedError(
        f"{path} is there already and may hold work",
        hint="look at what is there; it is not overwritten", kind="path_occupied", path=str(path),
    )


def _config(repo: Repository) -> str:
    lines = ["[core]", "\trepositoryformatversion = 0", "\tbare = false"]
    for setting in proc.settings(repo.git_dir):
        if setting.key in _CARRIED and not setting.of_user:
            section, _, name = setting.key.partition(".")
            value = setting.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            lines += [f"[{section}]", f'\t{name} = "{value}"']
    return "\n".join(lines) + "\n"


def _loose(git_dir: Path, ref: str) -> str | None:
    file = git_dir / ref
    inside = Path(os.path.realpath(file.parent)).is_relative_to(os.path.realpath(git_dir))
    text = (read_small(file) or "").strip() if inside else ""
    return text if _OID.match(text) else None


def _packed(git_dir: Path, ref: str) -> str | None:
    for line in (read_small(git_dir / "packed-refs") or "").splitlines():
        commit, _, name = line.partition(" ")
        if name == ref and _OID.match(commit):
            return commit
    return None


def _is_plain(top: Path) -> bool:
    """Whether there are only files and folders, so that no reading waits or leads elsewhere."""
    if not _is_folder(top):
        return False
    for root, folders, files in os.walk(top):
        if any(Path(root, name).is_symlink() for name in folders):
            return False
        if not all(stat.S_ISREG(Path(root, name).lstat().st_mode) for name in files):
            return False
    return True


def _is_folder(path: Path) -> bool:
    with suppress(OSError):
        return stat.S_ISDIR(path.lstat().st_mode)
    return False
