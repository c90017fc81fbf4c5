"""Files of the ledger that people edit in place: the next operation takes them into the history."""

import json
from pathlib import Path

from wfledger.core import bounds
from wfledger.core.records import canonical_json
from wfledger.run.guard import vouching
from wfledger.run.guard.planted import LEDGER
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.layout import EDITABLE
from wfledger.store.transaction import Transaction


def adopt_edits(workspace: Workspace, changes: Transaction) -> None:
    """Record each file of `EDITABLE` that is another one than was recorded last (WFL-LEDGER-045).

    A file is known by inode, time and size, so an unchanged one costs a look at its name. One that
    nobody vouches for, since it came about while attempts ran, is left to a later step
    (WFL-REC-037).
    """
    layout = workspace.ledger.layout
    note = layout.local / "index" / "edited.json"
    known = _known(note)
    now = dict(known)
    for name in EDITABLE:
        identity = _identity(layout.root / name)
        if identity == known.get(name, []) and name in known:
            continue
        if identity and not _is_vouched(workspace, name):
            continue
        now[name] = identity
        if identity and not _has_arrived(workspace, name):
            changes.adopt_file(name, why="edited by hand" if name in known else "as it is")
    if now != known:
        atomic.replace(note, canonical_json(now), tmp=layout.tmp)


def _has_arrived(workspace: Workspace, name: str) -> bool:
    """Whether a file came from the ledger's remote as it is: nobody here has edited it."""
    if not workspace.is_shared:
        return False
    return workspace.history.read(name) == atomic.read(workspace.ledger.layout.root / name,
                                                       limit=bounds.RUN_BYTES)  # fmt: skip


def _is_vouched(workspace: Workspace, name: str) -> bool:
    item = vouching.item_of(workspace.ledger.layout.root / name)
    return vouching.is_known(workspace, f"{LEDGER}{name}", item)


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
