"""What agents and models may cost, before they start: a range, or unknown and why (spec 66).

A guess at the tokens of one attempt times the price of its model. Where no price is known there is
no number: a range that leaves somebody out would be read as the whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.core.usage import Budget, dollars
from wfledger.plans.compiling import Plan
from wfledger.run.config.providers import Price
from wfledger.run.config.roles import Fleet
from wfledger.run.money.prices import price_of
from wfledger.run.staffing import role_for_prompt

_MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Guess:
    """Tokens of one attempt by kind."""

    input: int
    cache_read: int
    output: int

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input + self.cache_read + self.output


#: A small change: some files read, an edit, one run of the tests.
LOW: Final = Guess(input=10_000, cache_read=20_000, output=2_000)
#: A long session: a hundred steps, each of which sends again what was said before.
HIGH: Final = Guess(input=200_000, cache_read=2_000_000, output=50_000)


@dataclass(frozen=True)
class Asked:
    """One attempt that is to be paid for."""

    #: Each model or program that may be taken, as people know it; None: nobody here knows a price.
    prices: tuple[tuple[str, Price | None], ...]
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True)
class Estimate:
    """Dollars that one attempt of each task may cost."""

    low: float = 0.0
    high: float = 0.0
    #: Whose cost nobody knows.
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it in words."""
        if not self.unknown:
            return f"{dollars(self.low)} to {dollars(self.high)}" if self.high else "nothing"
        known = f"at least {dollars(self.low)}; the rest is " if self.low else ""
        return f"{known}unknown: no price is known of {', '.join(self.unknown)}"

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `plan --json` prints; what is not known is null."""
        known = not self.unknown
        return {
            "low_usd": round(self.low, 4) if known else None,
            "high_usd": round(self.high, 4) if known else None,
            "unknown": list(self.unknown),
        }


def estimate(asked: Iterable[Asked], cap: Budget | None = None) -> Estimate:
    """Return what all of *asked* may cost, at most what budgets allow."""
    low = high = 0.0
    unknown: dict[str, None] = {}
    for one in asked:
        costs = [
            (who, _cost(guess, price, one.budget))
            for who, price in one.prices for guess in (LOW, HIGH)
        ]  # fmt: skip
        known = [found for _, found in costs if found is not None]
        unknown |= dict.fromkeys(who for who, found in costs if found is None)
        # Under a cap the mix of the longer session may be the cheaper one.
        if len(known) == len(costs):
            low, high = low + min(known), high + max(known)
    most_usd = cap.usd if cap is not None and cap.usd is not None else float("inf")
    return Estimate(min(low, most_usd), min(high, most_usd), tuple(unknown))


def cost(price: Price, guess: Guess) -> float | None:
    """Return the dollars of *guess*; None where a kind of it has no price.

    What was cached is charged as fresh input where no price for it is known: never too little.
    """
    cached = price.input if price.cache_read is None else price.cache_read
    if price.input is None or cached is None or price.output is None:
        return None
    total = guess.input * price.input + guess.cache_read * cached + guess.output * price.output
    return total / _MILLION


def _cost(guess: Guess, price: Price | None, budget: Budget) -> float | None:
    whole = None if price is None else cost(price, guess)
    if whole is None:
        return None
    limit = budget.tokens
    if limit is not None and limit < guess.tokens:
        whole *= limit / guess.tokens
    return whole if budget.usd is None else min(whole, budget.usd)


def unpriced_models(plan: Plan, fleet: Fleet, role: str | None) -> list[str]:
    """Return one sentence for each model whose money is limited and cannot be counted.

    Of a program or an agent nobody but itself counts it: the card says so. Of a model that wfledger
    talks to, a cap on money without a price would never be reached (WFL-MONEY-013).
    """
    found: dict[str, None] = {}
    for task in plan.every:
        spec = task.spec
        name = role_for_prompt(spec, fleet, role).role
        known = next((one for one in fleet.roles if one.name == name), None)
        if known is None or known.argv or known.adapter or spec.prompt is None:
            continue
        budgets = [one for one in (plan.budget, spec.budget, known.budget) if one is not None]
        policy = spec.model or known.model
        limited = any(one.usd for one in budgets)
        counted = any(one.tokens or one.steps for one in budgets)
        if policy and limited and not counted and price_of(policy, fleet) is None:
            said = f"the price of {policy.model} is unknown, so a limit in dollars limits nothing"
            found[said] = None
    return list(found)
