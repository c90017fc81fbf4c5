"""Ending a run when its time is over: what runs is stopped, its work kept."""

from collections.abc import Callable

from wfledger.run.engine import Pulse
from wfledger.run.session import Listener, Session


class Deadline:
    """A listener that hands everything on, and stops the session when it is time."""

    def __init__(self, inner: Listener, is_over: Callable[[], bool]) -> None:
        self._inner, self._is_over = inner, is_over
        #: Set once there is one.
        self.session: Session | None = None

    def event(self, task_id: str, text: str) -> None:
        """Hand on what happens to a task."""
        self._inner.event(task_id, text)

    def pulse(self, pulse: Pulse) -> None:
        """Hand on what a tick saw, and look at the time."""
        self._inner.pulse(pulse)
        if self.session is not None and self.session.stop_requests < 2 and self._is_over():
            self.session.stop_requests = 2

    def stopping(self, *, at_once: bool) -> None:
        """Hand on that stopping is under way."""
        self._inner.stopping(at_once=at_once)
