"""Claude Code's task lists: `~/.claude/tasks/<list>/<n>.json`, one task in each file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from wfledger.errors import UsageError
from wfledger.run.exchange import files
from wfledger.run.exchange.imported import (
    Imported,
    Item,
    State,
    Trouble,
    names_of,
    text_of,
    without,
)

SOURCE: Final = "claude-tasks"
_STATES: Final[Mapping[str, State]] = {
    "pending": "open", "in_progress": "held", "completed": "done", "deleted": "dropped",
}  # fmt: skip
_USED: Final = ("id", "subject", "description", "activeForm", "status", "blocks", "blockedBy")


def find(name: str | None, lists: Path, *, start: Path) -> Path:
    """Return the folder of a list: one below *lists*, a path, or the only one that there is.

    A path is as seen from *start*.

    Raises `UsageError` where it is not known which.
    """
    if name is not None:
        below = lists / name
        return below if "/" not in name and below.is_dir() else files.folder_of(start / name)
    found = sorted(path.name for path in lists.iterdir() if path.is_dir()) if lists.is_dir() else []
    if len(found) == 1:
        return lists / found[0]
    if not found:
        raise UsageError(f"there are no task lists in {lists}")
    raise UsageError(
        f"{lists} has {len(found)} lists; say which",
        hint=f"wfledger import claude-tasks {found[0]}", lists=found[:50],
    )


def read(folder: Path, *, place: str) -> Imported:
    """Read the tasks of one list; files that are none are reported."""
    items: list[Item] = []
    troubles: list[Trouble] = []
    blocks: dict[str, list[str]] = {}
    for where, raw in files.each_in(files.folder_of(folder), ".json", ""):
        data = raw if isinstance(raw, Trouble) else files.json_object(raw, where)
        item = data if isinstance(data, Trouble) else _item(data, where)
        if isinstance(item, Trouble):
            troubles.append(item)
            continue
        items.append(item)
        for later in names_of(data.get("blocks")) if isinstance(data, dict) else ():
            blocks.setdefault(later, []).append(item.id)
    joined = [
        replace(item, after=tuple(dict.fromkeys((*item.after, *blocks.get(item.id, ())))))
        for item in items
    ]
    return Imported(SOURCE, place, tuple(joined), tuple(troubles))


def _item(data: dict[str, Any], where: str) -> Item | Trouble:
    given = data.get("id")
    name = str(given).strip() if isinstance(given, str | int) else ""
    subject = text_of(data.get("subject"))
    if not name or not (subject or text_of(data.get("description"))):
        return Trouble("unreadable", where, "is not a task: it has no `id` or no `subject`")
    status = text_of(data.get("status")) or "pending"
    return Item(
        id=name, title=subject or name, text=text_of(data.get("description")),
        state=_STATES.get(status, "held"), status=status, after=names_of(data.get("blockedBy")),
        fields=without(data, *_USED), where=where,
    )  # fmt: skip
