"""Turns a worktree into a tree, and compares trees.

The worktree is the worker's, so its tree is built here from the files themselves, with a private
index and in a sealed git directory: neither index flags, nor excludes, nor configuration, nor a
`.git` that leads elsewhere change what is found. Ignored files are left out; nothing else is.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pygit2
from pygit2.enums import DiffOption, FileMode

from wfledger.core.changes import Change, Entry
from wfledger.errors import EnvironmentFailedError, GitError
from wfledger.vcs.registry import WorktreeInfo, find, points_to
from wfledger.vcs.repo import Repository, translated
from wfledger.vcs.sealed import Sealed, ignored_by_user, sealed

_FORBIDDEN: Final = (
    (re.compile(rb"^error: invalid path '(.*)'$", re.MULTILINE), "git refuses this name"),
    (
        re.compile(rb"^error: '(.*)/' does not have a commit checked out$", re.MULTILINE),
        "a repository of its own, without a commit",
    ),
)
_FROM_STDIN: Final = ("--pathspec-from-file=-", "--pathspec-file-nul")
#: Bytes of a symbolic link's target that are read; the kernel allows no more.
_TARGET_BYTES: Final = 4096


class SnapshotRefused(EnvironmentFailedError):  # noqa: N818 - the name is the contract's
    """The worktree cannot be turned into a tree; the files stay where they are.

    The fact `kind` is worktree_missing, worktree_replaced (not a directory any more),
    not_registered (and no base was given), unreadable or failed.
    """

    code = "snapshot"


@dataclass(frozen=True)
class Outset:
    """What stood when the worktree was handed over; read before the worker starts."""

    #: The commit that the worktree was made from.
    base: str | None = None
    #: The text of the exclude files that hold besides `.gitignore`.
    ignore: str = ""
    #: Where HEAD of a clone leads, once that is here; of a linked worktree it is looked up.
    head: str | None = None

    @classmethod
    def of(cls, repo: Repository, base: str) -> "Outset":
        """Record what holds now."""
        return cls(base, ignored_by_user(repo))


@dataclass(frozen=True)
class Snapshot:
    """A worktree as a tree; where its HEAD is does not change the tree and is told beside it."""

    #: Tracked and untracked files as they are, without ignored and excluded ones.
    tree: str
    #: The commit that HEAD leads to; None where it leads nowhere (an orphan branch, a lost entry).
    head: str | None
    #: The branch that is checked out, None when HEAD is detached or lost.
    branch: str | None
    #: Whether `.git` still is the pointer that git wrote; what the worker's own git did since
    #: it changed has happened elsewhere.
    pointer: bool


@dataclass(frozen=True)
class ForbiddenPath:
    """The worktree holds something that no tree may hold; nothing was recorded."""

    path: str
    reason: str


#: Nothing is known of how it stood.
UNKNOWN: Final = Outset()


def snapshot(
    repo: Repository,
    worktree: Path,
    *,
    index_dir: Path,
    timeout: float,
    exclude: Sequence[str] = (),
    outset: Outset = UNKNOWN,
) -> Snapshot | ForbiddenPath:
    """Write the tree of *worktree*, durably, and return it. Nothing in the worktree changes.

    *exclude* names paths, and all below them, that preparation put there: they count as they are
    in the base. *index_dir* is where the private index may stand meanwhile. *timeout* holds for
    each git command. Raises `SnapshotRefused`.
    """
    info = _registered(repo, worktree, outset)
    head = info.head if info else outset.head
    base = repo.tree_of(outset.base) if outset.base else None
    seed = repo.tree_of(head) if head else base
    with sealed(repo, parent=index_dir, ignore=outset.ignore) as private:
        build = _Build(private, worktree, timeout)
        try:
            tree = build.tree(seed, base, [path.strip("/") for path in exclude])
        except _ForbiddenError as found:
            return found.value
    return Snapshot(
        tree=tree,
        head=head,
        branch=info.branch if info else None,
        pointer=info is not None and points_to(worktree, info.entry),
    )


def _registered(repo: Repository, worktree: Path, outset: Outset) -> WorktreeInfo | None:
    try:
        mode = worktree.lstat().st_mode
    except FileNotFoundError:
        raise SnapshotRefused(
            f"the worktree {worktree} is gone", kind="worktree_missing", path=str(worktree)
        ) from None
    if not stat.S_ISDIR(mode):
        raise SnapshotRefused(
            f"{worktree} is not a directory any more", kind="worktree_replaced", path=str(worktree)
        )
    info = find(repo, worktree)
    if info is None and outset.base is None:
        raise SnapshotRefused(
            f"{worktree} is no worktree of this repository",
            kind="not_registered",
            path=str(worktree),
        )
    return info


class _ForbiddenError(Exception):
    def __init__(self, value: ForbiddenPath) -> None:
        super().__init__(value.path)
        self.value = value


@dataclass(frozen=True)
class _Build:
    """The steps from a worktree to a tree."""

    private: Sealed
    worktree: Path
    timeout: float

    def tree(self, seed: str | None, base: str | None, exclude: Sequence[str]) -> str:
        self._git(["read-tree", seed or "--empty"])
        if exclude and base and base != seed:
            self._git(["reset", "-q", base, *_FROM_STDIN], _pathspecs("", exclude))
        links = self._take_links()
        self._git(["add", "-A", *_FROM_STDIN], b":(top)\0" + _pathspecs("exclude,", exclude))
        self._put_links(links)
        return self._git(["write-tree"]).decode().strip()

    def _take_links(self) -> dict[bytes, bytes]:
        """Take the commits of submodules out of the index, and return them by path.

        For one that is in the index git asks a `git status` inside it whether it is dirty, which
        obeys that repository's configuration; one that is not it only reads.
        """
        entries = self._git(["ls-files", "--stage", "-z"]).split(b"\0")
        pairs = (entry.split(b"\t", 1) for entry in entries if entry.startswith(b"160000 "))
        links = {path: facts.split()[1] for facts, path in pairs}
        self._index_info(b"0 %s\t%s\0" % (b"0" * 40, path) for path in links)
        return links

    def _put_links(self, links: dict[bytes, bytes]) -> None:
        """Put back the submodules that are as a checkout leaves them: an empty directory."""
        kept = {path: oid for path, oid in links.items() if self._is_empty(path)}
        self._index_info(b"160000 %s\t%s\0" % (oid, path) for path, oid in kept.items())

    def _is_empty(self, name: bytes) -> bool:
        path = self.worktree / os.fsdecode(name)
        try:
            return not path.is_symlink() and next(path.iterdir(), None) is None
        except OSError:
            return False

    def _index_info(self, lines: Iterable[bytes]) -> None:
        stdin = b"".join(lines)
        if stdin:
            self._git(["update-index", "-z", "--index-info"], stdin)

    def _git(self, args: Sequence[str], stdin: bytes = b"") -> bytes:
        try:
            done = self.private.run(
                args, work_tree=self.worktree, stdin=stdin, timeout=self.timeout
            )
        except GitError as error:
            raise _explained(error) from error
        return done.out


def _pathspecs(magic: str, paths: Sequence[str]) -> bytes:
    specs = (f":(top,{magic}literal){path}\0" for path in paths if path)
    return "".join(specs).encode("utf-8", "surrogateescape")


def _explained(error: GitError) -> Exception:
    """Return what a failed git command means: a path that no tree may hold, or a refusal."""
    said = str(error.facts.get("stderr", "")).encode("utf-8", "surrogateescape")
    for pattern, reason in _FORBIDDEN:
        found = pattern.search(said)
        if found:
            return _ForbiddenError(ForbiddenPath(found[1].decode("utf-8", "replace"), reason))
    facts = {**error.facts, "kind": "unreadable" if b"Permission denied" in said else "failed"}
    return SnapshotRefused(f"the worktree could not be recorded: {error.message}", **facts)


def diff(repo: Repository, old_tree: str, new_tree: str) -> tuple[Change, ...]:
    """Return every path that differs, in the order of the trees, never guessing at renames.

    Both may be trees or commits.
    """
    old, new = repo.lookup(old_tree, pygit2.Tree), repo.lookup(new_tree, pygit2.Tree)
    with translated("compare trees"):
        found = old.diff_to_tree(new, flags=DiffOption.INCLUDE_TYPECHANGE)
        return tuple(_change(repo, delta) for delta in found.deltas)


def _change(repo: Repository, delta: pygit2.DiffDelta) -> Change:
    new = _entry(repo, delta.new_file)
    target = None
    if new is not None and new.mode == FileMode.LINK:
        target = repo.objects.odb.read(delta.new_file.id)[1][:_TARGET_BYTES]
    return Change(
        path=delta.new_file.raw_path, old=_entry(repo, delta.old_file), new=new, target=target
    )


def _entry(repo: Repository, file: pygit2.DiffFile) -> Entry | None:
    mode = int(file.mode)
    if mode == FileMode.UNREADABLE:
        return None
    size = None
    if mode != FileMode.COMMIT:
        size = repo.objects.odb.read_header(file.id)[1]
    return Entry(mode=mode, oid=str(file.id), size=size)


def path_siblings(repo: Repository, tree: str) -> Callable[[bytes], tuple[bytes, ...]]:
    """Return what lists a folder of *tree* (`b""` is the root): the names directly in it.

    Folders are read when they are asked for; what is no folder has no names.
    """
    known = {b"": _children(repo.lookup(tree, pygit2.Tree))}

    def listing(folder: bytes) -> tuple[bytes, ...]:
        path = b""
        for name in folder.split(b"/") if folder else ():
            child = known[path].get(name)
            path = path + b"/" + name if path else name
            if path not in known:
                known[path] = _children(child)
        return tuple(known[path])

    return listing


def _children(folder: pygit2.Object | None) -> dict[bytes, pygit2.Object]:
    if not isinstance(folder, pygit2.Tree):
        return {}
    with translated("list a folder"):
        return {item.raw_name or b"": item for item in folder}


def show_diff(
    repo: Repository, old: str, new: str, *, color: bool, paths: Sequence[str] = ()
) -> bytes:
    """Return the difference of two trees or commits for people to read."""
    args = ["diff", "--no-ext-diff", "--no-textconv", f"--color={'always' if color else 'never'}"]
    specs = [f":(top,literal){path}" for path in paths]
    with sealed(repo) as private:
        done = private.run([*args, repo.tree_of(old), repo.tree_of(new), "--", *specs])
    return done.out
