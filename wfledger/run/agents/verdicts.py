"""What the end of an agent's run says: its last word on success, and what went wrong.

Exit status 0 proves nothing, and neither does a model's prose: an agent has succeeded where its
terminal event says so and its exit status agrees (spec 62, "Verdicts").
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from wfledger.core.text import clean_line
from wfledger.run.agents import signs
from wfledger.run.agents.matching import Event, as_text, last, matches, pick
from wfledger.run.agents.transcript import Transcript
from wfledger.run.attempts.judging import TEMPORARY
from wfledger.run.config.adapters import Adapter, Ends, Trouble
from wfledger.run.processes.process import Ended

#: Lines at the end of the output that are asked what went wrong, and their characters.
_TAIL: Final = 30
_LINE_CHARS: Final = 500
_UNSAID: Final = "it ended without saying that it was finished"


@dataclass(frozen=True)
class Problem:
    """Why an agent has not succeeded."""

    #: None: the task's own, as far as anybody knows.
    kind: Trouble | None
    message: str
    retry_after_s: float | None = None


def problem_of(adapter: Adapter, transcript: Transcript, ended: Ended) -> Problem | None:
    """Return why an agent that ended by itself has not succeeded; None where it has."""
    is_ok, event = _last_word(adapter.ends, transcript)
    if is_ok and ended.status == 0:
        return None
    status = None if is_ok or event is None else _http_status(event, adapter.ends)
    said = _error(adapter.ends, transcript, event, is_ok=is_ok)
    seen = signs.seen_in(adapter, said, status)
    kind = seen.kind
    if kind is None and ended.status == TEMPORARY:
        kind = "transport"
    shown = clean_line(seen.line, _LINE_CHARS)
    if kind is None or is_ok:
        shown = _message(ended, shown, is_ok=is_ok)
    return Problem(kind, shown or ended.message, signs.retry_after_s(said))


def stuck_at(adapter: Adapter, transcript: Transcript, ended: Ended) -> Problem | None:
    """Return the trouble that an agent did not get over until it was ended for its silence.

    Some try again for ever. It is the very last that such an agent said; None where it is not.
    """
    is_ok, event = _last_word(adapter.ends, transcript)
    is_event = bool(transcript.events) and event is transcript.events[-1]
    is_line = bool(transcript.lines) and _last_line(adapter.ends, transcript.lines[-1:])[0] is False
    if is_ok is not False or not (is_event or is_line):
        return None
    problem = problem_of(adapter, transcript, ended)
    if problem is None or problem.kind is None:
        return None
    return replace(problem, message=f"{problem.message} ({ended.message})")


def _last_word(ends: Ends, transcript: Transcript) -> tuple[bool | None, Event | None]:
    """Return whether the last terminal event says success, and which it is; None without one."""
    for event in reversed(transcript.events):
        if any(matches(event, one) for one in ends.ok):
            return True, event
        if any(matches(event, one) for one in ends.failed):
            return False, event
    return _last_line(ends, transcript.lines)


def _last_line(ends: Ends, lines: Sequence[str]) -> tuple[bool | None, Event | None]:
    """Return the same of text: every line of failure since the last success."""
    failed: list[str] = []
    for line in reversed(lines):
        if any(re.search(one, line) for one in ends.failed_lines):
            failed.insert(0, line)
        elif any(re.search(one, line) for one in ends.ok_lines):
            return (False, {"lines": failed}) if failed else (True, {})
    return (False, {"lines": failed}) if failed else (None, None)


def _http_status(event: Event, ends: Ends) -> int | None:
    found = pick(event, ends.status)
    try:
        return int(found) if isinstance(found, int | str) else None
    except ValueError:
        return None


def _error(
    ends: Ends, transcript: Transcript, event: Event | None, *, is_ok: bool | None
) -> str:
    """Return the words of whoever knows what went wrong, never those of a model."""
    # Beside events, what is none is the program's own; in text for people all stands together.
    own = "" if is_ok and ends.ok_lines else _tail(transcript)
    if is_ok:
        return own
    if event is not None:
        said = "\n".join(event.get("lines", ())) or as_text(pick(event, ends.message))
    else:
        said = as_text(last(transcript.events, ends.message))
    return said or own


def _tail(transcript: Transcript) -> str:
    return "\n".join(line[:_LINE_CHARS] for line in transcript.lines[-_TAIL:])


def _message(ended: Ended, said: str, *, is_ok: bool | None) -> str:
    if is_ok is False:
        return said or f"it says that it failed ({ended.message})"
    if is_ok:
        told = f"it said that it was finished, and ended otherwise: {ended.message}"
        return told + (f": {said}" if said else "")
    return f"{_UNSAID} ({ended.message})" + (f": {said}" if said else "")


def final_text(adapter: Adapter, transcript: Transcript) -> str:
    """Return what the agent said at last."""
    return as_text(last(transcript.events, adapter.ends.text))


def session_of(adapter: Adapter, events: Sequence[Event]) -> str | None:
    """Return the id of its session; one that could be taken for an option is none."""
    found = last(events, adapter.ends.session)
    is_id = isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,200}", found)
    return found if is_id else None
