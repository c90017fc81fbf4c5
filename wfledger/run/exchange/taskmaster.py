"""task-master: `.taskmaster/tasks/tasks.json`, tagged lists of tasks with subtasks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from wfledger.errors import InvalidDocumentError, UsageError
from wfledger.run.exchange import files
from wfledger.run.exchange.imported import (
    IMPORTANCE,
    Imported,
    Item,
    State,
    Trouble,
    names_of,
    sections,
    text_of,
    without,
)

SOURCE: Final = "taskmaster"
#: The tag of lists that have none.
_MASTER: Final = "master"
_STATES: Final[Mapping[str, State]] = {
    "pending": "open", "done": "done", "completed": "done", "cancelled": "dropped",
}  # fmt: skip
_USED: Final = (
    "id", "title", "description", "details", "testStrategy", "acceptanceCriteria", "status",
    "dependencies", "priority", "subtasks",
)  # fmt: skip


def read(path: Path, *, tag: str | None, place: str) -> Imported:
    """Read the tasks of one tag; entries that are no tasks are reported.

    Raises `InvalidDocumentError` for a file of another shape, `UsageError` for a tag it lacks.
    """
    data = files.json_object(files.read_whole(path), str(path), limit=files.FILE_BYTES)
    if isinstance(data, Trouble):
        raise InvalidDocumentError(f"{path}: {data.message}")
    lists = _lists(data)
    if not lists:
        raise InvalidDocumentError(f"{path} is no task list of task-master: it has no `tasks`")
    chosen = tag or (_MASTER if _MASTER in lists else min(lists))
    if chosen not in lists or (tag is None and len(lists) > 1 and _MASTER not in lists):
        names = ", ".join(sorted(lists))
        raise UsageError(
            f"{path} has the tags {names}; say which", tags=sorted(lists),
            hint=f"wfledger import taskmaster {path} --tag {min(lists)}",
        )
    found = list(_each(lists[chosen], chosen))
    return Imported(
        SOURCE, f"{place}#{chosen}", tuple(one for one in found if isinstance(one, Item)),
        tuple(one for one in found if isinstance(one, Trouble)),
    )


def _lists(data: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the tasks of each tag, also of a file from before there were tags."""
    if isinstance(data.get("tasks"), list):
        return {_MASTER: data["tasks"]}
    return {
        tag: body["tasks"] for tag, body in data.items()
        if isinstance(body, dict) and isinstance(body.get("tasks"), list)
    }  # fmt: skip


def _each(tasks: list[Any], tag: str) -> Iterator[Item | Trouble]:
    for number, data in enumerate(tasks, 1):
        where = f"{tag}: task {number}"
        task = _item(data, where, parent=None)
        yield task
        if not isinstance(task, Item) or not isinstance(data.get("subtasks"), list):
            continue
        for inner, part in enumerate(data["subtasks"], 1):
            yield _item(part, f"{where}: subtask {inner}", parent=task)


def _item(data: Any, where: str, *, parent: Item | None) -> Item | Trouble:
    given = data.get("id") if isinstance(data, dict) else None
    own = str(given).strip() if isinstance(given, str | int) else ""
    if not own:
        return Trouble("unreadable", where, "is not a task: it has no `id`")
    name = own if parent is None or "." in own else f"{parent.id}.{own}"
    status = text_of(data.get("status")) or "pending"
    after = names_of(data.get("dependencies"))
    return Item(
        id=name, title=text_of(data.get("title")) or name,
        text=sections(
            ("", data.get("description")), ("Details", data.get("details")),
            ("Acceptance criteria", data.get("acceptanceCriteria")),
            ("How to test it", data.get("testStrategy")),
        ),
        # A part of what is done or given up is left as that.
        state=_STATES.get(status, "held"), status=status,
        # Inside a task, a bare number is one of its parts.
        after=after if parent is None else tuple(_part(one, parent) for one in after),
        parent=parent.id if parent else None,
        priority=IMPORTANCE.get(text_of(data.get("priority")), parent.priority if parent else 0),
        fields=without(data, *_USED), where=where,
    )  # fmt: skip


def _part(name: str, parent: Item) -> str:
    return name if "." in name else f"{parent.id}.{name}"
