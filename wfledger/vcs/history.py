"""The ledger's branch: an orphan history that is written as trees, never through an index.

The branch and a second ref, the pin, move in one transaction, so that a branch that somebody
deletes or rewinds is not the end of the history. A crash inside the transaction may leave one of
them a commit behind; whichever is ahead is the tip, and the next commit brings both together.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

import pygit2
from pygit2.enums import FileMode

from wfledger import faults
from wfledger.errors import BusyError, GitError, LedgerDamagedError
from wfledger.vcs.discovery import LEDGER_BRANCH
from wfledger.vcs.packs import write_pack
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.registry import expected_pointer, find
from wfledger.vcs.repo import CommitInfo, Identity, Repository, is_file, translated
from wfledger.vcs.sealed import sealed
from wfledger.vcs.worktree import add

#: Who makes the commits of the ledger; who did what stands in their trailers.
AUTHOR: Final = Identity("wfledger", "wfledger@localhost")
#: Blobs are the exact bytes of the files, whatever the user's attributes say elsewhere. The file is
#: tracked, for `info/attributes` would hold in all worktrees.
ATTRIBUTES: Final = b"* -text -eol -ident -filter -working-tree-encoding\n"
#: What a branch was is kept below this when it is put elsewhere.
STRAYED: Final = "refs/wfledger/strayed"
_ROUNDS: Final = 10
#: From so many files on a commit's blobs are written as one pack, with one sync.
_PACK_FROM: Final = 64

faults.register("history.commit.objects", "history.commit.moved")

Changes = Mapping[str, bytes | None]


class History:
    """The ledger's branch in one repository; may be used from every thread."""

    def __init__(
        self,
        repo: Repository,
        *,
        branch: str = LEDGER_BRANCH,
        pin: str = "refs/wfledger/ledger",
    ) -> None:
        self.repo = repo
        self.branch = branch
        self.pin = pin

    def tip(self) -> str | None:
        """Return the newest commit, None where there is no history.

        Raises `LedgerDamagedError` where branch and pin have gone different ways.
        """
        return self._newest(self.repo.tip(self.branch), self.repo.tip(self.pin))

    def require_tip(self) -> str:
        """Return the newest commit; raises `LedgerDamagedError` also where there is none."""
        return self._require(self.tip())

    def _require(self, tip: str | None) -> str:
        if tip is None:
            raise LedgerDamagedError(
                f"the ledger's history is gone: there is no {self.branch}", kind="no_history"
            )
        return tip

    def create(self, files: Mapping[str, bytes], *, message: str, when: datetime) -> str:
        """Begin the history with *files*; raises `GitError` (kind `exists`) where there is one."""
        root = self._write(None, {".gitattributes": ATTRIBUTES, **files}, message, when)
        refs = [RefUpdate(self.branch, root, None), RefUpdate(self.pin, root, None)]
        if not swap(self.repo, refs, reason="wfledger: begin the ledger"):
            raise GitError("the repository has a ledger already", kind="exists", ref=self.branch)
        return root

    def commit(self, changes: Changes, *, message: str, when: datetime) -> str:
        """Add a commit with *changes* (None deletes) and return it; durable when it returns.

        Where nothing changes the tip is returned. A rival's commit is built upon, so the caller
        sees to it that changes do not contradict. Raises `BusyError` if rivals keep winning.
        """
        for _ in range(_ROUNDS):
            seen = (self.repo.tip(self.branch), self.repo.tip(self.pin))
            tip = self._require(self._newest(*seen))
            new = self._write(tip, changes, message, when)
            faults.point("history.commit.objects")
            if self._move(seen, new, message):
                faults.point("history.commit.moved")
                return new
        raise BusyError("the ledger's history kept moving; try again")

    def lone(self, files: Mapping[str, bytes], *, message: str, when: datetime) -> str:
        """Write a commit with *files* and no parent that no ref names, and return it."""
        return self._write(None, dict(files), message, when)

    def compose(self, parent: str, changes: Changes, *, message: str, when: datetime) -> str:
        """Write a commit on *parent* that no ref names yet; *parent* where nothing changes."""
        return self._write(parent, changes, message, when)

    def advance(self, new: str, *, reason: str) -> None:
        """Bring branch and pin forward to *new*, whose commits are written.

        Raises `LedgerDamagedError` where it does not follow from what they are.
        """
        for _ in range(_ROUNDS):
            seen = (self.repo.tip(self.branch), self.repo.tip(self.pin))
            tip = self._newest(*seen)
            if tip is not None and not self.repo.is_ancestor(tip, new):
                raise LedgerDamagedError(
                    f"{self.branch} is at {tip}, which {new} does not follow from",
                    hint="run: wfledger doctor", kind="history_forked", branch=tip,
                )
            if self._move(seen, new, reason):
                return
        raise BusyError("the ledger's history kept moving; try again")

    def read(self, path: str, at: str | None = None) -> bytes | None:
        """Return the file *path* at the commit *at* (default: the tip), None if it is not there."""
        revision = at or self.tip()
        return None if revision is None else self.repo.read_blob(revision, path)

    def files(self, prefix: str = "", at: str | None = None) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of every file below the folder *prefix*, in order."""
        revision = at or self.tip()
        if revision is None:
            return
        folder: pygit2.Object = self.repo.lookup(revision, pygit2.Tree)
        prefix = prefix.strip("/")
        if prefix:
            try:
                folder = self.repo.lookup(revision, pygit2.Tree)[prefix]
            except KeyError:
                return
        if isinstance(folder, pygit2.Tree):
            with translated("read the ledger's history"):
                yield from _files(folder, f"{prefix}/" if prefix else "")

    def names(self, at: str) -> Iterator[str]:
        """Yield the path of every file at the commit *at*; no content is read."""
        with translated("read the ledger's history"):
            yield from (name for name, _ in _entries(self.repo.lookup(at, pygit2.Tree), ""))

    def log(self, *, task: str | None = None, limit: int = 100) -> list[CommitInfo]:
        """Return the newest commits, of those only that name *task* in a trailer of ours."""
        tip = self.tip()
        if tip is None:
            return []
        with translated("read the ledger's history"):
            commits = self.repo.walk(tip)
            found = (info for info in commits if task is None or _names(info, task))
            return list(islice(found, limit))

    def attach(self, path: Path) -> None:
        """Check the branch out at *path* as a locked linked worktree; again, it changes nothing.

        Raises `WorktreeOccupiedError` where something else stands there.
        """
        tip = self.tip()
        if tip is None:
            raise LedgerDamagedError("there is no history to check out", kind="no_history")
        if not expected_pointer(path, self.repo):
            self._move((self.repo.tip(self.branch), self.repo.tip(self.pin)), tip, "attach")
            add(self.repo, path, branch=self.branch, base=tip, lock="the ledger of wfledger")

    def align(self) -> None:
        """Bring branch and pin together where one was left behind, rewound or deleted.

        Where they have gone different ways the pin decides, which nobody but us moves; what the
        branch was at stays under `refs/wfledger/strayed/<commit>`. May be repeated.
        """
        branch, pin = self.repo.tip(self.branch), self.repo.tip(self.pin)
        if branch and pin and not self._follow(branch, pin):
            updates = [RefUpdate(self.branch, pin, branch), *self._kept(branch)]
            tip: str | None = pin
        else:
            tip = self._newest(branch, pin)
            seen = ((self.branch, branch), (self.pin, pin))
            updates = [RefUpdate(ref, tip, old) for ref, old in seen if old != tip]
        if tip is not None and not swap(self.repo, updates, reason="wfledger: align"):
            raise BusyError("the ledger's history kept moving; try again")

    def replace(self, new: str, known: str, *, reason: str) -> None:
        """Put branch and pin on *new*, which does not follow; *known* stays under a ref."""
        seen = (self.repo.tip(self.branch), self.repo.tip(self.pin))
        pairs = zip((self.branch, self.pin), seen, strict=True)
        updates = [RefUpdate(ref, new, old) for ref, old in pairs if old != new]
        if not swap(self.repo, [*updates, *self._kept(known)], reason=f"wfledger: {reason}"):
            raise BusyError("the ledger's history kept moving; try again")

    def _kept(self, commit: str) -> list[RefUpdate]:
        """Return what keeps a commit that no branch of ours will name any more."""
        ref = f"{STRAYED}/{commit}"
        return [RefUpdate(ref, commit, None)] if self.repo.tip(ref) is None else []

    def _follow(self, one: str, other: str) -> bool:
        """Whether one of two commits follows from the other."""
        return self.repo.is_ancestor(one, other) or self.repo.is_ancestor(other, one)

    def index_lags(self, worktree: Path) -> bool:
        """Whether the index of the ledger's worktree is another tree than the tip's."""
        info, tip = find(self.repo, worktree), self.tip()
        if info is None or tip is None:
            return False
        with sealed(self.repo) as private:
            done = private.run(
                ["diff-index", "--cached", "--quiet", tip], index=info.entry / "index", check=False
            )
        return done.status != 0

    def refresh_index(self, worktree: Path) -> bool:
        """Set the index of the ledger's worktree to the tip, a courtesy to `git status`.

        False where another process holds the index, or nothing is attached there; no files change.
        """
        info, tip = find(self.repo, worktree), self.tip()
        if info is None or tip is None:
            return False
        index = info.entry / "index"
        with sealed(self.repo) as private:
            done = private.run(
                ["read-tree", "--reset", tip], work_tree=worktree, index=index, check=False
            )
            if done.status == 0:  # status 1 only says that files differ from the tip
                private.run(["update-index", "-q", "--refresh"], work_tree=worktree, index=index,
                            check=False)  # fmt: skip
        return done.status == 0

    def _newest(self, branch: str | None, pin: str | None) -> str | None:
        if branch is None or pin is None or branch == pin:
            return branch or pin
        if self.repo.is_ancestor(pin, branch):
            return branch
        if self.repo.is_ancestor(branch, pin):
            return pin
        raise LedgerDamagedError(
            f"{self.branch} was moved to {branch}, which does not follow from {pin}",
            hint="run: wfledger doctor --fix",
            kind="history_forked",
            branch=branch,
            pin=pin,
        )

    def _move(self, seen: tuple[str | None, str | None], new: str, message: str) -> bool:
        """Bring branch and pin to *new* from where they were *seen*."""
        pairs = zip((self.branch, self.pin), seen, strict=True)
        updates = [RefUpdate(ref, new, old) for ref, old in pairs]
        if seen == (new, new):
            return True
        return swap(self.repo, updates, reason=f"wfledger: {message}")

    def _write(self, tip: str | None, changes: Changes, message: str, when: datetime) -> str:
        """Write a commit on *tip*; *tip* itself where nothing changes."""
        old = self.repo.lookup(tip, pygit2.Tree) if tip else None
        blobs = self._blobs([content for content in changes.values() if content is not None])
        wanted = {
            _path(name): None if content is None else blobs[content]
            for name, content in changes.items()
        }
        with translated("write the ledger's history"):
            tree = _rebuilt(self.repo.objects, old, wanted)
            if tip and old is not None and tree == old.id:
                return tip
            oid = str(tree or self.repo.objects.TreeBuilder().write())
        parents = [tip] if tip else []
        return self.repo.commit_tree(oid, parents, message=message, author=AUTHOR, when=when)

    def _blobs(self, contents: list[bytes]) -> dict[bytes, pygit2.Oid]:
        if len(contents) >= _PACK_FROM:
            return write_pack(self.repo, contents)
        with translated("write a blob"):
            return {content: self.repo.objects.create_blob(content) for content in contents}


Wanted = Mapping[tuple[str, ...], pygit2.Oid | None]


def _path(name: str) -> tuple[str, ...]:
    """Split a path of the ledger; what git or a file system could read otherwise is refused."""
    parts = tuple(name.split("/"))
    if any(part in {"", ".", ".."} or part.lower() == ".git" or "\0" in part for part in parts):
        raise ValueError(f"{name!r} is no path of the ledger")
    return parts


def _rebuilt(
    store: pygit2.Repository, old: pygit2.Tree | None, wanted: Wanted
) -> pygit2.Oid | None:
    """Return *old* with *wanted* in it, None where nothing is left; writes changed folders only."""
    builder = store.TreeBuilder(old) if old is not None else store.TreeBuilder()
    files = {path[0]: oid for path, oid in wanted.items() if len(path) == 1}
    below: dict[str, dict[tuple[str, ...], pygit2.Oid | None]] = {}
    for path, oid in wanted.items():
        if len(path) > 1:
            below.setdefault(path[0], {})[path[1:]] = oid
    # Deletions, folders, files: so a name may change from file to folder or back in one commit.
    for name in [name for name, oid in files.items() if oid is None]:
        if isinstance(builder.get(name), pygit2.Blob):
            builder.remove(name)
    for name, inner in below.items():
        there = builder.get(name)
        tree = _rebuilt(store, there if isinstance(there, pygit2.Tree) else None, inner)
        if tree is not None:
            builder.insert(name, tree, FileMode.TREE)
        elif isinstance(there, pygit2.Tree):
            builder.remove(name)
    for name, oid in files.items():
        if oid is not None:
            builder.insert(name, oid, FileMode.BLOB)
    return builder.write() if len(builder) else None


def _files(folder: pygit2.Tree, prefix: str) -> Iterator[tuple[str, bytes]]:
    return ((name, blob.data) for name, blob in _entries(folder, prefix))


def _entries(folder: pygit2.Tree, prefix: str) -> Iterator[tuple[str, pygit2.Blob]]:
    for item in folder:
        name = f"{prefix}{item.name}"
        if isinstance(item, pygit2.Tree):
            yield from _entries(item, f"{name}/")
        elif isinstance(item, pygit2.Blob) and is_file(item.filemode):
            yield name, item


def _names(info: CommitInfo, task: str) -> bool:
    """Whether a trailer of ours has *task* as one of its words."""
    ours = (value for key, value in info.pairs if key.startswith("Wfledger-"))
    return any(task in value.replace('"', " ").replace(",", " ").split() for value in ours)
