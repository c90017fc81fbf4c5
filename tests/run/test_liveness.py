"""Observations that several observers share."""

from pathlib import Path

from tests.support.clock import FakeClock
from tests.support.workspaces import make_workspace
from wfledger.run.liveness import Observations


def test_no_observer_forgets_what_another_looks_after(tmp_path: Path, clock: FakeClock) -> None:
    workspace = make_workspace(tmp_path, clock=clock)
    first = Observations.load(workspace)
    first.age("beat:r1.a.1", 7)
    first.save("beat", "unrecorded")
    for _ in range(3):
        clock.advance(10)
        other = Observations.load(workspace)
        other.age("offer:r1.b", 1)
        other.save("offer")
    assert Observations.load(workspace).age("beat:r1.a.1", 7) == 30.0
    assert Observations.load(workspace).age("offer:r1.b", 1) == 20.0


def test_observer_forgets_what_it_does_not_ask_about_any_more(
    tmp_path: Path, clock: FakeClock
) -> None:
    workspace = make_workspace(tmp_path, clock=clock)
    first = Observations.load(workspace)
    first.age("offer:r1.a", 1)
    first.save("offer")
    Observations.load(workspace).save("offer")
    clock.advance(10)
    assert Observations.load(workspace).age("offer:r1.a", 1) == 0.0
