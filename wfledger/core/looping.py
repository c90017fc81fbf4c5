"""Whether a loop is over, and why: a closed list of reasons (spec 92). Pure."""

from dataclasses import dataclass, field
from typing import Final

from wfledger.core import bounds
from wfledger.core.control import StopReason
from wfledger.core.usage import Budget, Spent, used_up


@dataclass(frozen=True)
class Progress:
    """How far a loop has come when a round of it is over."""

    #: Rounds that are over.
    rounds: int
    #: What its condition said; None: who was asked gave no answer, which is a no.
    answer: bool | None
    #: Rounds that it may have altogether.
    allowed: int
    #: What its rounds may use, and have used.
    budget: Budget | None = None
    spent: Spent = field(default_factory=Spent)
    #: Seconds that it may take, and has taken.
    time_s: float | None = None
    elapsed_s: float = 0.0
    #: A task of the round that somebody gave up.
    given_up: str | None = None


@dataclass(frozen=True)
class Ended:
    """Why a loop is over."""

    reason: StopReason
    #: The same for people.
    said: str


#: Limit of a budget -> the reason that it gives; answers of a model are counted as tokens are.
_REASONS: Final[dict[str, StopReason]] = {"usd": "money", "tokens": "tokens", "steps": "tokens"}


def allowed_rounds(bound: int | None) -> int:
    """Return how many rounds a loop of that *bound* may have: one at least."""
    return bounds.RUN_TASKS if bound is None else max(1, bound)


def ended(progress: Progress) -> Ended | None:
    """Return why a loop is over after a round; None: another round begins.

    That its condition holds comes first: what the rounds have used is no matter then.
    """
    rounds = progress.rounds
    if progress.answer:
        return Ended("condition", f"its condition holds after {_rounds(rounds)}")
    if progress.given_up is not None:
        return Ended("failed", f"{progress.given_up} was given up in round {rounds}")
    if rounds >= progress.allowed:
        return Ended("iterations", f"its condition does not hold after {_rounds(rounds)}")
    if progress.time_s is not None and progress.elapsed_s >= progress.time_s:
        return Ended("time", f"its {progress.time_s:g} s are over after {_rounds(rounds)}")
    return _over_budget(progress.budget, progress.spent, rounds)


def _over_budget(budget: Budget | None, spent: Spent, rounds: int) -> Ended | None:
    for name, reason in _REASONS.items():
        limit = getattr(budget, name) if budget is not None else None
        said = used_up(Budget(**{name: limit}), spent) if limit is not None else None
        if said is not None:
            return Ended(reason, f"{said} after {_rounds(rounds)}")
    return None


def spent_since(spent: Spent, before: Spent) -> Spent:
    """Return what was used since it was *before*."""
    return Spent(**{name: getattr(spent, name) - was for name, was in vars(before).items()})


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"
