"""JSON Schemas of the documents, for programs that are not written in Python (spec 20).

They are made from the models, so that the two cannot differ; `spec/schemas/` holds a copy that a
test compares. A schema cannot say everything: ids of devices, duplicate members and the bounds of
whole files are checked by `documents` alone.
"""

from collections.abc import Mapping
from typing import Any, Final

from wfledger.core.documents import Result, Run, Task
from wfledger.core.policy import LedgerConfig
from wfledger.core.records import Record

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
#: Document kinds with a schema of their own, by the name in their member `schema`.
_MODELS: Final[Mapping[str, type[Record]]] = {
    "task": Task,
    "result": Result,
    "run": Run,
    "ledger": LedgerConfig,
}
#: Major version of each document kind.
VERSION: Final = 1


def names() -> tuple[str, ...]:
    """Return the kinds of documents that have a schema."""
    return tuple(_MODELS)


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of the document kind *name*, members in a stable order."""
    body = _MODELS[name].model_json_schema(by_alias=True)
    return {
        "$schema": _DIALECT,
        "$id": f"urn:wfledger:{name}:{VERSION}",
        **{key: _sorted(value) for key, value in sorted(body.items())},
    }


def _sorted(value: Any) -> Any:
    """Return *value* with the members of every object in order; arrays keep theirs."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
