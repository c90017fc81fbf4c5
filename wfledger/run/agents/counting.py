"""What an agent says that it has used, by kind; what it does not say stays unknown."""

from collections.abc import Sequence

from wfledger.core.usage import Usage
from wfledger.run.agents.matching import Event, matches, numbers_at
from wfledger.run.config.adapters import COUNTS, Counting

#: A kind of `COUNTS` and how many.
Counted = dict[str, float]


def counted(counting: Counting, events: Sequence[Event]) -> Counted:
    """Return the numbers of one launch; a kind that nobody names is not in it."""
    telling = [event for event in events if matches(event, counting.when)]
    if not counting.is_sum:
        telling = telling[-1:]
    found: Counted = {}
    for kind, path in counting.paths:
        numbers = [number for event in telling for number in numbers_at(event, path)]
        if numbers:
            found[kind] = sum(numbers)
    return found


def usage_of(counting: Counting, launches: Sequence[Counted]) -> Usage:
    """Return the usage of an attempt from those of its launches."""
    if not any(launches):
        return Usage(source="unknown")
    if counting.is_cumulative:
        launches = [one for one in launches if one][-1:]
    total = {
        kind: sum(numbers)
        for kind in COUNTS
        if (numbers := [one[kind] for one in launches if kind in one])
    }
    # An agent that was told something has used some: 0 says that it does not know the price.
    cost = total.pop("usd", None) or None
    tokens = {kind: int(number) for kind, number in total.items()}
    for kind in counting.input_includes:
        if "input" in tokens:
            tokens["input"] = max(0, tokens["input"] - tokens.get(kind, 0))
    if counting.reasoning_apart and "output" in tokens:
        tokens["output"] += tokens.get("reasoning", 0)
    return Usage(**tokens, cost_usd=cost, source="agent")
