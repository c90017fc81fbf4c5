"""Why a loop is over: a closed list of reasons."""

import pytest

from wfledger.core.looping import Progress, allowed_rounds, ended, spent_since
from wfledger.core.usage import Budget, Spent

CASES = [
    (Progress(1, True, 1), "condition"),
    (Progress(1, False, 2), None),
    (Progress(1, None, 2), None),
    (Progress(2, False, 2), "iterations"),
    (Progress(1, None, 1), "iterations"),
    (Progress(1, False, 9, time_s=5.0, elapsed_s=5.0), "time"),
    (Progress(1, False, 9, time_s=5.0, elapsed_s=4.9), None),
    (Progress(1, False, 9, Budget(tokens=10), Spent(tokens=10)), "tokens"),
    (Progress(1, False, 9, Budget(tokens=10, usd=1), Spent(tokens=9, usd=1.0)), "money"),
    (Progress(1, False, 9, Budget(steps=3), Spent(steps=3)), "tokens"),
    (Progress(1, False, 9, Budget(tokens=10), Spent(tokens=9)), None),
    (Progress(1, True, 9, Budget(tokens=10), Spent(tokens=99), given_up="r1.a"), "condition"),
    (Progress(1, False, 9, given_up="r1.a"), "failed"),
]


@pytest.mark.requirement("WFL-CTRL-012")
@pytest.mark.parametrize(("progress", "reason"), CASES)
def test_loop_ends_for_a_reason_of_the_list(progress: Progress, reason: str | None) -> None:
    found = ended(progress)
    assert (found.reason if found else None) == reason


def test_loop_has_one_round_at_least() -> None:
    assert [allowed_rounds(bound) for bound in (0, 1, 7)] == [1, 1, 7]


def test_retry_counts_from_what_was_used_before() -> None:
    now, before = Spent(3, 1.5, 30, 6, 1, 1), Spent(2, 1.0, 20, 4, 1, 0)
    assert spent_since(now, before) == Spent(1, 0.5, 10, 2, 0, 1)
