"""When the next meeting is due."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core.pacing import LONGEST_S, Pace, away_s, overtaken_s, turns_s

CHANCES = st.floats(0, 1)


def test_first_meeting_is_due_at_once() -> None:
    assert Pace(10.0).due(wanted=False) == float("-inf")


def test_meets_once_an_interval_when_nothing_is_to_go_out() -> None:
    pace = Pace(10.0).after(100.0, pushed=False)
    assert pace.due(wanted=False) == 110.0


def test_change_goes_out_at_once_when_the_last_push_is_an_interval_ago() -> None:
    pace = Pace(10.0).after(80.0, pushed=True).after(100.0, pushed=False)
    assert pace.due(wanted=True) <= 101.0


def test_change_waits_for_an_interval_after_the_last_push() -> None:
    pace = Pace(10.0).after(100.0, pushed=True)
    assert pace.due(wanted=True) == 110.0


@pytest.mark.requirement("WFL-HUB-040")
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=30), CHANCES)
def test_pushes_are_never_closer_than_an_interval(
    story: list[tuple[bool, bool, bool]], chance: float
) -> None:
    pace, now, pushes = Pace(10.0), 0.0, []
    for wanted, goes_out, fails in story:
        now = max(now, pace.due(wanted=wanted))
        if fails:
            pause = overtaken_s(pace.failures + 1, 10.0, age_s=now, chance=chance)
            pace = pace.troubled(now, pause, pushed=goes_out)
        else:
            pace = pace.after(now, pushed=goes_out)
        pushes += [now] if goes_out else []
    assert all(later - sooner > 9.99 for sooner, later in pairwise(pushes))


@pytest.mark.requirement("WFL-HUB-141")
@given(st.integers(1, 60), CHANCES)
def test_pause_while_the_remote_is_away_is_bounded(failures: int, chance: float) -> None:
    assert 0.7 <= away_s(failures, 1.0, lease_s=600.0, chance=chance) <= LONGEST_S * 1.25


def test_pause_while_the_remote_is_away_grows() -> None:
    pauses = [away_s(count, 1.0, lease_s=600.0, chance=0.5) for count in range(1, 7)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, LONGEST_S, LONGEST_S]


def test_pause_is_no_longer_than_a_sixth_of_the_lease_unless_an_interval_is() -> None:
    assert away_s(9, 1.0, lease_s=12.0, chance=0.5) == 2.0
    assert away_s(9, 10.0, lease_s=60.0, chance=0.5) == 10.0


@pytest.mark.requirement("WFL-HUB-141")
@given(st.integers(1, 60), CHANCES)
def test_who_has_waited_longer_pauses_shorter(failures: int, chance: float) -> None:
    fresh = overtaken_s(failures, 1.0, age_s=0.0, chance=chance)
    assert overtaken_s(failures, 1.0, age_s=30.0, chance=chance) < fresh / 3


def test_turns_never_take_so_long_that_who_is_alive_would_count_as_silent() -> None:
    def turns(lease_s: float) -> float:
        return turns_s([2.0] * 8, interval_s=1.0, lease_s=lease_s)

    assert turns(600.0) == 10.0
    assert turns(24.0) == 2.0
    assert turns(10.0) == 1.0
