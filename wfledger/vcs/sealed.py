"""A git directory of our own over the repository's objects, for commands that would obey others.

`git add`, checkouts and diffs obey what stands in the shared directory: configured filters,
fsmonitor, hooks, attributes, excludes. All worktrees share it, so a worker can plant a command
there that the supervisor would run. A sealed directory has the repository's objects and nothing
else of it. Its configuration is written here and holds

- line endings (`core.autocrlf`, `core.eol`) as the repository has them, so that a checkout looks
  to the worker as its own git would have made it; they execute nothing;
- the filters of the user's own configuration, outside the repository (`git lfs install` puts
  LFS there): legitimate, and no worktree leads to them. Filters of the repository's configuration
  are not run; such files are checked out and recorded as they are stored.

Not honoured: `info/attributes`, and attributes or excludes named by configuration.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.errors import EnvironmentFailedError
from wfledger.vcs import proc
from wfledger.vcs.proc import Finished, Setting, run_git
from wfledger.vcs.repo import Repository

_LINE_ENDINGS: Final = frozenset({"core.autocrlf", "core.eol"})
_OF_USER: Final = ("filter.", "lfs.")


@dataclass(frozen=True)
class Sealed:
    """One such directory; gone when the `with` block of `sealed` ends."""

    directory: Path
    objects: Path
    #: More folders of objects, which are only read.
    also: tuple[Path, ...] = ()

    def run(
        self,
        args: Sequence[str],
        *,
        work_tree: Path | None = None,
        index: Path | None = None,
        stdin: bytes = b"",
        timeout: float = 60,
        check: bool = True,
    ) -> Finished:
        """Run git here; *index* absent means the private one."""
        env = {
            "GIT_OBJECT_DIRECTORY": str(self.objects),
            "GIT_INDEX_FILE": str(index or self.directory / "index"),
        }
        if self.also:
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = ":".join(map(_quoted, self.also))
        where: list[str] = []
        if work_tree is not None:
            env["GIT_WORK_TREE"] = str(work_tree)
            where = ["-C", str(work_tree)]
        return run_git(
            [*where, *args],
            git_dir=self.directory,
            env=env,
            stdin=stdin,
            timeout=timeout,
            check=check,
        )


@contextmanager
def sealed(repo: Repository, *, parent: Path | None = None, ignore: str = "") -> Iterator[Sealed]:
    """Make a sealed directory in *parent* (default: the system's temporary directory).

    *ignore* is the text of the exclude file that holds in it, next to the tree's `.gitignore`s.
    """
    with temporary(parent, "sealed-") as directory:
        directory.joinpath("refs").mkdir()
        directory.joinpath("objects").mkdir()
        directory.joinpath("info").mkdir()
        directory.joinpath("info/exclude").write_text(ignore, "utf-8", "surrogateescape")
        directory.joinpath("HEAD").write_text("ref: refs/heads/none\n", "utf-8")
        settings = proc.settings(repo.git_dir)
        folds = directory.joinpath("head").exists()
        text = _config(settings, folds=folds)
        directory.joinpath("config").write_text(text, "utf-8", "surrogateescape")
        lfs = repo.common_dir / "lfs"
        if lfs.is_dir():  # where LFS keeps what it takes out of the files
            directory.joinpath("lfs").symlink_to(lfs)
        yield Sealed(directory, repo.common_dir / "objects")


@contextmanager
def temporary(parent: Path | None, prefix: str) -> Iterator[Path]:
    """Make a directory that only we can read; gone when the block ends."""
    try:
        made = tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise EnvironmentFailedError(f"no temporary directory can be made: {error}") from error
    with made as name:
        yield Path(name)


def _config(settings: Iterable[Setting], *, folds: bool) -> str:
    mac = "true" if sys.platform == "darwin" else "false"
    values = [
        ("core.repositoryformatversion", "0"),
        ("core.bare", "false"),
        ("core.filemode", "true"),
        ("core.symlinks", "true"),
        ("core.safecrlf", "false"),
        ("core.logallrefupdates", "false"),
        ("core.ignorecase", "true" if folds else "false"),
        ("core.precomposeunicode", mac),
    ]
    values += [(item.key, item.value) for item in settings if _carried(item)]
    return "".join(_entry(key, value) for key, value in values)


def _carried(setting: Setting) -> bool:
    if setting.key in _LINE_ENDINGS:
        return True
    return setting.of_user and setting.key.startswith(_OF_USER)


def _entry(key: str, value: str) -> str:
    section, _, rest = key.partition(".")
    middle, _, name = rest.rpartition(".")
    title = f'[{section} "{_escape(middle)}"]' if middle else f"[{section}]"
    return f'{title}\n\t{name} = "{_escape(value)}"\n'


def _quoted(path: Path) -> str:
    """Return *path* as git takes it in a list with colons."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def ignored_by_user(repo: Repository) -> str:
    """Return what the user ignores outside the tree: `info/exclude` and the global exclude file.

    To be read before a worker starts and handed to the snapshot afterwards, so that a worker can
    hide nothing by editing either.
    """
    named = [
        setting.value
        for setting in proc.settings(repo.git_dir)
        if setting.of_user and setting.key == "core.excludesfile"
    ]
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    files = [named[-1] if named else f"{config}/git/ignore", str(repo.common_dir / "info/exclude")]
    return "".join(_text(Path(name).expanduser()) for name in files)


def _text(path: Path) -> str:
    try:
        found = path.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    return found if found.endswith("\n") or not found else found + "\n"
