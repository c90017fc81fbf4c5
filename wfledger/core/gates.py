"""Gates between the roles of a plan: where one stands, and what the next look makes of it.

Pure; the states and outcomes are those of the original (spec 92, section 4), but for one thing: a
gate that has not been looked at blocks. There it was open, so that a gate that never ran let
everything through.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from wfledger.core.control import GateTerms, Handoff
from wfledger.core.documents import Block, Result
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.core.verification import is_pass, judgement

State = Literal["pending", "passed", "blocked", "retrying", "escalated"]
#: Where nothing moves without a person.
STOPPED: Final = frozenset({"blocked", "escalated"})
#: Characters of one reason, and reasons of one look, as those who try again are told them.
_REASON_CHARS: Final = 2000
_REASONS: Final = 32
#: Where a check that a worker reports of itself says what it came to, and more words for a pass.
_SAYS: Final = ("outcome", "passed", "ok", "status", "verdict", "result")
_PASSES: Final = frozenset({"succeeded", "success"})


@dataclass(frozen=True)
class GateState:
    """Where a gate stands."""

    state: State = "pending"
    #: How often the role's work was sent back.
    attempt: int = 0

    @property
    def blocks(self) -> bool:
        """Whether the role behind it may not begin."""
        return self.state != "passed"


@dataclass(frozen=True)
class Outcome:
    """What a look at a gate, or a person, says."""

    kind: Literal["pass", "fail", "human_approve"]
    reasons: tuple[str, ...] = ()


def after(gate: GateState, outcome: Outcome, terms: GateTerms) -> GateState:
    """Return where *gate* stands after *outcome*.

    What has passed stays so. What is blocked or escalated is opened by a person alone.
    """
    if gate.state == "passed" or outcome.kind == "human_approve":
        return GateState("passed", gate.attempt)
    if gate.state in STOPPED:
        return gate
    if outcome.kind == "pass":
        return GateState("passed", gate.attempt)
    if terms.on_fail == "block":
        return GateState("blocked", gate.attempt)
    if terms.on_fail == "retry" and gate.attempt < terms.max_retries:
        return GateState("retrying", gate.attempt + 1)
    return GateState("escalated", gate.attempt)


@dataclass(frozen=True)
class Seen:
    """A task whose result a gate looks at."""

    id: str
    status: Status
    result: Result | None
    block: Block | None = None


def look(terms: GateTerms, seen: Iterable[Seen]) -> tuple[str, ...]:
    """Return why what the role has come to does not pass; nothing where it does.

    A gate of kind `approve` looks only at what must have been handed over; the rest a person does.
    """
    found = list(seen)
    if not found and terms.on == "role_complete":
        return ("nobody has played the role",)
    reasons = [reason for one in found if (reason := _reason(terms, one))]
    handed = [handoff for one in found if one.result for handoff in one.result.handoffs]
    return _bounded([*reasons, *_lacking(terms, handed)])


def _reason(terms: GateTerms, seen: Seen) -> str | None:
    if terms.gate == "approve":
        return None
    if seen.status is not Status.DONE or seen.result is None:
        said = seen.block.reason if seen.block is not None else f"it is {seen.status.value}"
        return f"{seen.id} has not succeeded: {said}"
    if terms.gate == "verify":
        return _unverified(seen.id, seen.result)
    return _refused(terms, seen.id, seen.result)


def _unverified(name: str, result: Result) -> str | None:
    """Return what is wrong with a result that has landed: its own word, or one of its checks."""
    if result.status not in {"succeeded", "no_change"}:
        return f"{name} says that it has {result.status}: {result.summary}"
    failed = [check for check in result.checks if _has_failed(check)]
    shown = "; ".join(str(check.get("name") or check.get("kind") or "a check") for check in failed)
    return f"{name}: {shown} did not pass" if failed else None


def _has_failed(check: dict[str, object]) -> bool:
    """Whether a check that a worker reports of itself says that it did not pass."""
    said = [check[key] for key in _SAYS if key in check]
    return bool(said) and not is_pass(said[0]) and said[0] not in _PASSES


def _refused(terms: GateTerms, name: str, result: Result) -> str | None:
    verdict = result.outputs.get("verdict")
    if verdict is None and terms.require_explicit_verdict:
        return f"{name} gives no verdict"
    judged = judgement(Status.DONE, result, None)
    said = "" if verdict is None else f" says {clean_line(str(verdict), 40)}"
    return None if judged.kind == "passed" else f"{name}{said}: {judged.reason}"


def _lacking(terms: GateTerms, handed: Iterable[Handoff]) -> tuple[str, ...]:
    kind = terms.artifact_kind
    if kind is None or any(one.kind == kind for one in handed):
        return ()
    return (f"no {kind} was handed over",)


def _bounded(reasons: list[str]) -> tuple[str, ...]:
    kept = [clean_line(reason, _REASON_CHARS) for reason in reasons[:_REASONS]]
    more = len(reasons) - len(kept)
    return (*kept, f"and {more} more") if more else tuple(kept)
