"""What a worker says of its work, without the secrets that it was trusted with.

A result is committed to the ledger's branch and pushed from there (WFL-ADAPT-022).
"""

from collections.abc import Collection
from typing import Any, Final

from wfledger.core.documents import Result
from wfledger.core.records import canonical_json, parse
from wfledger.run.processes.environment import redact

#: Fields that hold what a worker, or whoever it spoke to, has said.
_SAID: Final = (
    "summary", "outputs", "findings", "artifacts", "checks", "open_questions", "next", "agent",
    "handoffs",
)  # fmt: skip
#: Blotting makes some texts longer.
_RESULT_BYTES: Final = 4 * 2**20


def blotted(result: Result, secrets: Collection[str]) -> Result:
    """Return *result* with every one of *secrets* blotted out of what was said."""
    data = result.model_dump(mode="json", by_alias=True)
    clean = {name: _blotted(data[name], secrets) for name in _SAID}
    if data["failure"] is not None:
        clean["failure"] = {
            **data["failure"], "message": redact(data["failure"]["message"], secrets)
        }
    if all(data[name] == value for name, value in clean.items()):
        return result
    return parse(Result, canonical_json({**data, **clean}), limit=_RESULT_BYTES)


def _blotted(value: Any, secrets: Collection[str]) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, list):
        return [_blotted(one, secrets) for one in value]
    if isinstance(value, dict):
        return {redact(key, secrets): _blotted(one, secrets) for key, one in value.items()}
    return value
