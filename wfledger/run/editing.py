"""Files of the ledger that people edit in place: the next operation takes them into the history."""

import json
from pathlib import Path

from wfledger.core.records import canonical_json
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.layout import EDITABLE
from wfledger.store.transaction import Transaction


def adopt_edits(workspace: Workspace, changes: Transaction) -> None:
    """Record each file of `EDITABLE` that is another one than was recorded last (WFL-LEDGER-045).

    A file is known by inode, time and size, so an unchanged one costs a look at its name.
    """
    layout = workspace.ledger.layout
    note = layout.local / "index" / "edited.json"
    known = _known(note)
    now = {name: _identity(layout.root / name) for name in EDITABLE}
    for name, identity in now.items():
        if identity and known.get(name) != identity:
            changes.adopt_file(name, why="edited by hand" if name in known else "as it is")
    if now != known:
        atomic.replace(note, canonical_json(now), tmp=layout.tmp)


def _known(note: Path) -> dict[str, list[int]]:
    try:
        known = json.loads(note.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _identity(path: Path) -> list[int]:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return []
    return [facts.st_ino, facts.st_mtime_ns, facts.st_size]
