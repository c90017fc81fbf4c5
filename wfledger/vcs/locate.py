"""Where a repository's common directory is, found without opening the repository.

Verbs that only touch ledger files use this: opening git costs more than all they do.
"""

from dataclasses import dataclass
from pathlib import Path

from wfledger.errors import RepositoryError

_LIMIT = 4096


@dataclass(frozen=True)
class Located:
    """The directories of a repository, as seen from somewhere inside."""

    #: What all worktrees share.
    common_dir: Path
    #: Of the worktree that we stand in.
    git_dir: Path
    #: Root of that worktree; None in a bare repository or inside the git directory.
    workdir: Path | None


def locate(start: Path) -> Located:
    """Find the repository that *start* is in; raises `RepositoryError`."""
    here = _whole(start)
    for folder in (here, *here.parents):
        pointer = folder / ".git"
        if pointer.is_dir():
            return Located(_common(pointer), pointer, folder)
        if pointer.is_file():
            git_dir = _follow(pointer)
            return Located(_common(git_dir), git_dir, folder)
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir():
            return Located(_common(folder), folder, None)
    raise RepositoryError(
        f"{start} is in no git repository", hint="git init", kind="not_a_repository"
    )


def lender(located: Located) -> Path | None:
    """Return the common directory whose objects a clone borrows; None where it borrows none."""
    try:
        text = (located.common_dir / "objects/info/alternates").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    objects = Path(text[:_LIMIT].removesuffix("\n"))
    return objects.parent if objects.name == "objects" and objects.is_absolute() else None


def tracks(common_dir: Path, branch: str) -> str | None:
    """Return the remote one of whose branches, as last fetched, is *branch*; None: none has it."""
    loose = sorted((common_dir / "refs/remotes").glob(f"*/{branch}"))
    if loose:
        return loose[0].parent.name
    for line in _lines(common_dir / "packed-refs"):
        name = line.rpartition(" ")[2]
        if name.startswith("refs/remotes/") and name.endswith(f"/{branch}"):
            return name.removeprefix("refs/remotes/").removesuffix(f"/{branch}")
    return None


def has_remotes(common_dir: Path) -> bool:
    """Whether the repository was cloned, or knows of another for another reason."""
    return any(line.strip().startswith('[remote "') for line in _lines(common_dir / "config"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _whole(start: Path) -> Path:
    try:
        return start.resolve()
    except FileNotFoundError:  # a relative path, and the directory that we are in was removed
        raise RepositoryError(
            "the directory that this shell is in is gone", hint="cd to your checkout",
            kind="not_a_repository",
        ) from None


def _follow(pointer: Path) -> Path:
    text = pointer.read_text("utf-8", "replace")[:_LIMIT].strip()
    if not text.startswith("gitdir: "):
        raise RepositoryError(f"{pointer} is no pointer to a git directory", kind="damaged")
    return (pointer.parent / text.removeprefix("gitdir: ")).resolve()


def _common(git_dir: Path) -> Path:
    pointer = git_dir / "commondir"
    # A directory with objects of its own is nobody's worktree, whatever a worker put there.
    if not pointer.is_file() or (git_dir / "objects").is_dir():
        return git_dir.resolve()
    return (git_dir / pointer.read_text("utf-8", "replace")[:_LIMIT].strip()).resolve()
