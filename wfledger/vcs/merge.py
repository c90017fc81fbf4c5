"""Merges trees in memory, path by path, without guessing at renames (spec 50).

Rename detection would let an edit of an in-scope path land in another one. Merging happens in the
object database alone: a merge driver or `merge=union` that someone planted in the shared directory
is not seen, so a conflict stays one.
"""

from dataclasses import dataclass

import pygit2
from pygit2.enums import MergeFlag

from wfledger.vcs.repo import Repository, translated


@dataclass(frozen=True)
class ConflictPath:
    """One path that both sides changed; an object id is None where that side has no such file."""

    path: str
    base: str | None
    ours: str | None
    theirs: str | None


@dataclass(frozen=True)
class Merged:
    """Both sides fit together."""

    tree: str


@dataclass(frozen=True)
class Conflict:
    """They do not; by path, and nothing was written that any ref leads to."""

    paths: tuple[ConflictPath, ...]


def merge_trees(repo: Repository, *, base: str, ours: str, theirs: str) -> Merged | Conflict:
    """Merge *theirs* into *ours* as seen from *base*; each is a commit or a tree.

    Raises `GitError` where one of them does not exist or cannot be read; that is never a conflict.
    """
    sides = [repo.lookup(oid, pygit2.Tree) for oid in (base, ours, theirs)]
    with translated("merge trees"):
        # No FIND_RENAMES, which is libgit2's default.
        index = repo.objects.merge_trees(sides[0], sides[1], sides[2], flags=MergeFlag(0))
        if index.conflicts is None:
            return Merged(str(index.write_tree(repo.objects)))
        found = {_conflict(*entries) for entries in index.conflicts}
    return Conflict(tuple(sorted(found, key=lambda conflict: conflict.path)))


def _conflict(
    base: pygit2.IndexEntry | None, ours: pygit2.IndexEntry | None, theirs: pygit2.IndexEntry | None
) -> ConflictPath:
    oids = [None if side is None else str(side.id) for side in (base, ours, theirs)]
    path = next(side.path for side in (base, ours, theirs) if side is not None)
    return ConflictPath(str(path), *oids)
