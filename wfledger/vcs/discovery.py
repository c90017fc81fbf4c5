"""Finds the repository that a directory is in and says exactly why one cannot be used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pygit2

from wfledger.errors import RepositoryError
from wfledger.vcs import proc

#: The branch that the ledger's own worktree has checked out.
LEDGER_BRANCH: Final = "refs/heads/wfledger"
_REASONS: Final = (
    ("not owned by", "not_owned"),
    ("unknown object format", "sha256"),
    ("extensions.objectformat", "sha256"),
    ("extensions.compatobjectformat", "sha256"),
    ("extensions.refstorage", "reftable"),
    ("extensions.partialclone", "partial_clone"),
)
_ADVICE: Final = {
    "sha256": (
        "the repository uses SHA-256 object names, which libgit2 1.x cannot read",
        "use a repository with SHA-1 object names",
    ),
    "reftable": (
        "the repository keeps its refs in reftables, which libgit2 1.x cannot read",
        "run: git refs migrate --ref-format=files",
    ),
    "partial_clone": (
        "the repository is a partial clone: its objects are fetched only when they are needed",
        "use a full clone: git clone without --filter",
    ),
}


@dataclass(frozen=True)
class Place:
    """Where a repository is, as found from some directory inside it."""

    common_dir: Path
    git_dir: Path
    workdir: Path | None
    main_workdir: Path | None
    kind: Literal["main", "linked", "submodule", "ledger"]


def locate(start: Path) -> Place:
    """Find the repository around *start*; raises `RepositoryError` with the fact `kind`."""
    if proc.git_version() < proc.MINIMUM:
        have = ".".join(map(str, proc.git_version()))
        raise RepositoryError(
            f"git {have} is too old", hint="install git 2.39 or newer", kind="git_too_old"
        )
    found = pygit2.discover_repository(str(start)) if start.exists() else None
    if found is None:
        raise RepositoryError(
            f"{start} is not in a git repository",
            hint="run: git init && git commit --allow-empty -m start",
            kind="not_a_repository",
            path=str(start),
        )
    return _place(Path(found).resolve())


def _place(git_dir: Path) -> Place:
    common = common_dir_of(git_dir)
    here, main = _open(git_dir), _open(common)
    if main.is_bare:
        raise RepositoryError(
            f"{common} is bare: it has no checkout for a ledger to stand in",
            hint="use a clone that has a checkout",
            kind="bare",
        )
    main_workdir = Path(main.workdir)
    if git_dir == common:
        in_modules = main_workdir.joinpath(".git").is_file()
        return Place(common, git_dir, main_workdir, main_workdir,
                     "submodule" if in_modules else "main")  # fmt: skip
    if head_of(git_dir) == LEDGER_BRANCH:
        # Whoever stands in the ledger means the checkout that it belongs to.
        return Place(common, common, main_workdir, main_workdir, "ledger")
    return Place(common, git_dir, Path(here.workdir), main_workdir, "linked")


def common_dir_of(git_dir: Path) -> Path:
    """Return the directory that *git_dir* shares with the other worktrees of its repository."""
    git_dir = git_dir.resolve()
    if git_dir.joinpath("objects").is_dir():
        return git_dir  # whatever a worker put there
    try:
        pointer = git_dir.joinpath("commondir").read_text("utf-8").strip()
    except FileNotFoundError:
        return git_dir
    return git_dir.joinpath(pointer).resolve()


def head_of(git_dir: Path) -> str:
    """Return what HEAD of *git_dir* says: a full ref name, an object id, or nothing readable."""
    try:
        return git_dir.joinpath("HEAD").read_text("utf-8", "replace").strip().removeprefix("ref: ")
    except OSError:
        return ""


def classify(place: Place, repository: pygit2.Repository, *, unborn: bool = False) -> None:
    """Refuse what can be opened and still not be used; *unborn* allows a HEAD without a commit."""
    settings = repository.config
    if any(item.name.endswith(".promisor") and item.value == "true" for item in settings):
        raise _refusal("partial_clone", place.common_dir)
    if repository.head_is_unborn and not unborn:
        raise RepositoryError(
            "the current branch has no commit yet",
            hint="run: git commit --allow-empty -m start",
            kind="no_commits",
        )


def _open(git_dir: Path) -> pygit2.Repository:
    try:
        return pygit2.Repository(str(git_dir))
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        text = str(error).lower()
        kind = next((name for words, name in _REASONS if words in text), "unsupported")
        raise _refusal(kind, git_dir, str(error)) from error


def _refusal(kind: str, git_dir: Path, text: str = "") -> RepositoryError:
    message, hint = _ADVICE.get(kind, (f"the repository cannot be opened: {text}", None))
    if kind == "not_owned":
        message = f"{git_dir} belongs to another user"
        hint = f"if you trust it, run: git config --global --add safe.directory {git_dir.parent}"
    return RepositoryError(message, hint=hint, kind=kind, path=str(git_dir))
