"""What one commit of the ledger's history holds, and in what two of them differ.

Commits come from a remote that others write to: only regular files below folders are read, each of
them bounded; everything else is said to be odd (WFL-HUB-026).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pygit2
from pygit2.enums import DeltaStatus, FileMode

from wfledger.vcs.repo import Repository, translated

_PLAIN: Final = frozenset({FileMode.BLOB, FileMode.BLOB_EXECUTABLE})


@dataclass(frozen=True)
class Odd:
    """What is there and is not read."""

    reason: str


@dataclass(frozen=True)
class Difference:
    """One path that two commits have not alike."""

    path: str
    #: Whether the newer one has it.
    is_there: bool


class Standing:
    """The files of one commit; folders that were looked into are remembered."""

    def __init__(self, repo: Repository, commit: str) -> None:
        self.commit = commit
        self._repo = repo
        self._folders: dict[str, pygit2.Tree | None] = {"": repo.lookup(commit, pygit2.Tree)}

    def read(self, path: str, *, limit: int) -> bytes | Odd | None:
        """Return the content of the file *path*; None where there is none."""
        parent, _, name = path.rpartition("/")
        with translated(f"read {path}"):
            folder = self._folder(parent)
            if folder is None or name not in folder:
                return None
            entry = folder[name]
            if not isinstance(entry, pygit2.Blob) or entry.filemode not in _PLAIN:
                return Odd(f"{path} is no regular file")
            if entry.size > limit:
                return Odd(f"{path} has {entry.size} bytes; at most {limit} are read")
            return entry.data

    def _folder(self, path: str) -> pygit2.Tree | None:
        if path not in self._folders:
            parent, _, name = path.rpartition("/")
            above = self._folder(parent)
            found = above[name] if above is not None and name in above else None
            self._folders[path] = found if isinstance(found, pygit2.Tree) else None
        return self._folders[path]


def differences(repo: Repository, old: str | None, new: str) -> Iterator[Difference]:
    """Yield every path in which *new* differs from *old*; with None, every path of *new*.

    A path that is no UTF-8 names nothing of a ledger and is left out.
    """
    after = repo.lookup(new, pygit2.Tree)
    with translated("compare histories"):
        if old is None:
            found = after.diff_to_tree(swap=True)
        else:
            found = repo.lookup(old, pygit2.Tree).diff_to_tree(after)
        for delta in found.deltas:
            raw = delta.new_file.raw_path or delta.old_file.raw_path
            try:
                path = raw.decode("utf-8")
            except UnicodeDecodeError:
                continue
            yield Difference(path, delta.status != DeltaStatus.DELETED)
