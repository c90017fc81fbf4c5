"""When a goal is over: what rounds came to, and the closed list of reasons to stop (spec 68).

Pure. What the rounds say is asked first, then the limits: a goal that is reached with the last
dollar is reached.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wfledger.core.graph import FINAL_CODES


class Stop(StrEnum):
    """Every reason for which a goal stops."""

    #: A judge says so, and everything that was planned is done.
    REACHED = "reached"
    #: A person is wanted: a question, an approval, trouble of the machine, or nobody could judge.
    BLOCKED = "blocked"
    BUDGET = "budget"
    TIME = "time"
    ROUNDS = "rounds"
    #: Two rounds changed nothing, or left the same missing.
    NO_PROGRESS = "no_progress"


#: Exit status of `goal` (spec 80).
EXIT: Final[Mapping[Stop, int]] = {
    Stop.REACHED: 0, Stop.BLOCKED: 10, Stop.BUDGET: 6, Stop.TIME: 6, Stop.ROUNDS: 6,
    Stop.NO_PROGRESS: 1,
}  # fmt: skip

#: Code of a block for which a budget is used up.
SPENT: Final = "budget"


@dataclass(frozen=True)
class Limits:
    """What a goal may use; None is without limit."""

    usd: float | None = None
    time_s: float | None = None
    rounds: int | None = None


@dataclass(frozen=True)
class Round:
    """What one round came to."""

    #: The tree of its run's branch, before and after.
    before: str
    after: str
    #: Whether every task of it is done, none without one of its inputs.
    is_done: bool
    #: Codes of what its tasks wait for people with.
    codes: tuple[str, ...] = ()
    #: What the judge says: None where nobody could judge.
    reached: bool | None = None
    #: What is still missing, as the judge or failed tasks have it.
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Used:
    """What was used up to now; money that nobody knows of is not in it."""

    usd: float = 0.0
    elapsed_s: float = 0.0


def decide(rounds: Sequence[Round], used: Used, limits: Limits) -> Stop | None:
    """Return why the goal stops after *rounds*, or None where another round is due."""
    found = _said(rounds[-1]) if rounds else None
    return found or _at_limit(len(rounds), used, limits) or _standstill(rounds)


def _said(last: Round) -> Stop | None:
    if last.is_done and last.reached:
        return Stop.REACHED
    if wants_person(last.codes):
        return Stop.BLOCKED
    if last.is_done and last.reached is None:
        return Stop.BLOCKED
    return None


def wants_person(codes: Sequence[str]) -> bool:
    """Whether a block among *codes* is one that another plan cannot get round."""
    return any(code not in FINAL_CODES and code != SPENT for code in codes)


def _at_limit(count: int, used: Used, limits: Limits) -> Stop | None:
    if limits.usd is not None and used.usd >= limits.usd:
        return Stop.BUDGET
    if limits.time_s is not None and used.elapsed_s >= limits.time_s:
        return Stop.TIME
    if limits.rounds is not None and count >= limits.rounds:
        return Stop.ROUNDS
    return None


def _standstill(rounds: Sequence[Round]) -> Stop | None:
    """Return whether the last two rounds came to the same."""
    if len(rounds) < 2:
        return None
    one, two = rounds[-2:]
    same_tree = one.after == two.after
    same_missing = bool(two.missing) and folded(one.missing) == folded(two.missing)
    return Stop.NO_PROGRESS if same_tree or same_missing else None


def folded(missing: Sequence[str]) -> frozenset[str]:
    """Return *missing* without what does not make another list: order, case, white space."""
    return frozenset(" ".join(text.casefold().split()) for text in missing)
