"""Putting back a file that was changed: the known bytes, what was there instead moved aside.

Nothing is deleted: what somebody planted lies in `aside/` of the local state, to be looked at.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from wfledger.run.guard.planted import LEDGER, MACHINE, Judge
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.vcs import fingerprint
from wfledger.vcs.fingerprint import INCLUDED

_MODE: Final = 0o644


def put_back(workspace: Workspace, judged: Judge, name: str) -> bool:
    """Make *name* what it was; False where that is not known. Repeating it is harmless."""
    path, item = path_of(workspace, name), judged.known.get(name)
    if item is None:
        if not name.startswith(INCLUDED):  # what nothing includes any more is nobody's business
            _move_aside(workspace, path, name)
        return True
    raw = judged.recall(item)
    if raw is None or not item.startswith("file:"):
        return False
    if name.startswith(LEDGER):
        with workspace.ledger.transaction("person") as changes:
            changes.put_file(name.removeprefix(LEDGER), raw, why="put back by trust --restore")
        return True
    if os.path.lexists(path):
        _move_aside(workspace, path, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The user's configuration may lie on another file system than the repository.
    tmp = path.parent if name.startswith(MACHINE) else workspace.ledger.layout.tmp
    atomic.replace(path, raw, tmp=tmp, mode=_MODE)
    path.chmod(int(item.split(":")[1], 8))
    return True


def path_of(workspace: Workspace, name: str) -> Path:
    """Return where the thing of that *name* is."""
    if name.startswith(LEDGER):
        return workspace.ledger.layout.root / name.removeprefix(LEDGER)
    if name.startswith(MACHINE):
        return Path(name.removeprefix(MACHINE))
    return fingerprint.path_of(workspace.common_dir, name)


def _move_aside(workspace: Workspace, path: Path, name: str) -> None:
    folder = workspace.ledger.layout.local / "aside"
    folder.mkdir(exist_ok=True)
    stem = name.replace("/", ".")
    target, number = folder / stem, 0
    while os.path.lexists(target):
        number += 1
        target = folder / f"{stem}.{number}"
    with suppress(FileNotFoundError):
        shutil.move(path, target)  # may lie on another file system
