"""The tool that ends the work: an envelope, validated here before anybody else sees it.

An envelope comes as a call of `submit_result` or, where a model cannot call it, as one fenced block
of JSON in its text. What is wrong with it is said to the model.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core.documents import Result
from wfledger.core.records import canonical_json
from wfledger.core.text import fenced
from wfledger.errors import WfledgerError
from wfledger.run.attempts.envelope import parse_envelope

#: Bytes of an envelope; what is larger belongs into files.
_BYTES: Final = 64 * 1024
#: What a model may say; the rest of an envelope is wfledger's.
FIELDS: Final = (
    "status", "summary", "outputs", "findings", "confidence", "open_questions", "next", "artifacts",
    "checks", "handoffs",
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """The attempt that a result is for."""

    task_id: str
    attempt: int
    #: Whether the task is to change something.
    writes: bool = False
    may_be_empty: bool = False


def accept(subject: Subject, given: Mapping[str, Any], *, has_changed: bool) -> Result | str:
    """Return the envelope, or what is wrong with it; *has_changed*: something may have changed."""
    inner = given.get("envelope")
    given = inner if isinstance(inner, Mapping) else given
    data = {name: given[name] for name in FIELDS if name in given}
    if "status" not in data:
        return "status is missing: succeeded, no_change, blocked or failed"
    try:
        raw = canonical_json(data)
        if len(raw) > _BYTES:
            return f"it has {len(raw)} bytes; at most {_BYTES}: put what is long into files"
        result = parse_envelope(raw, task_id=subject.task_id, attempt=subject.attempt)
    except (WfledgerError, ValueError) as error:
        return str(error)
    return _problem(subject, result, has_changed=has_changed) or result


def in_text(text: str) -> Mapping[str, Any] | None:
    """Return the last fenced block of *text*, or all of it, that looks like an envelope."""
    for block in (*reversed(fenced(text)), text):
        try:
            found = json.loads(block)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and "status" in found:
            return found
    return None


def _problem(subject: Subject, result: Result, *, has_changed: bool) -> str | None:
    if result.status == "blocked" and not result.open_questions:
        return "status blocked needs open_questions: what has to be answered before you can go on"
    if result.status == "no_change" and not result.summary.strip():
        return "status no_change needs a summary: why nothing has to be changed"
    if not result.summary.strip() and result.status != "blocked":
        return "summary is empty: say in a few sentences what you did, or why it failed"
    done = result.status == "succeeded" and subject.writes and not subject.may_be_empty
    if done and not has_changed:
        return (
            "you changed nothing in the worktree, and the task is to change something: do it, or"
            " submit status no_change with the reason"
        )
    return None
