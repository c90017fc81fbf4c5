"""What of this machine's changes was lost to what others had done, written down for its people.

`hub/lost.jsonl` has a line for each; `hub/odd.json` names what the remote has and nobody can read.
Work is never lost with a change: what an attempt has made stays under its ref.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from wfledger.core.records import canonical_json
from wfledger.run.hub.meeting import Lost
from wfledger.run.hub.state import folder
from wfledger.run.refnames import keep_ref
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

__all__ = ["Lost", "foremost", "note", "note_odd", "odd", "read", "work_of"]

_FILE: Final = "lost.jsonl"
_ASIDE: Final = "aside"
_ODD: Final = "odd.json"
#: Lines that are compared with what is to be written, after a crash.
_TAIL: Final = 2000


def note(
    workspace: Workspace, lost: Iterable[Lost], aside: Mapping[str, bytes]
) -> tuple[Lost, ...]:
    """Write down what was lost, and keep documents of ours that were; durable on return.

    Returns what was not written down before: a meeting that was killed comes to it again.
    """
    lost = tuple(lost)
    if not lost:
        return ()
    layout = workspace.ledger.layout
    top = folder(layout.local)
    for path, raw in aside.items():
        goal = top / _ASIDE / path.replace("/", ".")
        goal.parent.mkdir(exist_ok=True)
        atomic.replace(goal, raw, tmp=layout.tmp, durable=True)
    known = {_key(entry.as_json()) for entry in read(workspace)[-_TAIL:]}
    fresh = tuple(entry for entry in lost if _key(entry.as_json()) not in known)
    lines = b"".join(_line(entry.as_json()) for entry in fresh)
    if lines:
        atomic.append(top / _FILE, lines)
    return fresh


def read(workspace: Workspace) -> list[Lost]:
    """Return all that was lost, oldest first; a line that a crash has torn is passed over."""
    try:
        raw = (folder(workspace.ledger.layout.local) / _FILE).read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for line in raw.splitlines():
        try:
            facts = json.loads(line)
            facts["source"], facts["target"] = facts.pop("from"), facts.pop("to")
            found.append(Lost(**facts))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def foremost(lost: Iterable[Lost]) -> list[Lost]:
    """Return what says why an attempt's changes were lost: of each attempt the first loss.

    Later ones of it follow from that, and so does that of its result.
    """
    found: dict[tuple[str, int], Lost] = {}
    for one in lost:
        found.setdefault((one.task, one.attempt if one.target else 0), one)
    results = {f"results/{task}/{attempt}.json" for task, attempt in found}
    return [one for one in found.values() if one.task not in results]


def work_of(workspace: Workspace, task_id: str, attempt: int) -> str | None:
    """Return the ref that keeps the work of an attempt here; None where there is none."""
    ref = keep_ref(task_id, attempt)
    return ref if attempt and workspace.repo.tip(ref) is not None else None


def _key(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(facts[name] for name in ("at", "task", "attempt", "from", "to", "by", "why"))


def _line(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def note_odd(workspace: Workspace, found: Mapping[str, str]) -> None:
    """Remember what of the remote's could not be read; a path that was found sound is forgotten."""
    path = _odd_path(workspace)
    if dict(found) == odd(workspace):
        return
    atomic.replace(path, canonical_json(dict(found)), tmp=workspace.ledger.layout.tmp)


def odd(workspace: Workspace) -> dict[str, str]:
    """Return what of the remote's could not be read: path -> reason."""
    try:
        found = json.loads(_odd_path(workspace).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(path): str(why) for path, why in found.items()} if isinstance(found, dict) else {}


def _odd_path(workspace: Workspace) -> Path:
    return folder(workspace.ledger.layout.local) / _ODD
