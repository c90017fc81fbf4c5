"""What keeps a ledger small that runs for weeks: spent local files, old refs, loose objects.

Anybody may do it at any time and be killed at it. Nothing that a person or an attempt still needs
goes; work stays reachable from a ref for ever (spec 10, section 9).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from wfledger.clock import iso, parse_iso
from wfledger.core.records import canonical_json
from wfledger.errors import BusyError
from wfledger.run.hub.keeping import retire
from wfledger.run.upkeep.archiving import archive_refs
from wfledger.run.upkeep.clearing import clear_attempts, clear_logs, clear_tmp, final_tasks
from wfledger.run.upkeep.leftovers import clear_goals, clear_rehearsals
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

#: Seconds between two rounds, whoever makes them.
EVERY_S: Final = 3600.0
#: Seconds after which a temporary file is nobody's: far beyond what a snapshot may take.
_TMP_S: Final = 86_400.0
#: Loose objects beyond those that no packing takes, as in `gc.auto`; and packs, as in
#: `gc.autoPackLimit`.
_LOOSE: Final = 6_700
_PACKS: Final = 50
_LOOSE_REFS: Final = 1_000
_GIT_S: Final = 3600.0


@dataclass(frozen=True)
class Kept:
    """What one round did."""

    #: Local files of attempts, logs, goals and rehearsals that were removed.
    files: int
    #: Refs that were folded into the archive.
    refs: int
    #: Whether loose objects or refs were packed.
    packed: bool


@dataclass(frozen=True)
class _Note:
    """What the last round left."""

    at: str
    #: Loose objects that the last packing left: no ref leads to them.
    unpackable: int

    @classmethod
    def read(cls, workspace: Workspace) -> "_Note | None":
        path = workspace.ledger.layout.local / "index" / _NOTE
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            return cls(str(found["at"]), int(found["unpackable"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, workspace: Workspace) -> None:
        layout = workspace.ledger.layout
        atomic.replace(layout.local / "index" / _NOTE, canonical_json(asdict(self)), tmp=layout.tmp)


_NOTE: Final = "house.json"


def is_due(workspace: Workspace) -> bool:
    """Whether the last round is an hour ago; a clock that was set back makes it due."""
    note = _Note.read(workspace)
    if note is None:
        return True
    age = (workspace.clock.now() - parse_iso(note.at)).total_seconds()
    return not 0 <= age < EVERY_S


def keep_house(workspace: Workspace) -> Kept | None:
    """Do one round; None while another process is at it. Raises `GitError` when git fails."""
    try:
        with workspace.ledger.locks.hold("history", timeout=0):
            return _round(workspace)
    except BusyError:
        return None


def keep_house_if_due(workspace: Workspace, report: Callable[[str, str], None]) -> Kept | None:
    """Do a round if one is due; what it did beyond spent files is reported."""
    if not is_due(workspace):
        return None
    kept = keep_house(workspace)
    if kept is not None and (kept.refs or kept.packed):
        report("ledger", f"kept house: {kept.refs} refs archived, packed: {kept.packed}")
    return kept


def _round(workspace: Workspace) -> Kept:
    note, retention = _Note.read(workspace), workspace.policy().retention
    final = final_tasks(workspace)
    files = clear_attempts(workspace, final) + clear_logs(workspace, retention, final)
    files += clear_tmp(workspace, older_s=_TMP_S)
    files += clear_goals(workspace, retention) + clear_rehearsals(workspace)
    refs = archive_refs(workspace, older_s=retention.refs_s)
    if workspace.is_shared:
        retire(workspace, older_s=retention.refs_s)
    unpackable = note.unpackable if note else 0
    left = _pack_objects(workspace, unpackable)
    packed = _pack_refs(workspace) or left is not None
    _Note(iso(workspace.clock.now()), unpackable if left is None else left).write(workspace)
    return Kept(files, refs, packed)


def _pack_refs(workspace: Workspace) -> bool:
    from wfledger.vcs.packs import loose_refs, pack_refs

    many = loose_refs(workspace.repo, "refs/wfledger") > _LOOSE_REFS
    if many:
        pack_refs(workspace.repo, timeout=_GIT_S)
    return many


def _pack_objects(workspace: Workspace, unpackable: int) -> int | None:
    """Pack loose objects where there are many; returns how many stay loose, None if not packed."""
    from wfledger.vcs.packs import loose_objects, packs, repack

    repo = workspace.repo
    if loose_objects(repo) - unpackable <= _LOOSE and packs(repo) <= _PACKS:
        return None
    repack(repo, timeout=_GIT_S)
    return loose_objects(repo)
