"""Paths that a file system without case cannot hold side by side (WFL-SCOPE-046)."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from wfledger.core.segments import fold_fully

#: Folder of a tree (b"" is the root) -> names of what lies directly in it; none if it is no folder.
Listing = Callable[[bytes], Iterable[bytes]]


def find_twins(
    added: Iterable[bytes], deleted: Iterable[bytes], listing: Listing
) -> dict[bytes, bytes]:
    """Return, for each of the *added* paths that has one, a path that it cannot lie beside.

    *listing* shows the tree before the change. Folders that an added path brings about are
    compared as well; what is wholly deleted is nobody's twin.
    """
    tree = _Tree(listing, frozenset(deleted))
    brought: defaultdict[str, set[bytes]] = defaultdict(set)
    new: list[tuple[bytes, bytes]] = []
    found: dict[bytes, bytes] = {}
    for path in sorted(set(added)):
        for prefix, rivals in tree.new_prefixes(path):
            brought[_key(prefix)].add(prefix)
            new.append((path, prefix))
            if rivals:
                found.setdefault(path, min(rivals))
    for path, prefix in new:
        others = brought[_key(prefix)] - {prefix}
        if others:
            found.setdefault(path, min(others))
    return found


class _Tree:
    """The tree before the change, read one folder at a time."""

    def __init__(self, listing: Listing, deleted: frozenset[bytes]) -> None:
        self._listing = listing
        self._deleted = deleted
        self._folders: dict[bytes, dict[str, list[bytes]]] = {}

    def new_prefixes(self, path: bytes) -> Iterable[tuple[bytes, set[bytes]]]:
        """Yield each leading part of *path* that is not in the tree, and what it clashes with."""
        folders, prefix = {b""}, b""
        for name in path.split(b"/"):
            prefix = _join(prefix, name)
            alike = {
                _join(folder, other)
                for folder in folders
                for other in self._names(folder).get(_key(name), ())
            }
            if prefix not in alike:
                yield prefix, {rival for rival in alike if self._survives(rival)}
            folders = alike

    def _names(self, folder: bytes) -> dict[str, list[bytes]]:
        if folder not in self._folders:
            names: defaultdict[str, list[bytes]] = defaultdict(list)
            for name in self._listing(folder):
                names[_key(name)].append(name)
            self._folders[folder] = names
        return self._folders[folder]

    def _survives(self, path: bytes) -> bool:
        """Return whether anything is left of *path*; without recursion, for trees may be deep."""
        open_paths = [path]
        while open_paths:
            here = open_paths.pop()
            below = [_join(here, name) for name in self._listing(here)]
            if not below and here not in self._deleted:
                return True
            open_paths += below
        return False


def _key(path: bytes) -> str:
    return fold_fully(path.decode("utf-8", "surrogateescape"))


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name
