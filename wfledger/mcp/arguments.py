"""Whether the arguments of a call are as its tool's schema says (WFL-MCP-006).

Only the few keywords that our schemas use. A list or an object that comes as a text of JSON is
taken for what it says: models encode twice.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from wfledger.errors import UsageError

Schema = Mapping[str, Any]
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,), "boolean": (bool,), "integer": (int,), "array": (list,), "object": (dict,),
}  # fmt: skip


def check(name: str, schema: Schema, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of a call of the tool *name*; raises `UsageError` that names all."""
    known: Mapping[str, Schema] = schema["properties"]
    found = {key: _decoded(known.get(key), value) for key, value in (given or {}).items()
             if value is not None}  # fmt: skip
    problems = [f"{key} is missing" for key in schema.get("required", ()) if key not in found]
    for key, value in found.items():
        wanted = known.get(key)
        said = "is not known" if wanted is None else _problem(wanted, value)
        problems += [f"{key} {said}"] if said else []
    if problems:
        takes = ", ".join(known) or "no arguments"
        raise UsageError(f"{name}: {'; '.join(problems)}", hint=f"{name} takes {takes}")
    return found


def _decoded(wanted: Schema | None, value: Any) -> Any:
    kind = wanted.get("type") if wanted else None
    if kind not in {"array", "object"} or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _problem(wanted: Schema, value: Any) -> str | None:
    kind = wanted.get("type", "string")
    is_flag = isinstance(value, bool)
    if not isinstance(value, _TYPES[kind]) or (is_flag and kind != "boolean"):
        return f"must be {'an' if kind[0] in 'aeio' else 'a'} {kind}"
    choices: Sequence[str] = wanted.get("enum", ())
    if choices and value not in choices:
        return f"must be one of {', '.join(choices)}"
    if kind == "integer" and not wanted["minimum"] <= value <= wanted["maximum"]:
        return f"must be {wanted['minimum']} to {wanted['maximum']}"
    if kind == "string" and "\0" in str(value):
        return "holds a NUL character"
    return None
