"""The result that an agent hands in: its file, its structured output, or a block at the end.

In this order; the first that is an envelope counts. Anything else that it says is a summary for
people, and nothing is decided by it.
"""

import json
from pathlib import Path
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.documents import Result
from wfledger.core.text import fenced
from wfledger.errors import WfledgerError
from wfledger.run.agents.matching import last
from wfledger.run.agents.transcript import Transcript
from wfledger.run.agents.verdicts import final_text
from wfledger.run.attempts.envelope import Envelope, parse_envelope, read_envelope
from wfledger.run.config.adapters import Adapter

_STATUSES: Final = frozenset({"succeeded", "no_change", "blocked", "failed"})


def envelope_of(
    adapter: Adapter, transcript: Transcript, file: Path, *, task_id: str, attempt: int
) -> Envelope:
    """Return what the agent says of its work; *file* is where it may have written that."""
    found = read_envelope(file, task_id=task_id, attempt=attempt)
    said = final_text(adapter, transcript)
    if not found.given:
        candidates = [last(transcript.events, adapter.ends.result), *fenced(said)[-1:]]
        parsed = (_envelope(one, task_id, attempt) for one in candidates)
        found = next((one for one in parsed if one is not None), found)
    if found.result.summary:
        return found
    summary = said.strip()[: bounds.SUMMARY_CHARS]
    return Envelope(found.result.but(summary=summary), found.problem, found.given)


def _envelope(value: object, task_id: str, attempt: int) -> Envelope | None:
    """Return *value* as an envelope; None where it is none: then it is only something said."""
    data: Any = value
    if isinstance(value, str):
        try:
            data = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(data, dict) or data.get("status") not in _STATUSES or "summary" not in data:
        return None
    raw = json.dumps(data).encode()
    try:
        result: Result = parse_envelope(raw, task_id=task_id, attempt=attempt)
    except WfledgerError:
        return None
    return Envelope(result, None, given=True)
