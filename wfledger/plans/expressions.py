"""Regular expressions and JSON paths as plans write them: whether they are any, and their answer.

The one place that knows the package `jsonpath_ng`; it is loaded when the first path is read.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jsonpath_ng import JSONPath

#: Characters of a pattern or an expression.
LENGTH: Final = 2000


def pattern_problem(pattern: str) -> str | None:
    """Return why *pattern* is no regular expression, or None."""
    if len(pattern) > LENGTH:
        return f"has {len(pattern)} characters; at most {LENGTH} are read"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"does not compile: {error}"
    return None


def path_problem(expression: str) -> str | None:
    """Return why *expression* is no JSON path, or None."""
    if len(expression) > LENGTH:
        return f"has {len(expression)} characters; at most {LENGTH} are read"
    if not expression.startswith(("$", ".")):
        return "begins neither with `$` nor with `.`"
    try:
        _parsed(expression)
    except Exception as error:  # noqa: BLE001 - the package raises what its parser happens to
        return f"is no JSON path: {error}"
    return None


def values_at(expression: str, document: Any) -> list[Any]:
    """Return every value of *document* that *expression* leads to.

    Raises whatever the package does; a caller that must not die asks in a process of its own.
    """
    return [match.value for match in _parsed(expression).find(document)]


@lru_cache(maxsize=256)
def _parsed(expression: str) -> "JSONPath":
    from jsonpath_ng.ext.parser import parse

    # `.a.b` is how the original writes `$.a.b`.
    return parse(f"${expression}" if expression.startswith(".") else expression)
