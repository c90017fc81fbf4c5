"""What stands in the shared git directory that could make git run or read something else.

Every worktree of a repository shares its configuration, hooks and attributes, so a worker can plant
a command there that somebody else's git would run. A fingerprint is the content of all that: small
files are read whole each time, since a worker can set a file's times but not its bytes; what is too
large to be meant is known by its identity. Nothing here runs git but for reading a configuration
that has changed, which executes nothing.
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from wfledger.errors import RAN_OUT, GitError
from wfledger.vcs.proc import run_git

#: Beyond this a file is known by size and times.
CONTENT_BYTES: Final = 1 << 20
#: Files of one folder that are looked at; more are a change by themselves.
_MOST: Final = 1000
_DEPTH: Final = 3
_INCLUDES: Final = 20
#: Single files of the shared directory: configuration, and what redirects git.
_FILES: Final = (
    "config", "config.worktree", "commondir", "gitdir", "shallow",
    "objects/info/alternates", "objects/info/http-alternates",
)  # fmt: skip
#: Written by git's own upkeep and by a checkout; neither executes nor redirects anything.
_NOT_OF_INFO: Final = re.compile(r"info/(refs(_[A-Za-z0-9]{6})?|sparse-checkout|[^/]+\.lock)")
_OF_ENTRY: Final = ("commondir", "gitdir", "config.worktree")
INCLUDED: Final = "included:"

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Fingerprint:
    """The state at one moment: what each name is, and the bytes of what was small enough."""

    #: Name (relative to the shared directory) -> what it is, as text that can be compared.
    items: dict[str, str]
    #: What it is -> its bytes.
    contents: dict[str, bytes] = field(default_factory=dict)


def take(common_dir: Path, *, skip: Collection[str] = ()) -> Fingerprint:
    """Look at everything; *skip* are the entries of worktrees whose own git is their business.

    Raises `OSError` where the machine has run out of what it takes to look: that nothing was found
    would be a false alarm.
    """
    looked = Fingerprint({})
    for name in (*_FILES, *_below(common_dir, "hooks"), *_below(common_dir, "info")):
        if not _NOT_OF_INFO.fullmatch(name):
            look_at(looked, name, common_dir / name)
    for name in (*_entries(common_dir, skip), *_modules(common_dir)):
        look_at(looked, name, common_dir / name)
    _follow_includes(looked, common_dir)
    return looked


def look_at(looked: Fingerprint, name: str, path: Path) -> None:
    """Add what is at *path* under *name*; nothing where there is nothing."""
    found, raw = _identify(path)
    if found is not None:
        looked.items[name] = found
        if raw is not None:
            looked.contents[found] = raw


def path_of(common_dir: Path, name: str) -> Path:
    """Return where the thing of that *name* is."""
    return Path(name.removeprefix(INCLUDED)) if name.startswith(INCLUDED) else common_dir / name


def is_configuration(name: str) -> bool:
    """Whether what has that *name* is read by git as configuration."""
    base = name.rpartition("/")[2]
    return name.startswith(INCLUDED) or base in {"config", "config.worktree"}


def refuse_shortage(error: OSError) -> None:
    """Raise *error* where it says nothing about what was looked at."""
    if error.errno in RAN_OUT:
        raise error


@lru_cache(maxsize=64)
def parse_config(raw: bytes) -> Pairs | None:
    """Return the keys and values of a configuration file in order; None where git cannot read it.

    What it includes is not followed.
    """
    try:
        done = run_git(
            ["config", "--file", "-", "--no-includes", "--list", "-z"], stdin=raw, check=False
        )
    except GitError:
        return None
    if done.status != 0:
        return None
    entries = (entry.partition("\n") for entry in done.text().split("\0") if entry)
    return tuple((key, value) for key, _, value in entries)


def _identify(path: Path) -> tuple[str | None, bytes | None]:
    try:
        facts = path.lstat()
    except OSError as error:
        refuse_shortage(error)
        return None, None
    mode = f"{stat.S_IMODE(facts.st_mode):o}"
    if stat.S_ISLNK(facts.st_mode):
        _, raw = _read(path, follow=True)
        target = os.fsencode(os.readlink(path)).hex()  # noqa: PTH115 - a name may be no text
        return f"link:{target}:{_digest(raw)}", raw
    if stat.S_ISREG(facts.st_mode):
        size, raw = _read(path, follow=False)
        if raw is None:
            times = f"{facts.st_ino}:{facts.st_mtime_ns}:{facts.st_ctime_ns}"
            return f"large:{mode}:{size}:{times}", None
        return f"file:{mode}:{_digest(raw)}", raw
    return f"special:{facts.st_mode:o}", None


def _digest(raw: bytes | None) -> str:
    return "none" if raw is None else hashlib.sha256(raw).hexdigest()


def _read(path: Path, *, follow: bool) -> tuple[int, bytes | None]:
    """Return size and bytes of a regular file; no bytes where it is too large or cannot be read."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        refuse_shortage(error)
        return -1, None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > CONTENT_BYTES:
            return facts.st_size, None
        with os.fdopen(handle, "rb", closefd=False) as file:
            raw = file.read(CONTENT_BYTES + 1)
        return len(raw), raw if len(raw) <= CONTENT_BYTES else None
    except OSError as error:
        refuse_shortage(error)
        return -1, None
    finally:
        os.close(handle)


def _below(top: Path, folder: str, depth: int = _DEPTH) -> Iterator[str]:
    """Yield the names below *folder*, of links and special files too; folders are entered."""
    try:
        with os.scandir(top / folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)[:_MOST]
    except OSError as error:
        refuse_shortage(error)
        if (top / folder).is_symlink():
            yield folder
        return
    if (top / folder).is_symlink():
        yield folder
    for entry in entries:
        name = f"{folder}/{entry.name}"
        if depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from _below(top, name, depth - 1)
        else:
            yield name


def _entries(common_dir: Path, skip: Collection[str]) -> Iterator[str]:
    """Yield the files of registered worktrees that say where git's shared directory is."""
    try:
        names = sorted(os.listdir(common_dir / "worktrees"))  # noqa: PTH208 - names alone
    except OSError as error:
        refuse_shortage(error)
        return
    for name in [name for name in names if name not in skip][:_MOST]:
        yield from (f"worktrees/{name}/{file}" for file in _OF_ENTRY)


def _modules(common_dir: Path) -> Iterator[str]:
    """Yield the configuration and hooks of submodules' git directories."""
    modules = common_dir / "modules"
    if not modules.is_dir():
        return
    for pattern in ("*/HEAD", "*/*/HEAD"):
        for head in sorted(modules.glob(pattern))[:_MOST]:
            folder = head.parent.relative_to(common_dir).as_posix()
            yield f"{folder}/config"
            yield from _below(common_dir, f"{folder}/hooks", 1)


def _follow_includes(looked: Fingerprint, common_dir: Path) -> None:
    """Add the files that the configuration includes, whatever their condition says."""
    left = [(name, path_of(common_dir, name)) for name in looked.items if is_configuration(name)]
    seen = 0
    while left and seen < _INCLUDES:
        name, path = left.pop()
        raw = looked.contents.get(looked.items.get(name, ""))
        if raw is None or b"include" not in raw.lower():
            continue
        for target in _included(raw, path.parent):
            key, seen = f"{INCLUDED}{target}", seen + 1
            if key not in looked.items:
                look_at(looked, key, target)
                left.append((key, target))


def _included(raw: bytes, folder: Path) -> list[Path]:
    found = []
    for key, value in parse_config(raw) or ():
        if key.startswith(("include.", "includeif.")) and key.endswith(".path") and value:
            found.append(folder / Path(os.path.expanduser(value)))  # noqa: PTH111 - `~user` too
    return found
