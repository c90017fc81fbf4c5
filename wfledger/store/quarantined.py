"""What lies in quarantine/, with the reason that was written beside it."""

import json
from pathlib import Path
from typing import Final

from wfledger.core import bounds
from wfledger.errors import WfledgerError
from wfledger.store import atomic
from wfledger.store.folders import KEEP
from wfledger.store.layout import Layout

REASON: Final = ".reason"


def quarantined(layout: Layout) -> list[str]:
    """Return the names of the files in quarantine/, sorted; nothing is opened."""
    try:
        names = [path.name for path in (layout.root / "quarantine").iterdir()]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name != KEEP and not name.endswith(REASON))


def reason_of(layout: Layout, name: str) -> str:
    """Return why a file was moved to quarantine/."""
    note: Path = layout.root / "quarantine" / f"{name}{REASON}"
    try:
        said = json.loads(atomic.read(note, limit=bounds.TASK_BYTES))
        return str(said["reason"])
    except (OSError, ValueError, KeyError, TypeError, WfledgerError):
        return "nobody wrote down why"
