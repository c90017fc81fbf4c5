"""Backlog.md: `backlog/tasks/<id> - <title>.md`, YAML front matter and Markdown sections."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from wfledger.errors import PlanError, UsageError
from wfledger.plans.reading import read_front_matter
from wfledger.run.exchange import files
from wfledger.run.exchange.imported import (
    IMPORTANCE,
    Imported,
    Item,
    State,
    Trouble,
    names_of,
    text_of,
    without,
)

SOURCE: Final = "backlog"
_STATES: Final[Mapping[str, State]] = {
    "to do": "open", "todo": "open", "open": "open", "": "open",
    "done": "done", "completed": "done", "cancelled": "dropped", "canceled": "dropped",
}  # fmt: skip
_USED: Final = ("id", "title", "status", "dependencies", "parent_task_id", "subtasks", "priority")
#: Folders of a project, and what lies in them whatever its status says.
_FOLDERS: Final[tuple[tuple[str, State | None], ...]] = (("tasks", None), ("completed", "done"))
#: Names of people begin with a sign that YAML reserves, and are written bare all the same.
_PEOPLE: Final = re.compile(r"(?m)^(?:assignee|reporter):.*$|^\s*-\s+@\S+\s*$")
_BARE: Final = re.compile(r"(?<![\w\"'])@[\w./-]+")
_MARK: Final = re.compile(r"^<!-- [A-Z:_-]+ -->\n?", re.MULTILINE)


def read(folder: Path, *, place: str) -> Imported:
    """Read the tasks of a project: its `backlog/` folder, or what holds that.

    Files that are no tasks are reported. Raises `UsageError` where there is no such folder.
    """
    found = list(_each(_home(files.folder_of(folder))))
    return Imported(
        SOURCE, place, tuple(one for one in found if isinstance(one, Item)),
        tuple(one for one in found if isinstance(one, Trouble)),
    )


def _home(folder: Path) -> Path:
    for candidate in (folder, folder / "backlog", folder / ".backlog"):
        if (candidate / "tasks").is_dir() and not (candidate / "tasks").is_symlink():
            return candidate
    raise UsageError(f"{folder} holds no tasks of Backlog.md: there is no backlog/tasks/ in it")


def _each(home: Path) -> Iterator[Item | Trouble]:
    for name, fixed in _FOLDERS:
        if not (home / name).is_dir() or (home / name).is_symlink():
            continue
        for where, raw in files.each_in(home / name, ".md", f"{name}/"):
            if where.rpartition("/")[2].lower() != "readme.md":
                yield raw if isinstance(raw, Trouble) else _item(raw, where, fixed)


def _item(raw: bytes, where: str, fixed: State | None) -> Item | Trouble:
    try:
        data, body = read_front_matter(_mended(raw), source=where)
    except PlanError as error:
        return Trouble("unreadable", where, error.message.removeprefix(f"{where}:"))
    given = data.get("id")
    name = str(given).strip() if isinstance(given, str | int) else ""
    if not name:
        return Trouble("unreadable", where, "is not a task: its front matter has no `id`")
    status = text_of(data.get("status"))
    parent = data.get("parent_task_id")
    return Item(
        id=name, title=text_of(data.get("title")) or name, text=_MARK.sub("", body).strip(),
        state=fixed or _STATES.get(status.lower(), "held"), status=status or "no status",
        after=names_of(data.get("dependencies")),
        parent=str(parent) if isinstance(parent, str | int) and str(parent) else None,
        priority=IMPORTANCE.get(text_of(data.get("priority")).lower(), 0),
        fields=without(data, *_USED), where=where,
    )  # fmt: skip


def _mended(raw: bytes) -> bytes:
    """Return the text with bare names of people put in quotes, as Backlog.md reads them."""
    text = raw.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    head, mark, body = text.partition("\n---")
    head = _PEOPLE.sub(lambda line: _BARE.sub(r'"\g<0>"', line.group()), head)
    return (head + mark + body).encode("utf-8", "surrogateescape")
