"""The ids of tasks, runs and nodes (WFL-TASK-001); apart from the documents that hold them."""

import hashlib
import re
from typing import Final

_LONGEST: Final = 64
#: Longest id of a parent that its children's begin with; a longer one gives way to its digest.
_PREFIX_CHARS: Final = 40
_DIGEST: Final = 10
ID: Final = re.compile(r"^[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9])){0,63}\Z")
_DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))]
)


def check_id(text: str) -> str:
    """Return *text* if it may name a task, run or node (WFL-TASK-001), else raise `ValueError`."""
    if not ID.match(text):
        raise ValueError("an id is 1 to 64 of a-z 0-9 _ - . and starts with a letter or digit")
    if text.endswith((".lock", ".json")):
        raise ValueError("an id ends neither in .lock nor in .json")
    if any(part in _DEVICES for part in text.split(".")):
        raise ValueError("an id does not use the name of a device")
    return text


def child_prefix(parent: str) -> str:
    """Return what the ids of the children of *parent* begin with, and those of no other task."""
    if len(parent) <= _PREFIX_CHARS:
        return f"{parent}."
    # Without the run, so that the same task has the same name in another run (WFL-REUSE-003).
    run, _, name = parent.partition(".")
    return f"{run}.{hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]}."


def child_id(parent: str, node: str) -> str:
    """Return the id of the child *node*: the same for the same names, whoever asks."""
    prefix = child_prefix(parent)
    room = _LONGEST - len(prefix)
    if len(node) > room:
        digest = hashlib.sha256(node.encode()).hexdigest()[:_DIGEST]
        node = f"{node[: room - _DIGEST - 1].rstrip('-_.')}-{digest}"
    return check_id(f"{prefix}{node}")
