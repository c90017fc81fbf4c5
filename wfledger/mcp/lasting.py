"""Work that may take longer than a client waits for an answer.

Many clients give a call up after a minute; verification may take an hour. So it runs in a thread of
its own, a call answers after a while that it goes on, and the next one joins it (WFL-MCP-023).
"""

import threading
from collections.abc import Callable
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.run.attempts.handing import Foreground

_LOOK_S: Final = 0.05

Doing = Callable[[Foreground], dict[str, Any]]


class Work:
    """One completion under way; its result is taken once."""

    def __init__(self, task_id: str, log: Callable[[str], None]) -> None:
        self.task_id = task_id
        #: What it does now.
        self.said = "begins"
        self._log = log
        self._waiter = Foreground(self._report, threading.Event())
        self._done = threading.Event()
        self._found: dict[str, Any] = {}
        self._error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return self._done.is_set()

    def begin(self, do: Doing) -> None:
        """Do it in a thread."""
        threading.Thread(target=self._carry_out, args=(do,), name=f"work-{self.task_id}").start()

    def wait(self, clock: Clock, *, stop: threading.Event, at_most_s: float) -> bool:
        """Return whether it is over, within *at_most_s*; where *stop* is set it is ended."""
        until = clock.elapsed() + at_most_s
        while not self._done.wait(_LOOK_S):
            if stop.is_set():
                self.end()
            elif clock.elapsed() >= until:
                return False
        return True

    def end(self) -> None:
        """Stop it, and return when it is over."""
        self._waiter.stop.set()
        self._done.wait()

    def result(self) -> dict[str, Any]:
        """Return what it came to, or raise what it failed with."""
        if self._error is not None:
            raise self._error
        return self._found

    def _carry_out(self, do: Doing) -> None:
        try:
            self._found = do(self._waiter)
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            self._error = error
        finally:
            self._done.set()

    def _report(self, text: str) -> None:
        self.said = text
        self._log(f"{self.task_id}: {text}")
