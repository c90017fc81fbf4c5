"""Asking a process of its own: who is killed by somebody else has said nothing, and is asked anew."""

import signal
import threading
from pathlib import Path

import pytest

from wfledger.clock import SystemClock
from wfledger.run.processes import aside


@pytest.mark.long
@pytest.mark.requirement("WFL-EXPR-031")
def test_process_that_somebody_else_has_ended_is_asked_again_a_few_times(tmp_path: Path) -> None:
    for deaths, said, ended_by in [(2, b"3", None), (9, b"", signal.SIGKILL)]:
        lives = tmp_path / str(deaths)
        lives.mkdir()
        errand = aside.Errand(
            module="tests.support.mortal", question=f"{lives} {deaths}".encode(), folder=tmp_path,
            log=tmp_path / "log", tag=f"test:{lives}", wall_s=60.0,
        )  # fmt: skip
        found = aside.ask(errand, stop=threading.Event(), clock=SystemClock())
        assert (found.answer, found.ended.signal) == (said, ended_by)
        assert len(list(lives.iterdir())) == 3
