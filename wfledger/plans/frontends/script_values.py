"""What a `task()` of a script resolves to, and whether it is what its schema wants (spec 94)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from wfledger.plans.frontends.script_options import Asked

_MESSAGE_CHARS: Final = 300


class SchemaError(Exception):
    """A `responseSchema` is none."""


def require_schema(schema: Any) -> None:
    """Raise `SchemaError` where *schema* is no JSON Schema that can be used."""
    if schema is None or isinstance(schema, bool):
        return
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError as Invalid

    try:
        Draft202012Validator.check_schema(schema)
    except Invalid as error:
        raise SchemaError(f"task(): responseSchema: {error.message[:_MESSAGE_CHARS]}") from None


def answer(asked: Asked, result: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the value of a result that succeeded, and why it is none that the schema wants."""
    if asked.schema is None:
        return _plain(asked.returns, result), ""
    reason = ""
    for value in _candidates(result):
        found = _mismatch(asked.schema, value)
        if found is None:
            return (result if asked.returns == "envelope" else value), ""
        reason = reason or found
    return None, f"the result does not fit its schema: {reason}"


def _plain(returns: str, result: Mapping[str, Any]) -> Any:
    if returns == "envelope":
        return result
    return result["outputs"] if returns == "outputs" else result["summary"]


def _candidates(result: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what may be meant as the answer: the outputs, their `value`, JSON in the summary."""
    outputs = result["outputs"]
    yield outputs
    if "value" in outputs:
        yield outputs["value"]
    try:
        yield json.loads(result["summary"])
    except ValueError:
        return


def _mismatch(schema: Any, value: Any) -> str | None:
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # Of its own registry, which is empty: a reference never reaches out of the schema.
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        error = next(validator.iter_errors(value), None)
    except Unresolvable as missing:
        return f"{missing.ref} is not in the schema"
    except RecursionError:
        return "the schema refers to itself without an end, or the value is nested too deeply"
    if error is None:
        return None
    where = "/".join(map(str, error.absolute_path)) or "outputs"
    return f"{where}: {error.message[:_MESSAGE_CHARS]}"
