"""A merge with conflicts, begun in a worktree for a person to resolve by editing the files.

The worktree is left as `git merge` leaves it: what merges is merged, conflicts are marked in the
files and unmerged in the index, and MERGE_HEAD names the other side. `git merge --abort`, `git add`
and `git commit` work there as ever. The merge itself is made in a sealed directory.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.errors import GitError
from wfledger.vcs.registry import WorktreeInfo, find
from wfledger.vcs.repo import Repository
from wfledger.vcs.sealed import Sealed, sealed

_MARK: Final = re.compile(rb"^(<{7} |>{7} )", re.MULTILINE)
_TIMEOUT_S: Final = 600.0
_NONE: Final = b"0" * 40


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
    repo.merge_base(info.head, commit)
    with sealed(repo) as private:
        merged = _merged(private, info.head, commit)
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
    with sealed(repo) as private:
        merged = _merged(private, info.head, commit)
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
    except OSError:
        return False  # deleted, or something else now
    return found == repo.read_blob(tree, name) or _MARK.search(found) is not None


def _entry(repo: Repository, worktree: Path) -> WorktreeInfo:
    info = find(repo, worktree)
    if info is None:
        raise GitError(f"{worktree} is no worktree of this repository", kind="not_registered")
    return info


def _merged(private: Sealed, ours: str, theirs: str) -> _Attempted:
    """Merge in memory; renames are not guessed at, as in a landing."""
    options = ["-c", "merge.renames=false", "-c", "merge.conflictStyle=merge"]
    command = ["merge-tree", "--write-tree", "-z", "--no-messages", ours, theirs]
    done = private.run([*options, *command], timeout=_TIMEOUT_S, check=False)
    tree, *stages = done.out.split(b"\0")
    if done.status not in {0, 1} or len(tree) != len(_NONE):
        said = done.err.decode("utf-8", "replace")
        raise GitError("git merge-tree failed", kind="failed", stderr=said)
    return _Attempted(tree.decode(), tuple(stage for stage in stages if stage))
