"""The files that a model's tools reach: those of its worktree, opened part by part.

No link is followed, wherever it leads, and git's and the ledger's own folders are not there. Each
part of a path is opened in the folder before it, so that nothing can be exchanged in between.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.core import scopes

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Not blocking: a pipe that waits for a writer would be waited for.
_FILE: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
#: Bytes of a file that is read as a whole.
FILE_BYTES: Final = 4 * 2**20
_PIECE: Final = 2**16


class ToolError(Exception):
    """What a tool cannot do, said so that the model can act on it; never leaves the toolbox."""


class NothingThereError(ToolError):
    """There is nothing at a path."""


@dataclass(frozen=True)
class Entry:
    """What lies at a path of the worktree."""

    path: str
    is_folder: bool = False
    is_link: bool = False
    size: int = 0


class Place:
    """A worktree, as the tools see it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # A model may name it either way.
        self._names = {str(root), os.path.realpath(root)}

    def holds(self, given: str) -> bool:
        """Whether *given* is an absolute path that begins with the folder's own."""
        return any(given.startswith(f"{root}/") for root in self._names)

    def path(self, given: str) -> str:
        """Return *given* relative to the worktree, `` for the worktree itself.

        Raises `ToolError` where it leads out, or to what is git's or the ledger's.
        """
        if "\0" in given or "\\" in given:
            raise ToolError(f"{given!r} is no path; use / between its parts")
        path = given.strip()
        for root in self._names:
            if path == root or path.startswith(f"{root}/"):
                path = path[len(root) :].lstrip("/")
        if path.startswith(("/", "~")):
            raise ToolError(f"{given} is outside of your worktree; give paths relative to it")
        parts = [part for part in path.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise ToolError(f"{given}: `..` is not taken; give the path from the worktree's root")
        if parts and not scopes.is_path("/".join(parts)):
            raise ToolError(f"{given} belongs to git or to the ledger and is not for you")
        return "/".join(parts)

    def entry(self, path: str) -> Entry | None:
        """Return what lies at a path, a link itself and not what it leads to; None for nothing."""
        if not path:
            return Entry("", is_folder=True)
        try:
            with self._above(path) as (folder, name):
                return _entry(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
        except (NothingThereError, FileNotFoundError):
            return None

    def entries(self, path: str) -> list[Entry]:
        """Return what lies directly in a folder, by name; git's own is left out."""
        with self._opened(path, _FOLDER) as folder:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - of a descriptor
            found = []
            for name in names:
                below = f"{path}/{name}" if path else name
                if not scopes.is_path(below):
                    continue
                try:
                    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:  # gone since
                    continue
                found.append(_entry(below, facts))
        return found

    def walk(self, path: str) -> Iterator[Entry]:
        """Yield everything below a folder, or the file that it is, depth first, by name."""
        start = self.entry(path)
        if start is None:
            raise NothingThereError(f"there is nothing at {path}")
        if not start.is_folder:
            yield start
            return
        for one in self.entries(path):
            yield one
            if one.is_folder:
                try:
                    yield from self.walk(one.path)
                except ToolError:  # it went, or became a link, since it was listed
                    continue

    def read(self, path: str, limit: int = FILE_BYTES) -> bytes:
        """Return a file's bytes; raises `ToolError` where there is none or it is too long."""
        with self._opened(path, os.O_RDONLY | _FILE) as file:
            facts = os.fstat(file)
            if stat.S_ISDIR(facts.st_mode):
                raise ToolError(f"{path} is a folder; use list")
            if not stat.S_ISREG(facts.st_mode):
                raise ToolError(f"{path} is no ordinary file")
            if facts.st_size > limit:
                raise ToolError(f"{path} has {facts.st_size} bytes; at most {limit} are read")
            pieces = []
            while piece := os.read(file, _PIECE):
                pieces.append(piece)
        return b"".join(pieces)

    def write(self, path: str, content: bytes) -> None:
        """Put *content* at a path, with the folders above it; what is there keeps its mode.

        A file with several names is replaced, so that none of the others changes.
        """
        with self._above(path, make=True) as (folder, name):
            mode = 0o666
            try:
                facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                facts = None
            if facts is not None:
                if not stat.S_ISREG(facts.st_mode):
                    raise ToolError(f"{path} is a folder, a link or no ordinary file")
                if facts.st_nlink > 1:
                    mode = stat.S_IMODE(facts.st_mode)
                    os.unlink(name, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FILE
            file = os.open(name, flags, mode, dir_fd=folder)
            with os.fdopen(file, "wb") as writing:
                writing.write(content)

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        if not path:
            file = os.open(self.root, flags)
        else:
            with self._above(path) as (folder, name), _telling(path):
                file = os.open(name, flags, dir_fd=folder)
        try:
            yield file
        finally:
            os.close(file)

    @contextmanager
    def _above(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the folder that a path lies in; with *make*, folders that are missing are made."""
        *parents, name = path.split("/")
        folder = os.open(self.root, _FOLDER)
        try:
            for depth, part in enumerate(parents, start=1):
                with _telling("/".join(parents[:depth])):
                    inner = _enter(part, folder, make=make)
                os.close(folder)
                folder = inner
            yield folder, name
        finally:
            os.close(folder)


def _enter(name: str, folder: int, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    os.mkdir(name, dir_fd=folder)
    return os.open(name, _FOLDER, dir_fd=folder)


@contextmanager
def _telling(path: str) -> Iterator[None]:
    """Say what an error of the system at *path* means to a model."""
    try:
        yield
    except FileNotFoundError:
        raise NothingThereError(f"there is nothing at {path}") from None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:
            raise ToolError(f"{path} is a symbolic link, and links are not followed") from None
        if error.errno == errno.ENOTDIR:
            said = "is no folder, or a symbolic link, and links are not followed"
            raise ToolError(f"{path} {said}") from None
        raise ToolError(f"{path}: {os.strerror(error.errno or 0)}") from None


def _entry(path: str, facts: os.stat_result) -> Entry:
    mode = facts.st_mode
    return Entry(path, stat.S_ISDIR(mode), stat.S_ISLNK(mode), facts.st_size)
