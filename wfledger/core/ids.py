"""The ids of tasks, runs and nodes (WFL-TASK-001); apart from the documents that hold them."""

import re
from typing import Final

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
