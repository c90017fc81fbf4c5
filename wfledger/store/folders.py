"""The folders of a ledger: which there must be, and their making."""

from pathlib import Path
from typing import Final

from wfledger.core.statuses import Status
from wfledger.store.layout import LOCAL_FOLDERS, OTHER_FOLDERS, Layout

KEEP: Final = ".keep"


def needed(layout: Layout) -> list[Path]:
    """Return every folder that a ledger must have, its own first."""
    own = [layout.root / name for name in (*(s.value for s in Status), *OTHER_FOLDERS)]
    return own + [layout.local / name for name in LOCAL_FOLDERS]


def missing(layout: Layout) -> list[Path]:
    """Return the folders that are not there."""
    return [folder for folder in needed(layout) if not folder.is_dir()]


def missing_keeps(layout: Layout) -> list[Path]:
    """Return the `.keep` files that are not there, of folders that are (WFL-LEDGER-004)."""
    own = [folder for folder in needed(layout) if folder.is_relative_to(layout.root)]
    keeps = (folder / KEEP for folder in own if folder.is_dir())
    return [keep for keep in keeps if not keep.exists()]


def create_local(layout: Layout) -> None:
    """Make what is missing of this machine's own state."""
    for name in LOCAL_FOLDERS:
        (layout.local / name).mkdir(parents=True, exist_ok=True)


def create(layout: Layout) -> None:
    """Make what is missing; called when a ledger is made or repaired, never in passing."""
    for folder in needed(layout):
        folder.mkdir(parents=True, exist_ok=True)
    for keep in missing_keeps(layout):
        keep.touch()
