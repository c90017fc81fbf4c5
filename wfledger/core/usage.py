"""What an attempt has used and may use: tokens by kind, money, steps (spec 66).

What is not known stays unknown: an absent number is no zero, and a sum says how much of it is
known.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from pydantic import Field

from wfledger.core import bounds
from wfledger.core.records import Record

#: Kinds of tokens, none of which counts a token of another.
TOKENS: Final = ("input", "cache_read", "cache_write", "output")

Dollars = float
NumberT = TypeVar("NumberT", int, float)


class Usage(Record):
    """Tokens by kind and money of one attempt; absent is unknown."""

    #: Tokens of prompts that came from no cache.
    input: int | None = Field(default=None, ge=0)
    cache_read: int | None = Field(default=None, ge=0)
    cache_write: int | None = Field(default=None, ge=0)
    #: Reasoning included.
    output: int | None = Field(default=None, ge=0)
    #: The part of `output` that was reasoning.
    reasoning: int | None = Field(default=None, ge=0)
    #: Requests to a model that were answered.
    requests: int | None = Field(default=None, ge=0)
    cost_usd: Dollars | None = Field(default=None, ge=0, allow_inf_nan=False)
    #: Who counted: wfledger at the server's answers, the agent itself, or nobody.
    source: Literal["meter", "agent", "unknown"] = "unknown"

    @property
    def tokens(self) -> int | None:
        """All tokens that are known of; None where none is."""
        known = [n for name in TOKENS if (n := getattr(self, name)) is not None]
        return sum(known) if known else None


class Budget(Record):
    """What an attempt, a task or a run may use at most; absent is without limit."""

    usd: Dollars | None = Field(default=None, gt=0, le=bounds.MAX_USD)
    #: Tokens of all kinds together.
    tokens: int | None = Field(default=None, ge=1, le=bounds.MAX_TOKENS)
    #: Answers of a model.
    steps: int | None = Field(default=None, ge=1, le=bounds.MAX_STEPS)

    def within(self, other: "Budget | None") -> "Budget":
        """Return what both allow: the smaller of each."""
        if other is None:
            return self
        return Budget(
            usd=_least((self.usd, other.usd)), tokens=_least((self.tokens, other.tokens)),
            steps=_least((self.steps, other.steps)),
        )  # fmt: skip


@dataclass(frozen=True)
class Spent:
    """A sum of usages, and how many of them it knows nothing of."""

    attempts: int = 0
    usd: Dollars = 0.0
    tokens: int = 0
    #: Answers of models.
    steps: int = 0
    #: Attempts whose money, or whose tokens, nobody knows.
    unpriced: int = 0
    uncounted: int = 0


def total(usages: Iterable[Usage | None]) -> Spent:
    """Return the sum of *usages*; None stands for an attempt of which nothing is known."""
    found = list(usages)
    costs = [one.cost_usd for one in found if one is not None and one.cost_usd is not None]
    tokens = [n for one in found if one is not None and (n := one.tokens) is not None]
    return Spent(
        attempts=len(found), usd=sum(costs), tokens=sum(tokens),
        steps=sum(one.requests or 0 for one in found if one is not None),
        unpriced=len(found) - len(costs), uncounted=len(found) - len(tokens),
    )  # fmt: skip


def used_up(budget: Budget, spent: Spent) -> str | None:
    """Return which limit has been reached, with both numbers; None where there is some left.

    What nobody knows of counts for nothing here, and is said.
    """
    for name, noun in (("usd", "dollars"), ("tokens", "tokens"), ("steps", "answers")):
        limit, used = getattr(budget, name), getattr(spent, name)
        if limit is not None and used >= limit:
            both = f"${used:.2f} of ${limit:.2f}" if name == "usd" else f"{used} of {limit} {noun}"
            return f"{both} used{_unknown(name, spent)}"
    return None


def left_of(budget: Budget, spent: Spent) -> Budget:
    """Return what *spent* leaves of *budget*, which it has not used up."""
    left = {
        name: getattr(budget, name) - getattr(spent, name)
        for name in ("usd", "tokens", "steps") if getattr(budget, name) is not None
    }  # fmt: skip
    return budget.but(**left)


def _unknown(name: str, spent: Spent) -> str:
    count = {"usd": spent.unpriced, "tokens": spent.uncounted}.get(name, 0)
    noun = "attempt" if count == 1 else "attempts"
    return f" (and {count} {noun} that nobody has counted yet)" if count else ""


def _least(values: "Iterable[NumberT | None]") -> "NumberT | None":
    return min((value for value in values if value is not None), default=None)


def dollars(amount: float) -> str:
    """Return *amount* for people: cents, or as many digits as a small amount needs."""
    return f"${amount:.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.4f}"
