"""The user's repository: what it is, where it is, and reading and writing its objects.

Objects are read and written through libgit2, which runs no hook, filter or driver. Everything that
is decided by comparing or merging trees goes through `Repository.objects`, a view of the object
database that knows no configuration, attributes or references: a worker can plant those in the
shared directory, objects it cannot change.
"""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeVar

import pygit2
from pygit2.enums import FileMode, FileStatus, Option, SortMode

from wfledger.errors import GitError
from wfledger.vcs import proc
from wfledger.vcs.discovery import Place, classify, locate

# For the whole process: without it a power cut leaves branches that point at empty objects.
pygit2.option(Option.ENABLE_FSYNC_GITDIR, True)

_OID: Final = re.compile(r"[0-9a-f]{40}\Z")
_TRAILER: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*): ?(.*)\Z")
ObjectT = TypeVar("ObjectT", pygit2.Commit, pygit2.Tree)


@dataclass(frozen=True)
class Identity:
    """Who made a commit."""

    name: str
    email: str


@dataclass(frozen=True)
class CommitInfo:
    """One commit of a history, without its content."""

    oid: str
    subject: str
    author: Identity
    time: datetime
    #: The trailers of the last paragraph in their order; a key may stand more than once.
    pairs: tuple[tuple[str, str], ...]
    parents: tuple[str, ...] = ()

    @property
    def trailers(self) -> dict[str, str]:
        """The trailers by key, the last of each."""
        return dict(self.pairs)

    def values(self, key: str) -> tuple[str, ...]:
        """Return every value of the trailer *key*."""
        return tuple(value for name, value in self.pairs if name == key)


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn what libgit2 raises into `GitError`; *action* says what failed."""
    try:
        yield
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        raise GitError(f"{action}: {error}", kind="libgit2") from error


class Repository:
    """A repository and its paths; may be used from every thread."""

    def __init__(self, place: Place) -> None:
        #: The directory that all worktrees share.
        self.common_dir = place.common_dir
        #: The git directory of the worktree that was discovered.
        self.git_dir = place.git_dir
        #: The worktree that was discovered, or None where only the shared directory is known.
        self.workdir = place.workdir
        #: The main worktree.
        self.main_workdir = place.main_workdir
        #: What `start` was in: main, linked, submodule, or the ledger's own worktree.
        self.kind: Literal["main", "linked", "submodule", "ledger"] = place.kind
        self._local = threading.local()

    @classmethod
    def discover(cls, start: Path) -> "Repository":
        """Find the repository that *start* is in.

        Raises `RepositoryError`, whose fact `kind` is one of not_a_repository, bare, no_commits,
        sha256, reftable, partial_clone, not_owned, unsupported, git_too_old, no_git.
        """
        place = locate(start)
        repository = cls(place)
        classify(place, repository.git)
        return repository

    @classmethod
    def open(cls, common_dir: Path) -> "Repository":
        """Open the repository whose shared directory is *common_dir*, as its main worktree.

        Raises as `discover` does, but for no_commits: the user may stand on an orphan branch.
        """
        place = locate(common_dir)
        repository = cls(place)
        classify(place, repository.git, unborn=True)
        return repository

    @property
    def shallow(self) -> bool:
        """Whether some histories end here before they do elsewhere."""
        return (self.common_dir / "shallow").exists()

    @property
    def git(self) -> pygit2.Repository:
        """Libgit2's repository; one for each thread, as libgit2 demands."""
        found: pygit2.Repository | None = getattr(self._local, "git", None)
        if found is None:
            with translated(f"open {self.git_dir}"):
                found = self._local.git = pygit2.Repository(str(self.git_dir))
        return found

    @property
    def objects(self) -> pygit2.Repository:
        """The bare object database, blind to configuration and attributes; one for each thread."""
        found: pygit2.Repository | None = getattr(self._local, "objects", None)
        if found is None:
            with translated(f"open {self.common_dir}"):
                found = pygit2.Repository()
                found.set_odb(pygit2.Odb(str(self.common_dir / "objects")))
            self._local.objects = found
        return found

    def head_branch(self) -> str | None:
        """Return the full name of the branch that is checked out, None when HEAD is detached."""
        with translated("read HEAD"):
            target = self.git.lookup_reference("HEAD").target
        return target if isinstance(target, str) else None

    def changed_files(self, branch: str) -> int:
        """Count tracked files of the main checkout that differ from *branch*, a full name.

        No filter is run to see that, and nothing is written; 0 where another branch is there.
        """
        if self.workdir is None or self.head_branch() != branch:
            return 0
        with translated("look at the checkout"):
            found = self.git.status(untracked_files="no", ignored=False)
        return sum(1 for flags in found.values() if flags != FileStatus.CURRENT)

    def tip(self, ref: str) -> str | None:
        """Return the object that *ref* names, None where there is no such ref."""
        with translated(f"read {ref}"):
            found = self.git.references.get(ref)
            if found is None:
                return None
            try:
                return str(found.resolve().target)
            except KeyError:  # a symbolic ref to nothing
                return None

    def resolve(self, revision: str) -> str | None:
        """Return the commit that a person means by *revision*, None where there is none."""
        try:
            return str(self.git.revparse_single(revision).peel(pygit2.Commit).id)
        except (pygit2.GitError, KeyError, ValueError):
            return None

    def lookup(self, oid: str, kind: type[ObjectT]) -> ObjectT:
        """Return the object *oid*, peeled to *kind*; raises `GitError` where there is none."""
        if not _OID.match(oid):
            raise GitError(f"{oid!r} is no object id", kind="no_object", oid=oid)
        try:
            return self.objects[oid].peel(kind)
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise GitError(
                f"there is no {kind.__name__.lower()} {oid}", kind="no_object", oid=oid
            ) from error

    def has_commit(self, oid: str) -> bool:
        """Whether *oid* is the full id of a commit that is here."""
        try:
            return str(self.lookup(oid, pygit2.Commit).id) == oid
        except GitError:
            return False

    def tree_of(self, revision: str) -> str:
        """Return the tree of a commit, or the tree itself, by full object id."""
        return str(self.lookup(revision, pygit2.Tree).id)

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether *ancestor* is reachable from *descendant*; a commit is its own ancestor."""
        old = self.lookup(ancestor, pygit2.Commit).id
        new = self.lookup(descendant, pygit2.Commit).id
        with translated("compare histories"):
            return old == new or self._graph.descendant_of(new, old)

    def merge_base(self, one: str, other: str) -> str:
        """Return the best common ancestor; raises `GitError` where the histories share none."""
        with translated("merge-base"):
            base = self.objects.merge_base(one, other)
        if base is None:
            raise GitError(f"{one[:12]} and {other[:12]} share no history", kind="unrelated")
        return str(base)

    def read_blob(self, revision: str, path: str) -> bytes | None:
        """Return the file *path* in a commit or tree, None where there is no file of that name."""
        tree = self.lookup(revision, pygit2.Tree)
        if not path:
            return None
        with translated(f"read {path} in {revision}"):
            try:
                found = tree[path]
            except KeyError:
                return None
            return found.data if isinstance(found, pygit2.Blob) else None

    def commit_tree(
        self,
        tree: str,
        parents: Sequence[str],
        *,
        message: str,
        author: Identity,
        committer: Identity | None = None,
        when: datetime,
    ) -> str:
        """Write a commit that no ref names yet, durably, and return it."""
        by = committer or author
        with translated("write a commit"):
            oid = self.objects.create_commit(
                None,
                _signature(author, when),
                _signature(by, when),
                message,
                self.lookup(tree, pygit2.Tree).id,
                [self.lookup(parent, pygit2.Commit).id for parent in parents],
            )
        return str(oid)

    def identity(self, local: Mapping[str, str] | None = None) -> Identity | None:
        """Return the user's name and address as git would, None unless both are set.

        *local* is what the repository's own configuration is to say of it instead of what it says:
        every worker can write there.
        """
        known = proc.settings(self.git_dir)
        found = {one.key: one.value for one in known if one.of_user or local is None}
        found |= local or {}
        name, email = found.get("user.name", "").strip(), found.get("user.email", "").strip()
        return Identity(name, email) if name and email else None

    def config_get(self, key: str) -> str | None:
        """Return the value of *key* as git would, None where it is not set."""
        section, _, rest = key.partition(".")
        middle, dot, name = rest.rpartition(".")
        wanted = f"{section.lower()}.{middle}{dot}{name.lower()}"
        values = [item.value for item in proc.settings(self.git_dir) if item.key == wanted]
        return values[-1] if values else None

    def log(self, tip: str, *, since: str | None = None, limit: int = 100) -> list[CommitInfo]:
        """Return at most *limit* commits that *tip* reaches and *since* does not, newest first."""
        with translated(f"read the history of {tip}"):
            return list(islice(self.walk(tip, since=since), limit))

    def walk(self, tip: str, *, since: str | None = None) -> Iterator[CommitInfo]:
        """Yield the commits that *tip* reaches and *since* does not, newest first."""
        walker = self._graph.walk(self.lookup(tip, pygit2.Commit).id, SortMode.NONE)
        if since is not None:
            walker.hide(self.lookup(since, pygit2.Commit).id)
        for commit in walker:
            yield _info(commit)

    def count(self, tip: str, *, without: Iterable[str]) -> int:
        """Return how many commits *tip* reaches and none of *without* does; all are here."""
        walker = self._graph.walk(self.lookup(tip, pygit2.Commit).id, SortMode.NONE)
        for oid in without:
            walker.hide(self.lookup(oid, pygit2.Commit).id)
        return sum(1 for _ in walker)

    def info(self, oid: str) -> CommitInfo | None:
        """Return the commit *oid*, None where it is not here: a shallow clone ends somewhere."""
        try:
            return _info(self.lookup(oid, pygit2.Commit))
        except GitError:
            return None

    @property
    def _graph(self) -> pygit2.Repository:
        """Where histories are walked: only a shallow clone needs to know where its own ends.

        Opened anew where that has changed: libgit2 learns it when it opens a repository.
        """
        try:
            ends = (self.common_dir / "shallow").stat()
        except FileNotFoundError:
            return self.objects
        mark = (ends.st_ino, ends.st_mtime_ns)
        known: tuple[tuple[int, int], pygit2.Repository] | None
        known = getattr(self._local, "graph", None)
        if known is None or known[0] != mark:
            with translated(f"open {self.git_dir}"):
                known = self._local.graph = (mark, pygit2.Repository(str(self.git_dir)))
        return known[1]


def is_file(mode: int) -> bool:
    """Whether a tree entry of *mode* is a regular file."""
    return mode in {FileMode.BLOB, FileMode.BLOB_EXECUTABLE}


def _signature(who: Identity, when: datetime) -> pygit2.Signature:
    offset = when.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset is not None else 0
    return pygit2.Signature(who.name, who.email, int(when.timestamp()), minutes, "utf-8")


def _info(commit: pygit2.Commit) -> CommitInfo:
    message = commit.message
    return CommitInfo(
        oid=str(commit.id),
        subject=message.partition("\n")[0],
        author=Identity(commit.author.name, commit.author.email),
        time=datetime.fromtimestamp(commit.commit_time, UTC),
        pairs=_trailers(message),
        parents=tuple(str(parent) for parent in commit.parent_ids),
    )


def _trailers(message: str) -> tuple[tuple[str, str], ...]:
    """Read the last paragraph only, and only where it is nothing but trailers."""
    paragraphs = message.strip("\n").split("\n\n")
    if len(paragraphs) < 2:
        return ()
    lines = [_TRAILER.match(line) for line in paragraphs[-1].splitlines()]
    return tuple((line[1], line[2]) for line in lines if line) if all(lines) else ()
