import pytest

from wfledger.plans import durations


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90s", 90),
        ("20m", 1200),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("500ms", 0.5),
        ("1.5h", 5400),
        (7, 7),
        (0.5, 0.5),
        ("0s", 0),
    ],
)
def test_duration_is_read_as_seconds(given: object, seconds: float) -> None:
    assert durations.parse(given) == seconds


@pytest.mark.parametrize(
    "given", ["", "20", "m", "1h 30m", "-5s", "20M", "1:30", True, None, [], "5 m"]
)
def test_what_is_no_duration_is_told_apart(given: object) -> None:
    assert durations.parse(given) is None


def test_range_is_more_than_nothing_and_at_most_a_leap_year() -> None:
    assert [durations.in_range(s) for s in (0, -1, 0.001, 366 * 86_400, 366 * 86_400 + 1)] == [
        False, False, True, True, False,
    ]  # fmt: skip
    assert durations.parse(10**400) == 1e18
