"""What every document is made of: strict, frozen records, ids, and their bytes.

Unknown fields are kept and written back, so that reading and writing a file never loses what a
newer writer put there.
"""

import json
import math
from collections.abc import Iterable
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from wfledger.core import bounds
from wfledger.core.ids import ID, check_id
from wfledger.errors import InvalidDocumentError

#: Version of the protocol; readers stop at a higher major version.
PROTOCOL: Final = "wfledger/1"

Id = Annotated[
    str,
    AfterValidator(check_id),
    Field(json_schema_extra={"pattern": ID.pattern.replace(r"\Z", "$")}),
]
Oid = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Seconds = Annotated[float, Field(gt=0, le=bounds.MAX_SECONDS)]
Command = str | tuple[str, ...]


class Record(BaseModel):
    """Base of every part of a document: strict, frozen, unknown fields kept."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", populate_by_name=True)

    def but(self, **changes: Any) -> Self:
        """Return a copy with *changes*; the values must be valid already."""
        return self.model_copy(update=changes)


DocumentT = TypeVar("DocumentT", bound=Record)


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} stands twice in one object")
        result[key] = value
    return result


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    """Return the number in *text*; one too large would silently become an infinity."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is too large for a number")
    return number


def load_json(raw: bytes, *, limit: int = bounds.TASK_BYTES) -> Any:
    """Parse *raw* as strict JSON: bounded, UTF-8, no duplicate keys, no NaN (WFL-TASK-004).

    Raises `InvalidDocumentError`.
    """
    if len(raw) > limit:
        raise InvalidDocumentError(f"{len(raw)} bytes; at most {limit} are read", limit=limit)
    try:
        text = raw.decode("utf-8")
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise InvalidDocumentError("nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are both ValueErrors
        raise InvalidDocumentError(f"not a JSON document: {error}") from None


def parse(model: type[DocumentT], raw: bytes, *, limit: int = bounds.TASK_BYTES) -> DocumentT:
    """Parse *raw* into *model*; raises `InvalidDocumentError` with every error's pointer."""
    load_json(raw, limit=limit)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        errors = [
            {"pointer": "".join(f"/{part}" for part in item["loc"]), "message": item["msg"]}
            for item in error.errors(include_url=False, include_input=False)
        ]
        first = errors[0]
        raise InvalidDocumentError(
            f"{first['pointer'] or '/'}: {first['message']}", errors=errors
        ) from None


def canonical(document: Record) -> bytes:
    """Return the bytes that a document is stored as: sorted keys, two spaces, UTF-8 (WFL-TASK-003).

    Null and empty optional fields are left out, so a file shows only what is.
    """
    return canonical_json(plain(document))


def plain(document: Record) -> dict[str, Any]:
    """Return what `canonical` writes, as JSON has it."""
    data = document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    schema = getattr(document, "schema_", None)
    if schema is not None:
        data["schema"] = schema
    return data


def canonical_json(data: Any) -> bytes:
    """Return *data* as canonical JSON."""
    text = json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "strict") + b"\n"
