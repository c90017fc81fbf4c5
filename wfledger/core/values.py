"""Whether what a JSON path leads to passes a check (spec 60, section 4); without pydantic.

A process that looks into one file starts for that alone, so this imports next to nothing.
"""

from collections.abc import Sequence
from typing import Any


def value_reason(where: str, values: Sequence[Any], equals: Any) -> str | None:
    """Return why *values*, found at *where*, do not pass; None if they do (WFL-RESULT-037).

    *equals* is what each of them must be; None: anything but null and false.
    """
    if not values:
        return f"{where} leads to nothing"
    if equals is not None:
        alike = all(_same(value, equals) for value in values)
        return None if alike else f"{where} is not what it must be"
    if any(value is None for value in values):
        return f"{where} is null"
    return f"{where} is false" if any(value is False for value in values) else None


def _same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; Python takes true for 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
