"""What lies in a tree of the object database: no checkout is made, no link is followed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import pygit2
from pygit2.enums import FileMode

from wfledger.vcs.repo import Repository, is_file, translated

Kind = Literal["file", "link", "folder", "repository"]
_KINDS: Final[dict[int, Kind]] = {
    FileMode.LINK: "link", FileMode.TREE: "folder", FileMode.COMMIT: "repository",
}  # fmt: skip


@dataclass(frozen=True)
class Digest:
    """A file's content by its sum."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Contents:
    """The files of one commit or tree. A name that is no UTF-8 is not among them."""

    repo: Repository
    tree: str
    _files: list[str] = field(default_factory=list, repr=False)

    def kind_at(self, path: str) -> Kind | None:
        """Return what lies at *path*, or None."""
        found = self._at(path)
        if found is None:
            return None
        return "file" if is_file(found.filemode) else _KINDS.get(found.filemode)

    def files(self) -> list[str]:
        """Return the paths of the regular files; the tree is walked once."""
        if not self._files:
            with translated(f"list {self.tree}"):
                self._files.extend(_walk(self.repo.lookup(self.tree, pygit2.Tree), b""))
        return self._files

    def size(self, path: str) -> int:
        """Return the bytes of the regular file at *path*, without reading it."""
        return int(self.repo.objects.odb.read_header(self._blob(path))[1])

    def read(self, path: str) -> bytes:
        """Return the content of the regular file at *path*; see to its size first."""
        with translated(f"read {path}"):
            return bytes(self.repo.objects.odb.read(self._blob(path))[1])

    def digest(self, path: str) -> Digest:
        """Return the sum of the regular file at *path*."""
        raw = self.read(path)
        return Digest(hashlib.sha256(raw).hexdigest(), len(raw))

    def _at(self, path: str) -> pygit2.Object | None:
        with translated(f"look for {path} in {self.tree}"):
            try:
                return self.repo.lookup(self.tree, pygit2.Tree)[path]
            except KeyError:
                return None

    def _blob(self, path: str) -> pygit2.Oid:
        found = self._at(path)
        if found is None or not is_file(found.filemode):
            raise FileNotFoundError(path)
        return found.id


def _walk(tree: pygit2.Tree, prefix: bytes) -> Iterator[str]:
    for item in tree:
        path = prefix + (item.raw_name or b"")
        if isinstance(item, pygit2.Tree):
            yield from _walk(item, path + b"/")
        elif is_file(item.filemode):
            name = path.decode("utf-8", "replace")
            if name.encode() == path:
                yield name
