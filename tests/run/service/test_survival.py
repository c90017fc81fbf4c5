"""Trouble with a part of the work: said once, held back, tried again, over."""

import pytest

from tests.support.clock import FakeClock
from wfledger.errors import BusyError, GitError
from wfledger.run.service.survival import LONGEST_S, Survival


class Part:
    """Work that fails while it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


@pytest.mark.requirement("WFL-DAEMON-030")
@pytest.mark.requirement("WFL-DAEMON-031")
@pytest.mark.parametrize(
    "error", [OSError(28, "full"), BusyError("busy"), GitError("git"), KeyError("a defect")]
)
def test_part_in_trouble_is_held_back_longer_and_longer_and_goes_on(
    clock: FakeClock, error: Exception
) -> None:
    said: list[str] = []
    survival, part, other = Survival(clock, said.append), Part(), Part()
    part.error = error
    for _ in range(1200):  # two minutes
        survival.attempt("history", part)
        assert survival.attempt("landing", other)
        clock.advance(0.1)
    assert other.calls == 1200
    assert 120 / LONGEST_S <= part.calls < 30
    (setback,) = survival.setbacks()
    assert (setback.part, setback.message) == ("history", str(error))
    part.error = None
    clock.advance(LONGEST_S)
    assert survival.attempt("history", part)
    assert survival.setbacks() == ()
    assert [line.split(":")[0] for line in said] == ["history is held up", "history goes on after 128 s"]


def test_other_trouble_is_said_as_well(clock: FakeClock) -> None:
    said: list[str] = []
    survival, part = Survival(clock, said.append), Part()
    for error in (OSError(28, "full"), OSError(28, "full of another"), OSError(30, "read-only")):
        part.error = error
        survival.attempt("dispatch", part)
        clock.advance(LONGEST_S)
    assert len(said) == 2


@pytest.mark.requirement("WFL-DAEMON-024")
def test_wall_clock_that_jumps_holds_nothing_back(clock: FakeClock) -> None:
    survival, part = Survival(clock, lambda _: None), Part()
    part.error = OSError(28, "full")
    survival.attempt("dispatch", part)
    part.error = None
    clock.jump(-10 * 365 * 86400)
    clock.advance(1)
    assert survival.attempt("dispatch", part)
    part.error = OSError(28, "full")
    survival.attempt("dispatch", part)
    clock.jump(10 * 365 * 86400)
    assert not survival.attempt("dispatch", part)
    assert part.calls == 3
