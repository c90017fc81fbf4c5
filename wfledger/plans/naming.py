"""Node ids: the ids of a plan, which are free text, as parts of task ids (WFL-PLAN-034)."""

import hashlib
import re
from collections.abc import Iterable
from itertools import count
from typing import Final

from wfledger.core.ids import check_id

#: A task id is `<run>.<node>` with a run of 8 characters; a slug and its hash fit as well.
LONGEST: Final = 48
_SLUG: Final = 36
_UNFIT: Final = re.compile(r"[^a-z0-9_]+")


def stays(given: str) -> bool:
    """Return whether *given* can be a node as it is."""
    if len(given) > LONGEST:
        return False
    try:
        check_id(given)
        # `json` alone is an id, but `<run>.json` is none.
        check_id(f"r.{given}")
    except ValueError:
        return False
    return True


def nodes(given: Iterable[str]) -> dict[str, str]:
    """Return the node of each given id; ids are distinct, and so are nodes."""
    ids = list(given)
    result = {name: name for name in ids if stays(name)}
    taken = set(result)
    for name in ids:
        if name not in result:
            result[name] = _fresh(name, taken)
            taken.add(result[name])
    return result


def _fresh(name: str, taken: set[str]) -> str:
    slug = _UNFIT.sub("-", name.lower())[:_SLUG].strip("-_") or "task"
    for attempt in count(1):
        text = name if attempt == 1 else f"{name}#{attempt}"
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        node = f"{slug}-{digest[:8]}"
        if node not in taken:
            return node
    raise AssertionError("a count does not end")
