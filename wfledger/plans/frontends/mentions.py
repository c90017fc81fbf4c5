"""Where a text that was evaluated says something: the place of a value is that of its node's name.

An evaluation leaves no places behind. A name that is put together by the text itself is found
nowhere, and then the place is the beginning.
"""

import json
from collections.abc import Iterable
from typing import Any

from wfledger.plans import reading
from wfledger.plans.places import Place


def mentions(text: str, document: Any, pointers: Iterable[str]) -> dict[str, Place]:
    """Return line and column of where *text* first names the node that each pointer goes into."""
    return {pointer: _mention(text, _name(document, pointer)) for pointer in pointers}


def _mention(text: str, name: str | None) -> Place:
    if name is None:
        return 1, 1
    written = json.dumps(name, ensure_ascii=False)
    found = [text.find(one) for one in (written, f"'{written[1:-1]}'")]
    return reading.place_of(text, min((one for one in found if one >= 0), default=0))


def _name(document: Any, pointer: str) -> str | None:
    """Return the id of the innermost node that *pointer* goes into."""
    value, name = document, None
    for part in pointer.split("/")[1:]:
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        if isinstance(value, dict) and isinstance(value.get("id"), str):
            name = value["id"]
    return name
