"""Makes a fresh worktree usable: copies, links and the setup command of fleet.toml.

Runs once for each new worktree, before any worker. A failure is of class `environment`: it is the
machine's or the user's, never the task's. What was put there is reported, so that it does not
count as a change that the task made; git's own info/exclude cannot say so, since all worktrees
share it.
"""

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.clock import Clock
from wfledger.core.text import clean_line
from wfledger.run.config.roles import Worktree
from wfledger.run.processes.process import Ended, Job, ProcessLimits, run_job
from wfledger.run.processes.sandbox import Sandbox

_SHELL: Final = "/bin/sh"
_TAIL_BYTES: Final = 4096
_NEVER: Final = frozenset({".git", ".wfledger"})


@dataclass(frozen=True)
class Surveyed:
    """What git sees in a worktree beside its commit; ignored files are in neither."""

    #: Files that are not tracked, and folders that hold nothing tracked, without a closing slash.
    untracked: tuple[str, ...]
    #: Tracked files that differ from the commit.
    modified: tuple[str, ...]


@dataclass(frozen=True)
class Means:
    """What preparation runs with."""

    env: Mapping[str, str]
    #: Output of the setup command.
    log: Path
    #: Tag of the setup command's processes.
    tag: str
    stop: threading.Event
    clock: Clock
    #: Looks at the worktree after setup.
    survey: Callable[[], Surveyed]
    keep_open: tuple[int, ...] = ()
    #: What the setup command runs in; None for nothing.
    sandbox: Sandbox | None = None


@dataclass(frozen=True)
class Prepared:
    """The worktree is ready."""

    #: Files, links and whole folders that are not the task's, relative to the worktree.
    excluded: tuple[str, ...]
    #: Sentences for people, such as a source that is not there.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreparationFailed:
    """The worktree cannot be used; what was done so far is still in it."""

    message: str
    failure_class: str = "environment"
    #: How the setup command ended, if it ran.
    ended: Ended | None = None
    log: Path | None = None


class _RefusedError(Exception):
    """Something in fleet.toml cannot be done here."""


def prepare(
    worktree: Path, main: Path, spec: Worktree, *, means: Means
) -> Prepared | PreparationFailed:
    """Copy and link from the checkout *main* into *worktree*, then run the setup command."""
    work = _Work(worktree, main, means.stop)
    try:
        for path in spec.copy:
            work.copy(path)
        for path in spec.link:
            work.link(path)
    except _RefusedError as refusal:
        return PreparationFailed(f"fleet.toml, [worktree]: {refusal}")
    except OSError as error:
        return PreparationFailed(f"fleet.toml, [worktree]: {error}")
    if means.stop.is_set():
        return PreparationFailed("stopped on request", failure_class="stopped")
    if spec.setup is not None:
        failed = _set_up(work, spec, means)
        if failed is not None:
            return failed
    return Prepared(tuple(_outermost(work.excluded)), tuple(work.notes))


class _Work:
    """Puts files into one worktree and keeps account of them."""

    def __init__(self, worktree: Path, main: Path, stop: threading.Event) -> None:
        self.worktree = worktree
        self.excluded: list[str] = []
        self.notes: list[str] = []
        self._main = Path(os.path.realpath(main))
        self._stop = stop

    def copy(self, path: str) -> None:
        """Copy the file or folder *path*."""
        source = self._source(path, "copy")
        if source is None:
            return
        target = self._target(path)
        kind = source.lstat().st_mode
        if stat.S_ISDIR(kind):
            self._copy_folder(source, target, path)
        elif not stat.S_ISREG(kind):
            raise _RefusedError(f"copy: {path} is neither a file nor a folder")
        elif os.path.lexists(target):
            raise _RefusedError(f"copy: {path} is tracked, so the worktree has it already")
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_file(source, target)
            self.excluded.append(path)

    def link(self, path: str) -> None:
        """Put a symbolic link at *path* to the same path of the main checkout."""
        if self._source(path, "link") is None:
            return
        target = self._target(path)
        if os.path.lexists(target):
            raise _RefusedError(f"link: {path} is tracked, so the worktree has it already")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(self._main / path)
        self.excluded.append(path)

    def _source(self, path: str, key: str) -> Path | None:
        """Return where *path* really is in the main checkout; None, with a note, if nowhere."""
        real = Path(os.path.realpath(self._main / path))
        if not real.is_relative_to(self._main):
            raise _RefusedError(f"{key}: {path} leads out of the repository, to {real}")
        if not os.path.lexists(real):
            self.notes.append(f"{key}: {path} is not in {self._main}; skipped")
            return None
        return real

    def _target(self, path: str) -> Path:
        """Return where *path* goes; a link on the way could lead anywhere."""
        parent = self.worktree
        for part in path.split("/")[:-1]:
            parent /= part
            if parent.is_symlink():
                raise _RefusedError(f"{path}: {parent} is a symbolic link")
            if parent.exists() and not parent.is_dir():
                raise _RefusedError(f"{path}: {parent} is no folder")
        return self.worktree / path

    def _copy_folder(self, source: Path, target: Path, path: str) -> None:
        """Copy what the worktree does not have of a folder; what it has is tracked and stays."""
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise _RefusedError(f"copy: {path} is tracked, so the worktree has it already")
        is_new = not target.exists()
        target.mkdir(parents=True, exist_ok=True)
        skipped = 0
        for entry, relative in _entries(source):
            if self._stop.is_set():
                return
            placed = self._copy_entry(entry, target / relative)
            if placed and not is_new:
                self.excluded.append(f"{path}/{relative}")
            skipped += not placed
        if is_new:
            self.excluded.append(path)
        if skipped:
            self.notes.append(f"copy: {skipped} entries of {path} were left as they are")

    def _copy_entry(self, entry: "os.DirEntry[str]", target: Path) -> bool:
        """Copy one file or link of a folder; return whether it is in place now by our doing."""
        if os.path.lexists(target) or any(up.is_symlink() for up in self._between(target)):
            return False
        if entry.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(entry.path).readlink())  # as it is; nothing follows it here
            return True
        if not entry.is_file(follow_symlinks=False):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(Path(entry.path), target)
        return True

    def _between(self, target: Path) -> Iterator[Path]:
        """Yield the folders between the worktree's root and *target*."""
        for parent in target.parents:
            if parent == self.worktree:
                return
            yield parent


def _entries(folder: Path, prefix: str = "") -> Iterator[tuple["os.DirEntry[str]", str]]:
    """Yield all files, links and the like under *folder* with their paths; git's own left out."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name.lower() in _NEVER:
            continue
        relative = f"{prefix}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path), f"{relative}/")
        else:
            yield entry, relative


def _copy_file(source: Path, target: Path) -> None:
    """Copy a regular file with its mode; a pipe put in its place does not block."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(source, flags), "rb") as reading:
        mode = os.fstat(reading.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise _RefusedError(f"copy: {source} is not a regular file")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(target, flags, stat.S_IMODE(mode) & 0o777), "wb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)


def _set_up(work: _Work, spec: Worktree, means: Means) -> PreparationFailed | None:
    """Run the setup command and take account of what it made."""
    setup = spec.setup or ()
    # Git names a folder that holds nothing tracked, not the file that was copied there.
    before = means.survey().untracked if work.excluded else ()
    job = Job(
        argv=(_SHELL, "-c", setup) if isinstance(setup, str) else setup,
        cwd=work.worktree,
        env={**means.env, "PWD": str(work.worktree)},
        output=means.log,
        limits=ProcessLimits(wall_s=spec.timeout, output_bytes=2**20),
        tag=means.tag,
        keep_open=means.keep_open,
        sandbox=means.sandbox,
    )
    ended = run_job(job, stop=means.stop, clock=means.clock)
    if ended.reason == "stopped":
        return PreparationFailed(ended.message, failure_class="stopped", ended=ended)
    if ended.reason != "exited" or ended.status != 0 or ended.left:
        last = _last_line(means.log)
        said = f"{ended.message}: {last}" if last else ended.message
        return PreparationFailed(f"worktree setup failed, {said}", ended=ended, log=means.log)
    seen = means.survey()
    if seen.modified:
        some = ", ".join(seen.modified[:3])
        return PreparationFailed(
            f"worktree setup changed tracked files ({some}), which would pass for the task's work;"
            " use a command that leaves them alone (npm ci, uv sync --frozen)",
            ended=ended,
            log=means.log,
        )
    made = [path for path in seen.untracked if not _is_below(path, [*work.excluded, *before])]
    if made:
        some = ", ".join(made[:3])
        work.notes.append(f"setup made what git does not ignore, left out of results: {some}")
    work.excluded.extend(made)
    return None


def _is_below(path: str, folders: list[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _outermost(paths: list[str]) -> Iterator[str]:
    """Yield *paths* in order, without those below another."""
    kept: list[str] = []
    for path in sorted(set(paths), key=lambda one: one.split("/")):
        if not kept or not _is_below(path, kept[-1:]):
            kept.append(path)
            yield path


def _last_line(log: Path) -> str:
    """Return the last line of *log* that says something, made safe to show."""
    try:
        raw = log.read_bytes()[-_TAIL_BYTES:]
    except OSError:
        return ""
    lines = [clean_line(line) for line in raw.decode("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")
