"""beads: `.beads/issues.jsonl`, one issue in each line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from wfledger.run.exchange import files
from wfledger.run.exchange.imported import (
    Imported,
    Item,
    State,
    Trouble,
    sections,
    text_of,
    without,
)

SOURCE: Final = "beads"
_STATES: Final[Mapping[str, State]] = {
    "open": "open", "closed": "done", "tombstone": "dropped",
    # Whatever else there is: in_progress, blocked, deferred, pinned, hooked, a team's own.
}  # fmt: skip
#: Kinds of edges that keep an issue from being ready; the others only relate.
_WAITS: Final = frozenset({"blocks", "conditional-blocks", "waits-for"})
_PARENT: Final = "parent-child"
#: Kinds of issues that are records of other things than work.
_NO_WORK: Final = frozenset(
    {"message", "event", "agent", "role", "rig", "slot", "convoy"}
)
_USED: Final = (
    "_type", "id", "title", "description", "design", "acceptance_criteria", "notes", "status",
    "priority",
)  # fmt: skip


def read(path: Path, *, place: str) -> Imported:
    """Read the issues of a file; lines that are none are reported."""
    items, troubles = [], []
    for found in _each(files.read_whole(path)):
        if isinstance(found, Trouble):
            troubles.append(found)
        else:
            items.append(found)
    return Imported(SOURCE, place, tuple(items), tuple(troubles))


def _each(raw: bytes) -> Iterator[Item | Trouble]:
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        data = files.json_object(line, where)
        if isinstance(data, Trouble):
            yield data
        elif data.get("_type", "issue") == "issue":
            yield _item(data, where)


def _item(data: dict[str, Any], where: str) -> Item | Trouble:
    name = text_of(data.get("id"))
    if not name:
        return Trouble("unreadable", where, "is an issue without an `id`")
    edges = data.get("dependencies")
    listed = [edge for edge in edges if isinstance(edge, dict)] if isinstance(edges, list) else []
    after = [text_of(edge.get("depends_on_id")) for edge in listed if _kind(edge) in _WAITS]
    parents = [text_of(edge.get("depends_on_id")) for edge in listed if _kind(edge) == _PARENT]
    status = text_of(data.get("status")) or "open"
    kind = text_of(data.get("issue_type"))
    is_work = kind not in _NO_WORK and not data.get("is_template")
    priority = data.get("priority", 2)
    return Item(
        id=name, title=text_of(data.get("title")) or name,
        text=sections(
            ("", data.get("description")), ("Design", data.get("design")),
            ("Acceptance criteria", data.get("acceptance_criteria")), ("Notes", data.get("notes")),
        ),
        state=_STATES.get(status, "held") if is_work else "dropped",
        status=status if is_work else f"{status}, a {kind or 'template'}",
        after=tuple(dict.fromkeys(filter(None, after))),
        parent=next(filter(None, parents), None),
        priority=2 - priority if isinstance(priority, int) and 0 <= priority <= 4 else 0,
        fields=without(data, *_USED), where=where,
    )  # fmt: skip


def _kind(edge: dict[str, Any]) -> str:
    return text_of(edge.get("type")) or "blocks"
