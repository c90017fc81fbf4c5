"""Why a goal stops: the table of reasons, and that no other order of questions is possible."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core.goals import EXIT, Limits, Round, Stop, Used, decide

DONE = Round("t0", "t1", is_done=True, codes=(), reached=False, missing=("docs",))
FAILED = replace(DONE, is_done=False, codes=("verification",))
TIGHT = Limits(usd=1.0, time_s=60.0, rounds=1)
ALL_USED = Used(usd=1.0, elapsed_s=60.0)
FRESH = replace(DONE, after="t2", missing=("tests",))


@pytest.mark.requirement("WFL-GOAL-010")
@pytest.mark.requirement("WFL-GOAL-011")
@pytest.mark.parametrize(
    ("rounds", "used", "limits", "stop"),
    [
        ([], Used(), Limits(), None),
        ([DONE], Used(), Limits(), None),
        # What the round says is asked before any limit.
        ([replace(DONE, reached=True, missing=())], ALL_USED, TIGHT, Stop.REACHED),
        ([replace(DONE, codes=("question",))], ALL_USED, TIGHT, Stop.BLOCKED),
        ([replace(DONE, reached=None)], ALL_USED, TIGHT, Stop.BLOCKED),
        # A judge who says "reached" is not believed while a task is not done.
        ([replace(FAILED, reached=True)], Used(), Limits(), None),
        # Nor does an abstention end what can still be planned anew.
        ([replace(FAILED, reached=None)], Used(), Limits(), None),
        ([DONE], Used(usd=1.0), replace(TIGHT, rounds=9), Stop.BUDGET),
        ([], Used(usd=1.0), replace(TIGHT, rounds=9), Stop.BUDGET),
        ([DONE], Used(elapsed_s=60.0), replace(TIGHT, rounds=9), Stop.TIME),
        ([DONE], Used(), TIGHT, Stop.ROUNDS),
        ([DONE, FRESH], Used(), Limits(), None),
        ([DONE, replace(FRESH, after="t1")], Used(), Limits(), Stop.NO_PROGRESS),
        ([DONE, replace(FRESH, missing=("  DOCS",))], Used(), Limits(), Stop.NO_PROGRESS),
        ([DONE, FRESH, DONE], Used(), Limits(), None),
    ],
)
def test_reason_to_stop(
    rounds: list[Round], used: Used, limits: Limits, stop: Stop | None
) -> None:
    assert decide(rounds, used, limits) is stop


def test_every_reason_has_its_exit_status() -> None:
    assert set(EXIT) == set(Stop)
    assert EXIT[Stop.REACHED] == 0
    assert all(EXIT[stop] for stop in Stop if stop is not Stop.REACHED)


ROUNDS = st.builds(
    Round,
    before=st.just("t0"),
    after=st.sampled_from(["t1", "t2"]),
    is_done=st.booleans(),
    codes=st.lists(st.sampled_from(["verification", "question", "budget"]), max_size=2).map(tuple),
    reached=st.sampled_from([True, False, None]),
    missing=st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple),
)
AMOUNTS = st.none() | st.floats(0.1, 10)


@pytest.mark.long
@given(
    st.lists(ROUNDS, max_size=4), st.builds(Used, st.floats(0, 10), st.floats(0, 10)),
    st.builds(Limits, AMOUNTS, AMOUNTS, st.none() | st.integers(1, 4)),
)  # fmt: skip
def test_goal_goes_on_only_within_every_limit_and_never_past_what_ends_it(
    rounds: list[Round], used: Used, limits: Limits
) -> None:
    stop = decide(rounds, used, limits)
    last = rounds[-1] if rounds else None
    if stop is None:
        assert limits.usd is None or used.usd < limits.usd
        assert limits.time_s is None or used.elapsed_s < limits.time_s
        assert limits.rounds is None or len(rounds) < limits.rounds
        assert last is None or not (last.is_done and last.reached is not False)
    if stop is Stop.REACHED:
        assert last is not None
        assert last.is_done
        assert last.reached is True
    # More money or time never ends a goal earlier.
    if stop not in {Stop.BUDGET, Stop.TIME, Stop.ROUNDS}:
        assert decide(rounds, used, Limits()) is stop
