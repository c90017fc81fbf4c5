"""How a process that must not end goes on in trouble: each part of its work by itself.

What fails is said once, held back for a growing while, tried again, and said to go on when it
does. Nothing here decides what trouble is: whatever a part raises (WFL-DAEMON-030).
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wfledger.clock import Clock, iso
from wfledger.core.text import clean_line
from wfledger.errors import WfledgerError

#: Seconds until a part that failed is tried again, doubled each time up to the longest.
FIRST_S: Final = 0.5
LONGEST_S: Final = 8.0
_TEXT: Final = 300


@dataclass(frozen=True)
class Setback:
    """A part of the work that is held up."""

    part: str
    message: str
    #: Since when (UTC, ISO 8601).
    since: str


@dataclass
class _Held:
    kind: object
    setback: Setback
    began: float
    pause_s: float
    until: float


class Survival:
    """Calls the parts of some work, and knows which of them are held up."""

    def __init__(self, clock: Clock, say: Callable[[str], object]) -> None:
        self._clock = clock
        self._say = say
        self._held: dict[str, _Held] = {}

    def attempt(self, part: str, work: Callable[[], object]) -> bool:
        """Call *work* unless its part is held back just now; whether it got through."""
        held = self._held.get(part)
        now = self._clock.elapsed()
        if held is not None and now < held.until:
            return False
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest goes on
            self._hold(part, error)
            return False
        if held is not None:
            del self._held[part]
            self._say(f"{part} goes on after {now - held.began:.0f} s")
        return True

    def setbacks(self) -> tuple[Setback, ...]:
        """Return what is held up now."""
        return tuple(held.setback for held in self._held.values())

    def _hold(self, part: str, error: Exception) -> None:
        # The name of a temporary file in a message is another one each time.
        kind = (type(error), getattr(error, "errno", None), getattr(error, "hint", None))
        now, before = self._clock.elapsed(), self._held.get(part)
        pause_s = FIRST_S if before is None else min(before.pause_s * 2, LONGEST_S)
        if before is None or before.kind != kind:
            self._say(f"{part} is held up: {describe(error)}")
        since = before.setback.since if before else iso(self._clock.now())
        setback = Setback(part, clean_line(str(error), _TEXT), since)
        began = before.began if before else now
        self._held[part] = _Held(kind, setback, began, pause_s, now + pause_s)


def describe(error: BaseException) -> str:
    """Return what to log of *error*: of one that nobody expected, where it came from."""
    if isinstance(error, (WfledgerError, OSError)):
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()
