"""What answers have used: tokens by kind, money where there is a price, and nothing made up."""

from typing import Any

import pytest

from tests.support.models import profile
from wfledger.core.usage import Usage
from wfledger.run.config.profiles import UsageFields
from wfledger.run.config.providers import Price
from wfledger.run.models.metering import Meter, cost_of, read_usage

PRICE = Price(input=1.0, cache_read=0.1, cache_write=1.25, output=4.0)


@pytest.mark.parametrize(
    ("name", "raw", "kinds"),
    [
        ("deepseek", {"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40},
         (40, 60, None, None)),
        ("openai", {"prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
                    "completion_tokens_details": {"reasoning_tokens": 5}}, (50, 30, 20, 5)),
        ("moonshot", {"cached_tokens": 10}, (90, 10, None, None)),
        ("zhipu", {"prompt_tokens_details": {"cached_tokens": 99}}, (1, 99, None, None)),
        ("vllm", {}, (100, None, None, None)),
        ("ollama", {"prompt_tokens_details": None}, (100, None, None, None)),
    ],
)  # fmt: skip
def test_tokens_are_counted_by_kind_and_none_of_them_twice(
    name: str, raw: dict[str, Any], kinds: tuple[int | None, ...]
) -> None:
    usage = read_usage(
        {"prompt_tokens": 100, "completion_tokens": 7, **raw}, profile(name).usage, Price()
    )
    assert usage is not None
    assert (usage.input, usage.cache_read, usage.cache_write, usage.reasoning) == kinds
    assert (usage.output, usage.tokens, usage.requests) == (7, 107, 1)
    assert (usage.cost_usd, usage.source) == (None, "meter")


@pytest.mark.requirement("WFL-MODEL-004")
@pytest.mark.parametrize("raw", [None, {}, {"prompt_tokens": "many"}, [], {"prompt_tokens": -1}])
def test_usage_that_is_not_there_is_unknown(raw: object) -> None:
    assert read_usage(raw, UsageFields(), PRICE) is None


def test_money_is_counted_by_kind() -> None:
    usage = Usage(input=1_000_000, cache_read=1_000_000, cache_write=1_000_000, output=1_000_000)
    assert cost_of(usage, PRICE) == pytest.approx(6.35)


@pytest.mark.requirement("WFL-MODEL-004")
@pytest.mark.parametrize(
    "price", [Price(), Price(input=1.0), Price(input=1.0, output=2.0), Price(output=2.0)]
)
def test_a_kind_without_a_price_makes_the_cost_unknown(price: Price) -> None:
    assert cost_of(Usage(input=10, cache_read=10, output=10), price) is None


@pytest.mark.requirement("WFL-MODEL-004")
def test_one_answer_that_nobody_counted_makes_the_sum_unknown() -> None:
    meter = Meter()
    meter.add(Usage(input=10, output=5, requests=1, cost_usd=0.5))
    assert (meter.report().tokens, meter.report().cost_usd) == (15, 0.5)
    meter.add(None)
    assert (meter.report().tokens, meter.report().cost_usd) == (None, None)
    # Budgets are held against what is known.
    assert (meter.steps, meter.tokens, meter.usd) == (2, 15, None)


def test_where_no_answer_came_it_is_known_that_nothing_was_used() -> None:
    found = Meter().report()
    assert (found.requests, found.tokens, found.cost_usd) == (0, 0, 0.0)


def test_a_sum_goes_on_from_what_was_used_before() -> None:
    meter = Meter()
    meter.add(Usage(input=10, output=5, requests=1, cost_usd=0.1))
    again = Meter(meter.report())
    again.add(Usage(input=1, output=1, requests=1, cost_usd=0.2))
    assert (again.steps, again.tokens, again.usd) == (2, 17, 0.3)
