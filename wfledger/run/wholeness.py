"""Whether the ledger is whole, asked before each change, and the redo that makes it so.

What `.wfledger/` is and which boot this is can only change while nobody of ours looks, so two
`stat` calls settle it; only what they see changed is looked at closely.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from wfledger.errors import LedgerDamagedError
from wfledger.run.hub.state import distrust
from wfledger.store.boot import needs_redo, note_path

if TYPE_CHECKING:
    from wfledger.run.workspace import Workspace
    from wfledger.store.rebuild import Rebuilt

#: Seconds to wait for whoever commits or rebuilds at the moment.
REDO_WAIT_S = 120.0
_Seen = tuple[int, int, int] | None


class Guard:
    """The guard of one workspace's ledger (WFL-REC-005, WFL-LEDGER-011)."""

    def __init__(self, workspace: "Workspace") -> None:
        self._workspace = workspace
        # Asked before every change, so nothing is worked out twice.
        self._paths = (
            str(workspace.ledger.layout.root / ".git"), str(note_path(workspace.ledger))
        )
        self._seen: tuple[_Seen, _Seen] | None = None

    def is_whole(self) -> bool:
        """Whether changes may be made; raises `LedgerDamagedError` where the folder is wrong."""
        found = (_identity(self._paths[0]), _identity(self._paths[1]))
        if found == self._seen and None not in found:
            return True
        workspace = self._workspace
        require_home(workspace.ledger.layout.root, workspace.common_dir)
        if needs_redo(workspace.ledger):
            return False
        self._seen = found
        return True

    def make_whole(self) -> None:
        """Redo the ledger; where another process is at it, wait until it has done so."""
        redo_all(self._workspace, by="recovery", only_if_needed=True)


def redo_all(workspace: "Workspace", *, by: str, only_if_needed: bool = False) -> "Rebuilt":
    """Redo the ledger from journal, directory and branch; nothing is committed meanwhile."""
    from wfledger.store.rebuild import redo

    with workspace.ledger.locks.hold("history", timeout=REDO_WAIT_S):
        files = workspace.history.files()
        done = redo(
            workspace.ledger, files, by=by, only_if_needed=only_if_needed,
            is_shared=workspace.is_shared,
        )
        if workspace.is_shared:
            # The files may be older than what the last meeting showed.
            distrust(workspace.ledger.layout.local)
        workspace.history.refresh_index(workspace.ledger.layout.root)
    return done


def require_home(root: Path, common_dir: Path) -> None:
    """Raise `LedgerDamagedError` unless *root* is the worktree that it must be."""
    if not points_home(root, common_dir):
        raise LedgerDamagedError(
            f"{root} is not the worktree of the ledger's branch",
            hint="wfledger doctor --fix",
            path=str(root),
        )


def points_home(root: Path, common_dir: Path) -> bool:
    """Whether *root*`/.git` points to a worktree of *common_dir*; git there is foreign else."""
    try:
        text = (root / ".git").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return False
    prefix = "gitdir: "
    if not text.startswith(prefix):
        return False
    git_dir = Path(os.path.normpath(root / text.removeprefix(prefix)))
    return git_dir.parent == common_dir / "worktrees" and (git_dir / "HEAD").is_file()


def _identity(path: str) -> _Seen:
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
