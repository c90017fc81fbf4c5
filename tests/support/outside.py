"""What is the user's in a repository: checkout, index, configuration, hooks and branches."""

import os
from pathlib import Path

from tests.support.repos import git

#: Below the common directory: what wfledger or git's object store owns.
_NOT_THE_USERS = ("objects", "wfledger", "worktrees", "refs", "packed-refs", "logs")
_OURS = ("refs/heads/wf/", "refs/heads/wf-try/", "refs/heads/wfledger", "refs/wfledger/")


def belongings(root: Path) -> dict[str, object]:
    """Return everything of the user's, to be compared; runs nothing that could change it."""
    common = root / ".git"
    listed = git(root, "for-each-ref", "--format=%(refname) %(objectname)") if common.is_dir() else ""
    refs = [line for line in listed.splitlines() if not line.startswith(_OURS)]
    return {"refs": refs, **_files(root, (".git", ".wfledger")), **_files(common, _NOT_THE_USERS)}


def _files(folder: Path, without: tuple[str, ...]) -> dict[str, object]:
    found: dict[str, object] = {}
    for here, names, files in os.walk(folder):
        top = Path(here) == folder
        names[:] = [name for name in names if not (top and name in without)]
        for name in (*names, *files):
            if top and name in without:
                continue
            path = Path(here, name)
            raw = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            link = str(path.readlink()) if path.is_symlink() else ""
            found[str(path)] = (path.lstat().st_mode, link, raw)
    return found
