"""A controller that cannot be asked holds nobody else up, and is asked again."""

import sys
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.controllers import controller, decided
from tests.support.workspaces import make_workspace
from wfledger.errors import EnvironmentFailedError
from wfledger.run.controllers.driving import step_through
from wfledger.run.controllers.patience import Patience
from wfledger.run.scheduler import Scheduler


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-023")
def test_controller_that_cannot_be_asked_holds_nobody_up_and_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    workspace = make_workspace(tmp_path, clock=clock)
    asks = controller(workspace, "asks", kind="cond", condition="1 < 2")
    other = controller(workspace, "other", kind="branch_set")
    scheduler, patience = Scheduler(workspace), Patience(clock)
    said: list[str] = []

    def look() -> list[str]:
        said.clear()
        step_through(
            workspace, lambda: scheduler.step(slots=2), lambda name, _: said.append(name),
            patience=patience,
        )  # fmt: skip
        return list(said)

    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", str(tmp_path / "no-python"))
        assert look() == [asks.id, other.id]
        assert look() == []
        for pause in (1, 2, 4, 8):
            clock.advance(pause - 0.1)
            assert look() == []
            clock.advance(0.2)
            assert look() == [asks.id]
        clock.advance(60)
        with pytest.raises(EnvironmentFailedError):
            look()
    clock.advance(60)
    look()
    assert decided(workspace, asks.id).outputs["verdict"] is True
