"""The worker's envelope: read from its result file, bounded, never believed about git's facts.

What changed, the base, the head and the exit status are wfledger's to say (spec 60).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.documents import Result
from wfledger.core.records import canonical_json, load_json, parse
from wfledger.errors import WfledgerError
from wfledger.store import atomic

#: Fields that a worker may not set.
_OURS: Final = frozenset(
    {"schema", "task", "attempt", "changed", "base", "head", "exit_status", "wall_s",
     "output_bytes", "confined", "route", "token", "key", "reused", "synthesis"}
)
#: Failure classes that a worker may claim for itself; anything else counts as `task`.
_CLAIMABLE: Final = frozenset({"task", "transport", "question", "no_change"})


@dataclass(frozen=True)
class Envelope:
    """What the worker said, or why it could not be read."""

    result: Result
    #: None when the worker wrote nothing; a sentence when what it wrote is invalid.
    problem: str | None
    given: bool


def read_envelope(path: Path, *, task_id: str, attempt: int) -> Envelope:
    """Read the result file of an attempt; an absent one is an empty envelope."""
    empty = Result(task=task_id, attempt=attempt, status="succeeded")
    try:
        raw = atomic.read(path, limit=bounds.RESULT_BYTES)
    except FileNotFoundError:
        return Envelope(empty, None, given=False)
    except (WfledgerError, OSError) as error:
        return Envelope(empty, f"the result file cannot be read: {error}", given=True)
    try:
        return Envelope(parse_envelope(raw, task_id=task_id, attempt=attempt), None, given=True)
    except WfledgerError as error:
        return Envelope(empty, f"the result file is invalid: {error.message}", given=True)


def parse_envelope(raw: bytes, *, task_id: str, attempt: int) -> Result:
    """Parse a worker's envelope; raises `InvalidDocumentError`."""
    data = load_json(raw, limit=bounds.RESULT_BYTES)
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key not in _OURS}
        data |= {"task": task_id, "attempt": attempt}
        data.setdefault("status", "succeeded")
        if isinstance(data.get("failure"), dict):
            data["failure"] = _bounded_failure(data["failure"])
    result = parse(Result, canonical_json(data), limit=bounds.RESULT_BYTES)
    usage = result.usage and result.usage.but(source="agent")  # whoever says it of himself
    return result.but(summary=result.summary[: bounds.SUMMARY_CHARS], usage=usage)


def _bounded_failure(given: dict[str, Any]) -> dict[str, Any]:
    claimed = given.get("class")
    source = "transport" if claimed == "transport" else "task"
    return {
        **given, "class": claimed if claimed in _CLAIMABLE else "task", "source": source,
    }
