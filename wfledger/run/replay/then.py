"""The ledger as a controller saw it at a step: the time, and what had been used by then."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from wfledger.clock import Clock, parse_iso
from wfledger.core.graph import Standing
from wfledger.core.statuses import Status
from wfledger.run.money.spending import Spending, Used
from wfledger.run.workspace import Workspace

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class ThenClock:
    """A clock that stands at a recorded moment; chance and durations are the machine's."""

    def __init__(self, real: Clock) -> None:
        self._real = real
        self.at = _NEVER

    def now(self) -> datetime:
        """Return the recorded moment."""
        return self.at

    def reach(self, moment: str | None) -> None:
        """Go on to *moment*, never back."""
        if moment is not None:
            self.at = max(self.at, parse_iso(moment))

    def elapsed(self) -> float:
        """Return seconds on the real clock."""
        return self._real.elapsed()

    def awake(self) -> float:
        """Return seconds on the real clock."""
        return self._real.awake()

    def token(self) -> str:
        """Return an unguessable secret."""
        return self._real.token()

    def short_id(self, length: int = 8) -> str:
        """Return *length* random characters."""
        return self._real.short_id(length)

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._real.wait(seconds)


class SpendingThen(Spending):
    """What attempts had used that were over at the moment that a clock stands at."""

    def __init__(
        self, real: Spending, ended: Mapping[tuple[str, int], datetime], clock: ThenClock
    ) -> None:  # the files are read by *real*
        self._real, self._ended, self._clock = real, ended, clock

    def look(self) -> "SpendingThen":
        """Look again."""
        self._real.look()
        return self

    def attempts(self) -> list[Used]:
        """Return the attempts that were over by then; one without a known end is."""
        now = self._clock.now()
        return [
            one for one in self._real.attempts()
            if self._ended.get((one.task, one.attempt), _NEVER) <= now
        ]  # fmt: skip


def workspace_then(
    workspace: Workspace, ended: Mapping[tuple[str, int], datetime]
) -> tuple[Workspace, ThenClock]:
    """Return a ledger whose time and spending are those that its clock is set to.

    *ended*: when each attempt was over.
    """
    clock = ThenClock(workspace.clock)
    then = replace(workspace, clock=clock)
    vars(then)["spending"] = SpendingThen(workspace.spending, ended, clock)
    return then, clock


def settled_at(workspace: Workspace, name: str) -> str | None:
    """Return since when a task is settled as far as its document says; None where it is open."""
    entry = workspace.ledger.find(name)
    if entry is None:
        return None
    task = entry.task
    if entry.status is Status.DONE and task.landed is not None:
        return task.landed.at
    if Standing.of(task, entry.status).failed_for_good:
        return task.attempts[-1].ended if task.attempts else task.created
    return None
