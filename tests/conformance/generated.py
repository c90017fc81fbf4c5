"""What of spec/ is made from the code: tables, schemas, traceability.

`python -m tests.conformance --write` writes it; tests compare.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.conformance import pages, traceability
from wfledger import errors
from wfledger.core import bounds, schemas
from wfledger.core.statuses import TRANSITIONS

_BOUNDS: Final = {
    "TASK_BYTES": "bytes of a task file",
    "RESULT_BYTES": "bytes of a result",
    "RUN_BYTES": "bytes of a run document",
    "PLAN_BYTES": "bytes of a plan file",
    "RUN_TASKS": "tasks of one run",
    "JUDGES": "judges of one choice",
    "TASK_EDGES": "entries of `after`",
    "PATTERNS": "patterns of one task",
    "PATTERN_BYTES": "bytes of one pattern",
    "PATTERN_SEGMENTS": "segments of one pattern",
    "MAX_ATTEMPTS": "`retry.max_attempts`",
    "MAX_SLOTS": "`policy.slots`",
    "MAX_SECONDS": "seconds that a document may name",
    "SUMMARY_CHARS": "characters of `summary`",
    "HANDOFFS": "`handoffs` of one envelope",
    "HANDOFF_BYTES": "bytes of the `payload` of one handoff",
    "TRAILER_BYTES": "bytes of a text in a trailer",
    "WINDOW_MIN": "see below",
    "MAX_USD": "dollars of a budget",
    "MAX_TOKENS": "tokens of a budget",
    "MAX_STEPS": "answers of a model that a budget allows",
    "MAX_DEPTH": "`depth`",
}
#: Statuses that no failure has of itself: what `run` and the like end with.
_OUTCOMES: Final = {
    0: "done",
    6: "a budget is used up",
    9: "degraded: done, but for what the plan allows to be missing",
    10: "waits for a person",
}
_FAILURES: Final = {
    1: "failed",
    2: "the call makes no sense, or there is no such ledger, task or run",
    3: "nothing to claim",
    4: "the attempt, token or status is over",
    5: "out of scope, or a merge conflict",
    7: "an invalid document",
    8: "paused, or syncing is stopped, until a person decides",
    75: "try again: a lock was not free in time, or a remote not to be reached",
}


def wanted() -> Iterator[tuple[Path, str]]:
    """Yield each generated file and each page with a generated block, as it should be."""
    made = {"transitions": transitions(), "bounds": bound_table(), "exits": exits()}
    for page in pages.pages():
        text = page.read_text("utf-8")
        if pages.blocks(page):
            yield page, pages.with_blocks(text, made)
    for name in schemas.names():
        yield pages.SPEC / "schemas" / f"{name}.json", to_json(schemas.schema(name))
    yield traceability.FILE, to_json(traceability.current())


def to_json(data: Any) -> str:
    """Return *data* as the files of spec/ are written."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def transitions() -> str:
    """Return the table of transitions."""
    rows = ["| from | to | by | why |", "|---|---|---|---|"]
    rows.append("| (new) | `waiting` | author | added |")
    for (source, target), arrow in TRANSITIONS.items():
        actors = ", ".join(sorted(actor.value for actor in arrow.actors))
        rows.append(f"| `{source.value}` | `{target.value}` | {actors} | {arrow.why} |")
    return "\n".join(rows) + "\n"


def bound_table() -> str:
    """Return the table of bounds."""
    values = {name: getattr(bounds, name) for name in vars(bounds) if name.isupper()}
    rows = ["| bound | at most | of |", "|---|---|---|"]
    rows += [f"| `{name}` | {value:,.0f} | {_BOUNDS[name]} |" for name, value in values.items()]
    return "\n".join(rows) + "\n"


def exits() -> str:
    """Return the table of exit statuses."""
    rows = ["| status | means | failures with it |", "|---|---|---|"]
    codes = _codes()
    meanings = _OUTCOMES | _FAILURES
    for status in sorted(set(meanings) | set(codes)):
        named = ", ".join(f"`{code}`" for code in codes.get(status, []))
        rows.append(f"| {status} | {meanings[status]} | {named} |")
    return "\n".join(rows) + "\n"


def _codes() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.WfledgerError):
            codes = found.setdefault(kind.exit_status, [])
            codes += [kind.code] if kind.code not in codes else []
    return {status: sorted(codes) for status, codes in found.items()}
