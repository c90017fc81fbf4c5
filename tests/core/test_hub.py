"""Several machines, one remote: how often they meet, and how much each of them asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core.hub import Load, ahead, part_ahead, portion


@pytest.mark.requirement("WFL-HUB-112")
def test_nothing_is_asked_for_ahead_before_any_attempt_has_ended() -> None:
    assert ahead(Load(slots=4, free=4), interval=1, most=64) == 0


@pytest.mark.requirement("WFL-HUB-112")
@pytest.mark.parametrize(
    ("took_s", "expected"), [(1.0, 4), (0.5, 8), (7.0, 1), (8.0, 0), (0.001, 64)],
    ids=["as-long-as-an-interval", "half-as-long", "longer", "much-longer", "bounded"],
)  # fmt: skip
def test_as_many_are_asked_for_ahead_as_end_until_the_next_grant(
    took_s: float, expected: int
) -> None:
    assert ahead(Load(slots=4, free=0, took_s=took_s), interval=1.0, most=64) == expected


@pytest.mark.requirement("WFL-HUB-113")
def test_large_machine_leaves_others_their_part() -> None:
    assert portion(Load(64, 64), 0, ready=46, elsewhere=28) == 32
    assert portion(Load(4, 4), 0, ready=46, elsewhere=88) == 2


@pytest.mark.requirement("WFL-HUB-113")
def test_nothing_is_taken_ahead_that_another_machine_could_begin() -> None:
    assert portion(Load(4, 4), 8, ready=10, elsewhere=6) == 4
    assert portion(Load(4, 4), 8, ready=30, elsewhere=6) == 12


@pytest.mark.requirement("WFL-HUB-113")
def test_of_what_nobody_could_begin_at_once_each_takes_its_part_ahead() -> None:
    load = Load(2, 2)
    assert part_ahead(load, 16, supply=24, elsewhere=4, places=4) == 6
    assert part_ahead(load, 16, supply=1000, elsewhere=4, places=4) == 16
    assert part_ahead(load, 16, supply=6, elsewhere=4, places=4) == 0
    assert part_ahead(load, 16, supply=24, elsewhere=0, places=0) == 16


@given(
    free=st.lists(st.integers(0, 64), min_size=1, max_size=8),
    ready=st.integers(0, 200), more=st.integers(0, 64),
)  # fmt: skip
@pytest.mark.requirement("WFL-HUB-113")
def test_everything_is_asked_for_in_the_end_and_nothing_twice(
    free: list[int], ready: int, more: int
) -> None:
    """Machines ask one after the other, each knowing what the others have free."""
    left, places = ready, list(free)
    for _ in range(ready + 1):
        for here, _ in enumerate(places):
            load = Load(max(places[here], 1), places[here])
            taken = portion(load, more, ready=left, elsewhere=sum(places) - places[here])
            assert 0 <= taken <= left
            if left and places[here]:
                assert taken > 0
            left -= taken
            places[here] = max(places[here] - taken, 0)
    assert left == (0 if more else max(ready - sum(free), 0))
