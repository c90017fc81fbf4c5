"""Silence counts only while one could see, and only while nothing changes."""

import pytest

from wfledger.core.silence import Hearing, limit_s, look, window_s

WINDOW = 10.0


def _looks(*moments: float, beat: str = "b1") -> Hearing:
    seen = Hearing()
    for now in moments:
        seen = look(seen, now=now, window=WINDOW, beats={"m": beat})
    return seen


@pytest.mark.requirement("WFL-HUB-051")
def test_the_time_between_fetches_that_lie_close_together_adds_up() -> None:
    assert _looks(0, 5, 15, 20).silence() == {"m": 20.0}


@pytest.mark.requirement("WFL-HUB-051")
def test_after_an_hour_without_a_fetch_nobody_has_been_silent_at_all() -> None:
    assert _looks(0, 5, 10, 3610).silence() == {"m": 0.0}
    assert _looks(0, 5, 10, 3610, 3615).silence() == {"m": 5.0}


@pytest.mark.requirement("WFL-HUB-051")
def test_where_each_fetch_takes_long_a_part_of_the_time_counts() -> None:
    assert _looks(0, 15, 30, 45).silence() == {"m": 3 * WINDOW}
    assert _looks(0, 15, 45).silence() == {"m": 2 * WINDOW}
    assert _looks(0, 15, 46).silence() == {"m": 0.0}


def test_what_came_while_a_fetch_was_under_way_is_not_older_than_its_end() -> None:
    seen = look(Hearing(), now=0, took_s=4.0, window=WINDOW, beats={"m": "b1"})
    assert seen.silence() == {"m": 0.0}
    assert look(seen, now=10, took_s=9.0, window=WINDOW, beats={"m": "b1"}).silence() == {"m": 6.0}


@pytest.mark.requirement("WFL-HUB-065")
@pytest.mark.parametrize(("interval", "lease"), [(1.0, 600.0), (10.0, 60.0), (50.0, 600.0), (1.0, 6.0)])
def test_who_is_gone_is_taken_over_within_five_leases_however_far_fetches_lie_apart(
    interval: float, lease: float
) -> None:
    window = window_s(interval, lease)
    for part in (0.1, 0.5, 0.99, 1.7, 2.99):
        seen, now = Hearing(), 0.0
        while not (s := seen.silence()) or s["m"] < limit_s(interval, lease):
            now += part * window
            seen = look(seen, now=now, window=window, beats={"m": "last"})
        assert now <= 5 * lease
        if part <= 1.0:
            assert now <= limit_s(interval, lease) + 2 * window


@pytest.mark.requirement("WFL-HUB-051")
def test_a_clock_that_begins_anew_starts_from_nothing() -> None:
    assert _looks(1000, 1005, 3).silence() == {"m": 0.0}


@pytest.mark.requirement("WFL-HUB-051")
def test_a_new_heartbeat_or_a_commit_ends_the_silence() -> None:
    silent = _looks(0, 5, 10)
    beaten = look(silent, now=12, window=WINDOW, beats={"m": "b2"})
    written = look(silent, now=12, window=WINDOW, beats={"m": "b1"}, wrote={"m"})
    assert beaten.silence() == written.silence() == {"m": 0.0}


@pytest.mark.requirement("WFL-HUB-051")
def test_who_holds_something_and_never_beat_is_silent_from_where_he_was_missed() -> None:
    seen = Hearing()
    for now in (0, 5, 10):
        seen = look(seen, now=now, window=WINDOW, beats={"m": ""})
    assert seen.silence() == {"m": 10.0}
    assert look(seen, now=12, window=WINDOW, beats={}).silence() == {}


def test_fetches_over_a_slow_network_count_as_well() -> None:
    assert window_s(1.0, 600.0) == 100.0
    assert window_s(60.0, 360.0) == 120.0


def test_a_machine_is_gone_after_its_lease_a_tenth_for_clocks_and_an_interval() -> None:
    assert limit_s(10.0, 600.0) == pytest.approx(670.0)
