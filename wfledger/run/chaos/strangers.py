"""What is planted into the folders of a tortured ledger: everything that is no task."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from wfledger.core.statuses import Status
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.scene import Scene
from wfledger.run.workspace import FOLDER

#: Begins the name of everything that is planted, in whatever way that is written.
PREFIX: Final = "planted"
_HUGE_BYTES: Final = 4 << 30
_FOLDERS: Final = (*(status.value for status in Status), "runs", "results", "quarantine")
_DEEP: Final = b"[" * 200_000


def plant(scene: Scene, chance: Chance) -> str:
    """Put one thing into one folder and say what; raises `OSError` where that fails."""
    root = scene.repo / FOLDER
    folder = root / chance.one_of(_FOLDERS)
    if folder.name in {"waiting", "done", "cancelled"} and chance.often(0.5):
        folder /= scene.run
    kind = chance.one_of(sorted(_KINDS))
    path = folder / f"{PREFIX}-{chance.below(1_000_000)}.json"
    if not folder.is_dir() or os.path.lexists(path):
        return f"{kind} (the folder was not there)"
    _KINDS[kind](path)
    return kind


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(_HUGE_BYTES)


def _foreign_task(path: Path) -> None:
    """Give a real task's content a name that is not its own."""
    root = next(up for up in path.parents if up.name == FOLDER)
    for found in sorted(root.glob("*/*.json")):
        if found.is_file() and not found.is_symlink() and not found.name.startswith(PREFIX):
            path.write_bytes(found.read_bytes())
            return
    path.write_text('{"schema": "wfledger.task/1", "id": "another.name"}\n')


_KINDS: Final[Mapping[str, Callable[[Path], object]]] = {
    "FIFO": os.mkfifo,
    "link to a file": lambda path: path.symlink_to("/etc/hostname"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "4 GB": _huge,
    "garbage": lambda path: path.write_bytes(os.fsencode(path.name) * 7 + b"\xff\xfe{"),
    "nothing": lambda path: path.touch(),
    "deep nesting": lambda path: path.write_bytes(_DEEP),
    "another task's content": _foreign_task,
    "odd name": lambda path: (path.parent / f"{PREFIX}\n\x1b[2J .json").write_text("{"),
}
