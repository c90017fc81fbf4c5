"""What answers have used: read from each answer as its server reports it, priced, added up.

Pure. What is not reported stays unknown: a sum in which an answer is missing says nothing, though
budgets are held against the part that is known.
"""

from collections.abc import Mapping
from typing import Any, Final

from wfledger.core.usage import TOKENS, Usage
from wfledger.run.config.profiles import UsageFields
from wfledger.run.config.providers import Price
from wfledger.run.models.troubles import dig

_MILLION: Final = 1_000_000.0


def read_usage(raw: object, fields: UsageFields, price: Price) -> Usage | None:
    """Return what an answer's `usage` says; None where it says nothing."""
    if not isinstance(raw, Mapping):
        return None
    prompt, output = _number(raw, fields.prompt), _number(raw, fields.output)
    if prompt is None and output is None:
        return None
    read, written = _number(raw, fields.cache_read), _number(raw, fields.cache_write)
    fresh = None if prompt is None else max(prompt - (read or 0) - (written or 0), 0)
    usage = Usage(
        input=fresh, cache_read=read, cache_write=written, output=output,
        reasoning=_number(raw, fields.reasoning), requests=1, source="meter",
    )  # fmt: skip
    return usage.but(cost_usd=cost_of(usage, price))


def cost_of(usage: Usage, price: Price) -> float | None:
    """Return the dollars; None where tokens of some kind have no price, or nobody counted them."""
    if usage.input is None or usage.output is None:
        return None
    cost = 0.0
    for name in TOKENS:
        count, each = getattr(usage, name) or 0, getattr(price, name)
        if count and each is None:
            return None
        cost += count * (each or 0.0) / _MILLION
    if price.input is None or price.output is None:
        return None
    return round(cost, 9)


#: What was used where no answer came: that is known.
NOTHING: Final = Usage(input=0, output=0, requests=0, cost_usd=0.0, source="meter")


class Meter:
    """Adds up what the answers of one attempt have used."""

    def __init__(self, before: Usage | None = None) -> None:
        self._known = before or Usage(requests=0, cost_usd=0.0, source="meter")
        self._uncounted = before is not None and before.tokens is None and bool(before.requests)
        self._unpriced = before is not None and before.cost_usd is None

    def add(self, usage: Usage | None) -> None:
        """Add one answer; None is one of which nobody knows what it used."""
        if usage is None:
            self._uncounted = self._unpriced = True
            usage = Usage(requests=1)
        self._unpriced = self._unpriced or usage.cost_usd is None
        names = (*TOKENS, "reasoning", "requests", "cost_usd")
        sums = {name: _sum(getattr(self._known, name), getattr(usage, name)) for name in names}
        self._known = self._known.but(**sums)

    @property
    def steps(self) -> int:
        """Answers so far."""
        return self._known.requests or 0

    @property
    def tokens(self) -> int:
        """Tokens that are known of; there may be more."""
        return self._known.tokens or 0

    @property
    def usd(self) -> float | None:
        """Dollars; None where some answer has no price."""
        return None if self._unpriced else self._known.cost_usd

    def report(self) -> Usage:
        """Return the sum, as far as it is known of all answers."""
        if self._uncounted:
            return Usage(requests=self._known.requests, source="meter")
        if not self.steps:
            return NOTHING
        return self._known.but(cost_usd=self.usd)


def _number(raw: Mapping[str, Any], paths: tuple[str, ...]) -> int | None:
    for path in paths:
        value = dig(raw, path)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _sum(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return round(one + other, 9)
