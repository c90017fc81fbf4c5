"""The process that looks into one file of a snapshot: a regular expression, or a JSON path.

It is started by `merger.probing` with nothing but two descriptors, and limits itself before it
reads: whatever a pattern or a document makes of it ends here (WFL-RESULT-038). Its answer is one
JSON object with the `reason` why the file does not pass, or null.
"""

import json
import os
import re
from typing import Any, Final

from wfledger.core.values import value_reason
from wfledger.plans import expressions
from wfledger.run.processes.limiting import limit_itself

#: Bytes of memory that it may ask the system for.
MEMORY: Final = 2**30
_MEMORY_SAID: Final = "to look into it takes more than 1 GiB of memory"


def main(question: int, answer: int) -> int:
    """Answer what stands in the file *question* into the file *answer*; returns 0."""
    with os.fdopen(question, "rb") as source:
        asked = json.loads(source.readline())
        limit_itself(asked["cpu_s"], MEMORY)
        reason = _reason(asked, source.read)
    with os.fdopen(answer, "w", encoding="utf-8") as goal:
        json.dump({"reason": reason}, goal)
    return 0


def _reason(asked: dict[str, Any], read: Any) -> str | None:
    try:
        try:
            text = read().decode("utf-8")
        except UnicodeDecodeError:
            return f"{asked['path']} is not UTF-8"
        return _regex(asked, text) if asked["kind"] == "regex" else _json_path(asked, text)
    except MemoryError:
        return f"{asked['path']}: {_MEMORY_SAID}"
    except RecursionError:
        return f"{asked['path']} is nested too deeply"


def _regex(asked: dict[str, Any], text: str) -> str | None:
    problem = expressions.pattern_problem(asked["pattern"])
    if problem is not None:
        return f"the pattern {problem}"
    found = re.search(asked["pattern"], text)
    return None if found else f"{asked['path']} does not match {asked['pattern']}"


def _json_path(asked: dict[str, Any], text: str) -> str | None:
    problem = expressions.path_problem(asked["expression"])
    if problem is not None:
        return f"the expression {asked['expression']} {problem}"
    try:
        document = json.loads(text)
    except ValueError as error:
        return f"{asked['path']} is no JSON: {error}"
    where = f"{asked['expression']} in {asked['path']}"
    try:
        values = expressions.values_at(asked["expression"], document)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 - the package raises what its parts happen to
        return f"{where} cannot be worked out: {error}"
    return value_reason(where, values, asked["equals"])
