"""A breaker opens for what only a person or time mends; slots go with rate limits and come back."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import START
from wfledger.clock import iso
from wfledger.core.breaking import (
    COOL_MAX_S,
    GROW_S,
    LONGEST_S,
    Breaker,
    Opened,
    Trouble,
    succeeded,
    troubled,
)


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def after(state: Breaker, kind: Trouble, at: float = 0, **more: Any) -> Breaker:
    return troubled(state, kind, kind, now=later(at), **({"in_flight": 1} | more))


@pytest.mark.parametrize("kind", ["auth", "quota"])
def test_refusal_without_a_moment_stays_until_somebody_closes(kind: Trouble) -> None:
    state = after(Breaker(), kind)
    assert state.opened == Opened(kind, kind, iso(START))
    assert state.is_open(later(10**7))
    assert state.slots(8, later(10**7)) == 0
    assert succeeded(state, now=later(5)) == state, "what ran on says nothing of the refusal"


def test_refusal_that_lasts_is_one_however_many_meet_it() -> None:
    state = after(Breaker(), "quota")
    assert after(state, "quota", 5) == state
    known = after(state, "quota", 5, retry_after_s=60)
    assert known.opened is not None
    assert (known.opened.since, known.opened.until) == (iso(START), iso(later(65)))
    assert after(known, "quota", 9) == known


def test_no_time_makes_a_wrong_key_right() -> None:
    assert after(Breaker(), "auth", retry_after_s=5).is_open(later(10**6))


@pytest.mark.requirement("WFL-ROUTE-022")
def test_one_at_a_time_is_let_through_when_the_moment_has_come() -> None:
    state = after(Breaker(), "quota", retry_after_s=60)
    assert state.slots(8, later(59)) == 0
    assert (state.is_probing(later(60)), state.slots(8, later(60))) == (True, 1)
    assert succeeded(state, now=later(61)) == Breaker()
    again = after(state, "quota", 61)
    assert again.is_open(later(10**6))


def test_moment_beyond_reason_is_a_clock_that_has_jumped() -> None:
    state = Breaker(Opened("quota", "", iso(START), iso(later(2 * LONGEST_S))))
    assert not state.is_open(START)
    bounded = after(Breaker(), "quota", retry_after_s=100 * LONGEST_S)
    assert bounded.is_open(later(LONGEST_S - 1))


@pytest.mark.requirement("WFL-ROUTE-023")
def test_rate_limit_takes_a_slot_of_those_in_use_and_quiet_gives_it_back() -> None:
    state = after(Breaker(), "rate", in_flight=5)
    assert state.slots(None, later(1)) == 4
    assert after(state, "rate", 1, in_flight=5) == state, "one storm, one slot"
    state = after(state, "rate", 3, in_flight=4)
    assert state.slots(8, later(4)) == 3
    assert [state.slots(4, later(3 + n * GROW_S)) for n in range(3)] == [3, 4, 4]


def test_wait_that_is_asked_for_is_waited_and_takes_no_more_than_a_slot() -> None:
    state = after(Breaker(), "rate", in_flight=3, retry_after_s=20)
    assert [state.slots(None, later(at)) for at in (19, 20)] == [0, 1]
    assert succeeded(state, now=later(21)).slots(None, later(21)) == 2


def test_overload_is_waited_out_longer_each_time_and_once_for_a_storm() -> None:
    state, waited, now = Breaker(), [], 0.0
    for _ in range(7):
        state = after(state, "overload", now)
        assert after(state, "overload", now + 1) == state
        assert state.opened is not None
        assert state.opened.until is not None
        end = (datetime.fromisoformat(state.opened.until) - START).total_seconds()
        waited.append(end - now)
        now = end
    assert waited == [10, 20, 40, 80, 160, COOL_MAX_S, COOL_MAX_S]
    assert succeeded(state, now=later(now)) == Breaker()


def test_lesser_trouble_hides_no_refusal() -> None:
    state = after(Breaker(), "auth")
    assert after(state, "overload", 1).opened == state.opened
    assert after(state, "rate", 1, retry_after_s=9).opened == state.opened


EVENTS = st.tuples(
    st.sampled_from(["auth", "quota", "rate", "overload", "success"]),
    st.floats(0, 400), st.integers(0, 12), st.none() | st.floats(0.1, 2000),
)  # fmt: skip


@settings(max_examples=25)
@given(st.lists(EVENTS, max_size=12), st.none() | st.integers(1, 9))
def test_whatever_happens_there_is_a_slot_unless_it_is_open_and_never_too_many(
    events: list[tuple[Any, float, int, float | None]], configured: int | None
) -> None:
    state, at = Breaker(), 0.0
    for kind, pause, in_flight, wait in events:
        at += pause
        now = later(at)
        if kind == "success":
            state = succeeded(state, now=now)
        else:
            state = troubled(
                state, kind, "", now=now, in_flight=in_flight, retry_after_s=wait
            )
            assert kind not in {"auth", "quota"} or state.is_open(now)
        slots = state.slots(configured, now)
        assert (slots == 0) == state.is_open(now)
        assert configured is None or (slots is not None and slots <= configured)
