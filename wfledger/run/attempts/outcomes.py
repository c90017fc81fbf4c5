"""What handing in came to, for whoever did: an exit status, a sentence, facts.

The same words for a shell and for an agent, so that both act on the same codes.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.run.attempts.handing import Handed
from wfledger.run.attempts.precheck import Checked
from wfledger.run.merger.landing import Blocked, Deferred, Done, Landing, Retried

_OF_SCOPE: Final = frozenset({"out_of_scope", "conflict", "read_only_violation"})


@dataclass(frozen=True)
class Said:
    """One outcome. *status* is the exit status of the verb (spec 80)."""

    status: int
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)


def of_handed(handed: Handed) -> Said:
    """Return what a completed attempt has come to."""
    if handed.landing is not None:
        return _of_landing(handed.landing)
    why = handed.failure
    if why is None:
        return Said(0, "is handed in", {"landing": None})
    facts = {"landing": None, "code": why.failure_class, "reason": why.message}
    status = 10 if why.failure_class == "question" else 1
    return Said(status, f"has failed: {why.failure_class}: {why.message}", facts)


def of_refused(checked: Checked) -> Said:
    """Return what is said of work that was not handed in; the claim is kept."""
    if checked.stopped:
        return Said(75, "was not looked at to the end; the claim is kept", checked.as_json())
    listed = "\n".join(f"{one.code}: {one.reason}" for one in checked.refusals)
    status = 5 if any(one.code in _OF_SCOPE for one in checked.refusals) else 1
    return Said(status, f"is not handed in; the claim is kept:\n{listed}", checked.as_json())


def _of_landing(landing: Landing) -> Said:
    if isinstance(landing, Done):
        facts = {"landing": "done", "how": landing.how, "commit": landing.commit}
        done = "is kept" if landing.how == "kept" else "landed"
        where = f"{done} as {landing.commit[:12]}" if landing.commit else "is done"
        return Said(0, where, facts)
    if isinstance(landing, Blocked):
        facts = {"landing": "blocked", "code": landing.code, "reason": landing.reason,
                 "command": landing.command}  # fmt: skip
        sentence = f"is blocked ({landing.code}): {landing.reason}\n  {landing.command}"
        status = 5 if landing.code in _OF_SCOPE else 10 if landing.code == "approval" else 1
        return Said(status, sentence, facts)
    if isinstance(landing, Deferred) and landing.on:
        waits: dict[str, Any] = {
            "landing": "deferred", "reason": landing.reason, "on": list(landing.on),
        }  # fmt: skip
        said = f"is handed in; it lands when the verdict is there: {landing.reason}"
        return Said(0, said, waits)
    if isinstance(landing, Deferred) and landing.handed_over:
        there = {"landing": "deferred", "reason": landing.reason}
        return Said(0, f"is handed in and merged; it {landing.reason}", there)
    kind = "retried" if isinstance(landing, Retried) else "deferred"
    facts = {"landing": kind, "reason": landing.reason}
    return Said(1 if kind == "retried" else 75, f"is put off: {landing.reason}", facts)
