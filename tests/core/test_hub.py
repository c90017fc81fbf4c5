"""Several machines, one remote: how often they meet, and how much each of them asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core.hub import Load, ahead, portion


@pytest.mark.requirement("WFL-HUB-112")
def test_nothing_is_asked_for_ahead_where_nothing_ends() -> None:
    assert ahead(Load(slots=4, free=4), interval=1, most=64) == 0


@pytest.mark.requirement("WFL-HUB-112")
@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (Load(slots=4, free=0, freed=3, for_s=1.0), 3),
        (Load(slots=4, free=0, freed=3, for_s=10.0), 1),
        (Load(slots=4, free=4, freed=3, for_s=1.0), 6),
        (Load(slots=4, free=4, offers=1, freed=3, for_s=1.0), 3),
        (Load(slots=4, free=4, freed=100, for_s=1.0), 64),
    ],
    ids=["as-many-as-ended", "by-rate", "ran-dry", "offers-left", "bounded"],
)
def test_as_many_are_asked_for_ahead_as_ended_lately(load: Load, expected: int) -> None:
    assert ahead(load, interval=1.0, most=64) == expected


@pytest.mark.requirement("WFL-HUB-113")
def test_large_machine_leaves_others_their_part() -> None:
    assert portion(Load(64, 64), 0, ready=46, elsewhere=28) == 32
    assert portion(Load(4, 4), 0, ready=46, elsewhere=88) == 2


@pytest.mark.requirement("WFL-HUB-113")
def test_nothing_is_taken_ahead_that_another_machine_could_begin() -> None:
    assert portion(Load(4, 4), 8, ready=10, elsewhere=6) == 4
    assert portion(Load(4, 4), 8, ready=30, elsewhere=6) == 12


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
    assert left == max(ready - sum(free), 0) or left < ready
