"""When a controller is asked again that could not be: trouble with one holds no other up.

Kept in memory by whoever dispatches; after a restart each is asked at once.
"""

from typing import Final

from wfledger.clock import Clock

#: Seconds until the first retry; each further one takes twice as long, up to the longest.
_FIRST_S: Final = 1.0
_LONGEST_S: Final = 60.0
#: Failures in a row that are waited out; each further one is for whoever dispatches.
_TIMES: Final = 5


class Patience:
    """Which controllers could not be asked, and when each may be again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Controller -> failures in a row, and the moment before which it is left alone.
        self._failed: dict[str, tuple[int, float]] = {}

    def allows(self, task_id: str) -> bool:
        """Whether a controller may be asked now."""
        return self._clock.elapsed() >= self._failed.get(task_id, (0, 0.0))[1]

    def wait(self, task_id: str) -> bool:
        """Note that a controller could not be asked; False: that it has been so for long."""
        times = self._failed.get(task_id, (0, 0.0))[0] + 1
        pause = min(_LONGEST_S, _FIRST_S * 2.0 ** (times - 1))
        self._failed[task_id] = times, self._clock.elapsed() + pause
        return times <= _TIMES

    def forget(self, task_id: str) -> None:
        """Note that a controller was asked."""
        self._failed.pop(task_id, None)
