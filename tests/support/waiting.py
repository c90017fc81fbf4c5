"""Waiting for what another process does, without a fixed sleep."""

import time
from collections.abc import Callable

from tests.support.processes import PATIENCE_S


def until(
    condition: Callable[[], bool], *, within_s: float = PATIENCE_S, every_s: float = 0.01
) -> None:
    """Return as soon as *condition* holds; fail when it does not within *within_s*."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(every_s)
