"""What every tracker's tasks become before they become tasks of the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

#: What a task's status there means here. `open`: may be started. `held`: somebody is at it, or a
#: person keeps it from starting. `done`: nothing is left to do. `dropped`: will not be done.
State = Literal["open", "held", "done", "dropped"]

#: What people call an importance, and the priority that it is.
IMPORTANCE: Final[Mapping[str, int]] = {"critical": 2, "high": 1, "medium": 0, "low": -1}


@dataclass(frozen=True)
class Item:
    """One task as its tracker has it."""

    id: str
    title: str
    #: All that its tracker says about what is to do, as Markdown.
    text: str
    state: State
    #: The status as its tracker writes it.
    status: str
    #: Ids that come first.
    after: tuple[str, ...] = ()
    #: The task that it is a part of.
    parent: str | None = None
    priority: int = 0
    #: What has no place in a task of the ledger, as it was.
    fields: Mapping[str, Any] = field(default_factory=dict)
    #: The line or file that it was read from.
    where: str = ""


@dataclass(frozen=True)
class Trouble:
    """Something that cannot be taken over as it is."""

    #: `unreadable`, `duplicate`, `dangling`, `cycle`, `too_large`, `too_many`.
    kind: str
    #: The file, line or task.
    where: str
    message: str

    def as_json(self) -> dict[str, str]:
        """Return the shape that `import --json` prints."""
        return {"kind": self.kind, "where": self.where, "message": self.message}


@dataclass(frozen=True)
class Imported:
    """What was read of one source."""

    #: The verb's word for the tracker.
    source: str
    #: What tells this source from others of its kind; the same whenever it is read again.
    place: str
    items: tuple[Item, ...]
    troubles: tuple[Trouble, ...] = ()


def text_of(value: Any) -> str:
    """Return a text field; what is no text counts as none."""
    return value.strip() if isinstance(value, str) else ""


def names_of(value: Any) -> tuple[str, ...]:
    """Return a list of ids, which some trackers write as numbers; doubles once."""
    listed = value if isinstance(value, list) else []
    names = [str(name) for name in listed if isinstance(name, str | int) and str(name).strip()]
    return tuple(dict.fromkeys(names))


def sections(*parts: tuple[str, Any]) -> str:
    """Return the parts that say something, each under its heading; one without has none."""
    written = [
        f"## {heading}\n\n{text_of(value)}" if heading else text_of(value)
        for heading, value in parts if text_of(value)
    ]  # fmt: skip
    return "\n\n".join(written)


def without(data: Mapping[str, Any], *used: str) -> dict[str, Any]:
    """Return the members of *data* that were not *used* and hold something."""
    return {
        name: value for name, value in data.items()
        if name not in used and value not in (None, "", [], {})
    }  # fmt: skip
