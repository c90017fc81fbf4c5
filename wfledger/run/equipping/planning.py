"""What `setup` is about to do to which files: worked out whole, shown, and only then done.

Files are replaced one by one, each in a single step, so a crash leaves some of them as they were; a
second call does the rest. Nothing outside of the project, or of the user's home, is touched.
"""

import difflib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from wfledger.errors import EnvironmentFailedError, UsageError
from wfledger.run.equipping.agents import Homes, Outfit, Placed, Reach, names, outfit
from wfledger.run.equipping.pieces import ClashError
from wfledger.run.hooks import claimed
from wfledger.run.localnames import FOLDER
from wfledger.store import atomic
from wfledger.vcs.locate import locate

#: Bytes of a configuration file; a larger one is none.
_LIMIT: Final = 4 * 2**20

Kind = Literal["create", "edit", "delete"]


@dataclass(frozen=True)
class Edit:
    """One file before and after; None where it is not there."""

    #: As the agent names it.
    path: Path
    #: What a link at *path* leads to, else *path*.
    real: Path
    before: str | None
    after: str | None

    @property
    def kind(self) -> Kind:
        """What happens to the file."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "edit"

    def diff(self) -> Iterator[str]:
        """Yield the lines of a unified diff, without line breaks at their ends."""
        old = "/dev/null" if self.before is None else f"{self.path}"
        new = "/dev/null" if self.after is None else f"{self.path}"
        one, other = ((text or "").splitlines() for text in (self.before, self.after))
        yield from difflib.unified_diff(one, other, old, new, lineterm="")


@dataclass(frozen=True)
class Clash:
    """A file that cannot take what it should."""

    path: Path
    reason: str
    #: What would have to be in it.
    by_hand: str


@dataclass(frozen=True)
class Intent:
    """Everything that is about to happen."""

    edits: tuple[Edit, ...]
    clashes: tuple[Clash, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What the user asked for."""

    agent: str
    reach: Reach
    #: The project, or for the user's own reach the home.
    root: Path
    homes: Homes
    remove: bool = False

    @property
    def outfit(self) -> Outfit:
        """What the agent is given."""
        return outfit(self.agent, self.reach, self.root, self.homes)

    @property
    def bounds(self) -> tuple[Path, ...]:
        """The folders that nothing is written outside of."""
        if self.reach == "project":
            return (self.root,)
        return (self.homes.home, *(placed.path.parent for placed in self.outfit.placed))


def project(start: Path) -> Path:
    """Return the root of the checkout that *start* is in; raises `UsageError` outside of any."""
    workdir = locate(start).workdir
    if workdir is None or workdir.name == FOLDER:
        raise UsageError(f"{start} is no checkout of yours", hint="cd to your checkout")
    return workdir


def refuse_inside(start: Path, environ: Mapping[str, str]) -> None:
    """Raise `UsageError` where the caller is the worker of an attempt.

    What a worktree holds is landed as work, and its agent does not configure itself.
    """
    if "WFLEDGER_ATTEMPT" in environ or claimed.at(start) is not None:
        raise UsageError(
            "agents are not set up from within an attempt", hint="cd to your own checkout"
        )


def intend(wanted: Wanted) -> Intent:
    """Return what would be done; reads only."""
    given = wanted.outfit
    files: dict[Path, _File] = {}
    clashes: list[Clash] = []
    for placed in reversed(given.placed) if wanted.remove else given.placed:
        try:
            real, text = _read(placed.path, wanted.bounds)
            if wanted.remove and _others_use(wanted, placed, real):
                continue
            file = files.setdefault(real, _File(placed.path, text, text))
            piece = placed.piece
            file.after = piece.take(file.after) if wanted.remove else piece.put(file.after)
        except ClashError as error:
            if placed.path not in {clash.path for clash in clashes}:
                clashes.append(Clash(placed.path, str(error), _by_hand(placed.path, given)))
    edits = tuple(
        Edit(file.path, real, file.before, file.after)
        for real, file in files.items()
        if file.before != file.after
    )
    return Intent(edits, tuple(clashes), () if wanted.remove else (*given.notes, *_twice(wanted)))


def _twice(wanted: Wanted) -> tuple[str, ...]:
    """Return a warning where the user has set the agent up for himself as well."""
    own = outfit(wanted.agent, "user", wanted.root, wanted.homes).sign
    try:
        is_in = wanted.reach == "project" and own.piece.is_in(_read(own.path, (Path("/"),))[1])
    except ClashError:
        is_in = False
    if not is_in:
        return ()
    command = f"wfledger setup {wanted.agent} --user --remove"
    return (f"It is set up for you as well; its hooks may run twice then: {command}",)


def _by_hand(path: Path, given: Outfit) -> str:
    """Return a file that holds all that is to be in the one at *path*, and nothing else."""
    text: str | None = None
    for placed in given.placed:
        if placed.path == path:
            text = placed.piece.put(text)
    return text or ""


@dataclass
class _File:
    path: Path
    before: str | None
    after: str | None


def _others_use(wanted: Wanted, placed: Placed, real: Path) -> bool:
    """Whether another agent is set up here that is told the same by the same file."""
    for name in names():
        if name == wanted.agent:
            continue
        other = outfit(name, wanted.reach, wanted.root, wanted.homes)
        if not any(_real(one.path) == real and one.piece == placed.piece for one in other.placed):
            continue
        try:
            _, text = _read(other.sign.path, wanted.bounds)
        except ClashError:
            continue
        if other.sign.piece.is_in(text):
            return True
    return False


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _read(path: Path, bounds: tuple[Path, ...]) -> tuple[Path, str | None]:
    """Return the file that *path* leads to, and its text; None where there is none.

    Raises `ClashError` for what is no plain text file, or lies outside of *bounds*.
    """
    real = _real(path)
    if not any(real.is_relative_to(_real(bound)) for bound in bounds):
        raise ClashError(f"it leads out of here, to {real}")
    try:
        facts = real.lstat()
    except FileNotFoundError:
        if path.is_symlink():
            raise ClashError(f"it is a link to {real}, which is not there") from None
        return real, None
    except NotADirectoryError:
        raise ClashError("a folder on its way is a file") from None
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LIMIT:
        raise ClashError("it is no ordinary file of a sensible size")
    try:
        return real, real.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise ClashError("it is not UTF-8") from None


def carry_out(intent: Intent) -> None:
    """Make every edit; raises `EnvironmentFailedError` when a file is not what was shown.

    Nothing is written where one file has changed since it was read.
    """
    for edit in intent.edits:
        if _now(edit.real) != edit.before:
            raise EnvironmentFailedError(
                f"{edit.path} has changed meanwhile; nothing was written", path=str(edit.path)
            )
    for edit in intent.edits:
        if edit.after is None:
            edit.real.unlink()
            _remove_empty(edit.real.parent)
        else:
            _write(edit.real, edit.after)


def _now(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    """Replace a file, whose mode stays; the folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        atomic.replace(path, text.encode(), tmp=path.parent)
        return
    # Never wider than it was, not even for a moment: the umask only takes away.
    atomic.replace(path, text.encode(), tmp=path.parent, mode=mode)
    path.chmod(mode)


def _remove_empty(folder: Path) -> None:
    """Remove *folder* and those above it as far as nothing is in them."""
    while folder.name in _OURS:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


#: Folders that `setup` makes where they are missing.
_OURS: Final = frozenset({
    "wfledger", "skills", "plugins", ".claude", ".codex", ".kimi-code", ".qwen", ".opencode",
    ".agents", "opencode",
})  # fmt: skip
