"""A merge with conflicts, begun in a worktree for a person to resolve by editing the files.

The worktree is left as `git merge` leaves it: what merges is merged, conflicts are marked in the
files and unmerged in the index, and MERGE_HEAD names the other side. `git merge --abort`, `git add`
and `git commit` work there as ever. The merge itself is made in memory, so no merge driver is run.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pygit2
from pygit2.enums import FileMode, MergeFlag

from wfledger.errors import GitError
from wfledger.vcs.proc import run_git
from wfledger.vcs.registry import WorktreeInfo, find
from wfledger.vcs.repo import Repository, translated
from wfledger.vcs.sealed import sealed

_MARK: Final = re.compile(rb"^(<{7} |>{7} )", re.MULTILINE)
_TIMEOUT_S: Final = 600.0
_NONE: Final = b"0" * 40
#: Exit status of `git merge-file` for what is no text; below it, the number of conflicts.
_NO_TEXT: Final = 128


@dataclass(frozen=True)
class _Attempted:
    """Two commits merged as far as it goes."""

    tree: str
    #: `mode oid stage<TAB>path` of what conflicts, as git's index has it.
    stages: tuple[bytes, ...]

    @property
    def paths(self) -> tuple[bytes, ...]:
        """The paths that conflict."""
        return tuple(dict.fromkeys(stage.split(b"\t", 1)[1] for stage in self.stages))


def begin_merge(repo: Repository, worktree: Path, commit: str) -> tuple[str, ...]:
    """Begin to merge *commit* into what is checked out, unchanged, at *worktree*.

    Returns the paths that conflict. Nothing happens where *commit* is merged already. Raises
    `GitError`, also where the two share no history.
    """
    info = _entry(repo, worktree)
    if info.head is None or repo.is_ancestor(commit, info.head):
        return ()
    merged = _merged(repo, info.head, commit)
    with sealed(repo) as private:
        index = info.entry / "index"
        private.run(
            ["read-tree", "--reset", "-u", merged.tree], work_tree=worktree, index=index,
            timeout=_TIMEOUT_S,
        )
        gone = b"".join(b"0 %s\t%s\0" % (_NONE, path) for path in merged.paths)
        stages = b"".join(stage + b"\0" for stage in merged.stages)
        if stages:
            private.run(["update-index", "-z", "--index-info"], index=index, stdin=gone + stages)
    (info.entry / "MERGE_MSG").write_text(f"Merge {commit[:12]}\n", "utf-8")
    (info.entry / "MERGE_MODE").write_text("", "utf-8")
    (info.entry / "MERGE_HEAD").write_text(f"{commit}\n", "utf-8")
    return tuple(os.fsdecode(path) for path in merged.paths)


def merging_with(repo: Repository, worktree: Path) -> str | None:
    """Return the commit that is being merged at *worktree*, None where no merge is under way."""
    info = find(repo, worktree)
    if info is None:
        return None
    try:
        named = (info.entry / "MERGE_HEAD").read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    return named if repo.has_commit(named) else None


def unresolved(repo: Repository, worktree: Path, commit: str) -> tuple[str, ...]:
    """Return the paths whose conflict with *commit* nobody has resolved at *worktree*.

    One is resolved when `git add` or `git rm` said so, or when its file was edited and no mark of
    a conflict is left in it.
    """
    info = _entry(repo, worktree)
    if info.head is None:
        return ()
    merged = _merged(repo, info.head, commit)
    with sealed(repo) as private:
        listed = private.run(["ls-files", "--unmerged", "-z"], index=info.entry / "index").out
    unmerged = {entry.split(b"\t", 1)[1] for entry in listed.split(b"\0") if entry}
    left = [
        path
        for path in merged.paths
        if path in unmerged and _is_untouched(repo, worktree, path, merged.tree)
    ]
    return tuple(os.fsdecode(path) for path in left)


def _is_untouched(repo: Repository, worktree: Path, path: bytes, tree: str) -> bool:
    name = os.fsdecode(path)
    try:
        found = (worktree / name).read_bytes()
    except IsADirectoryError:
        return True
    except OSError:
        return False  # deleted
    return found == repo.read_blob(tree, name) or _MARK.search(found) is not None


def _entry(repo: Repository, worktree: Path) -> WorktreeInfo:
    info = find(repo, worktree)
    if info is None:
        raise GitError(f"{worktree} is no worktree of this repository", kind="not_registered")
    return info


def _merged(repo: Repository, ours: str, theirs: str) -> _Attempted:
    """Merge as far as it goes, as a landing does: without guessing at renames."""
    base = repo.merge_base(ours, theirs)
    sides = [repo.lookup(commit, pygit2.Tree) for commit in (base, ours, theirs)]
    with translated("merge trees"):
        index = repo.objects.merge_trees(sides[0], sides[1], sides[2], flags=MergeFlag(0))
        found = [] if index.conflicts is None else [_Clash(*sides) for sides in index.conflicts]
        names = [entry.path for entry in index]
        for clash in found:
            del index.conflicts[clash.path]
            if not any(name.startswith(f"{clash.path}/") for name in names):
                mode, blob = clash.marked(repo)
                index.add(pygit2.IndexEntry(clash.path, blob, mode))
        tree = str(index.write_tree(repo.objects))
    return _Attempted(tree, tuple(line for clash in found for line in clash.stages))


_Side = pygit2.IndexEntry | None


class _Clash:
    """One path that both sides changed."""

    def __init__(self, base: _Side, ours: _Side, theirs: _Side) -> None:
        self._sides = (base, ours, theirs)
        self._present = [side for side in self._sides if side is not None]
        self.path = self._present[0].path

    @property
    def stages(self) -> list[bytes]:
        """The lines of git's index for it."""
        path = os.fsencode(self.path)
        return [
            b"%o %s %d\t%s" % (side.mode, str(side.id).encode(), stage, path)
            for stage, side in enumerate(self._sides, start=1)
            if side is not None
        ]

    def marked(self, repo: Repository) -> tuple[FileMode, pygit2.Oid]:
        """Return mode and content with the conflict marked in it; of what is no text, one side."""
        side = self._sides[1] or self._sides[2] or self._present[0]
        plain = {FileMode.BLOB, FileMode.BLOB_EXECUTABLE}
        both = self._sides[1] is not None and self._sides[2] is not None
        if not both or any(one.mode not in plain for one in self._present):
            return side.mode, side.id
        odb = repo.objects.odb
        texts = [b"" if one is None else odb.read(one.id)[1] for one in self._sides]
        merged = _with_marks(texts)
        return side.mode, side.id if merged is None else repo.objects.create_blob(merged)


def _with_marks(texts: Sequence[bytes]) -> bytes | None:
    """Merge base, ours and theirs line by line; None where they are no text."""
    with tempfile.TemporaryDirectory(prefix="merge-") as folder:
        files = [Path(folder, name) for name in ("before", "task", "run")]
        for file, text in zip(files, texts, strict=True):
            file.write_bytes(text)
        labels = [part for name in ("task", "before", "run") for part in ("-L", name)]
        order = [str(files[1]), str(files[0]), str(files[2])]
        done = run_git(["merge-file", "-p", *labels, *order], timeout=_TIMEOUT_S, check=False)
    return done.out if 0 <= done.status < _NO_TEXT else None
