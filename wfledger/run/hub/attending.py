"""Meetings of this machine with its remote: when the next is due, and what it came to.

To be used by whoever holds `live/sync`. A meeting that fails is tried again after a growing pause;
what it was to bring is in the journal meanwhile.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from wfledger.clock import iso, parse_iso
from wfledger.core.pacing import LONGEST_S, Pace, away_s, longest_s, overtaken_s, turns_s
from wfledger.core.policy import Policy
from wfledger.core.text import clean_line
from wfledger.errors import BusyError, LedgerDamagedError, WfledgerError
from wfledger.run.hub import diary, poking
from wfledger.run.hub.machines import interval_of, rounds
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.poking import Pokes
from wfledger.run.hub.proposing import proposers
from wfledger.run.hub.state import read_state
from wfledger.run.service.survival import describe
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

#: Longest meeting, and longest one that somebody at a prompt waits for.
MEETING_S: Final = 60.0
PROMPT_S: Final = 10.0
#: Characters of what a defect says.
_LINE: Final = 200

#: One meeting, within so many seconds.
Meeting = Callable[[Workspace, float], Met]


def together(workspace: Workspace, within_s: float) -> Met:
    """Meet the remote with all that this machine may ask it for."""
    from wfledger.run.hub.cycle import meet

    return meet(workspace, proposers(), timeout_s=within_s)


class Attending:
    """What one process knows of its meetings."""

    def __init__(self, workspace: Workspace, meeting: Meeting = together) -> None:
        self._workspace = workspace
        self._meeting = meeting
        self._pokes = Pokes(poking.pokes(workspace).poke, diary.answered(workspace))
        self._journal: object = None
        #: Since when something of ours has been waiting.
        self._waiting: float | None = None
        self._away: str | None = None
        elapsed = workspace.clock.elapsed()
        ago = _ago(workspace, read_state(workspace.ledger.layout.local).pushed)
        pushed = float("-inf") if ago is None else elapsed - ago
        self._pace = Pace(interval_of(workspace), pushed=pushed)

    def is_due(self) -> bool:
        """Whether to meet now."""
        now, asked = self._workspace.clock.elapsed(), poking.pokes(self._workspace)
        if asked.now > self._pokes.now:
            return True
        if self._is_stopped():  # perhaps somebody gives the remote back what it had
            return now >= self._pace.met + longest_s(self._lease_s())
        wanted = self._has_changes()
        if not wanted:
            self._waiting = None
        elif self._waiting is None:
            self._waiting = now
        wanted = wanted or asked.poke > self._pokes.poke
        return now >= self._pace.due(wanted=wanted)

    def has_last_word(self) -> bool:
        """Whether who leaves has something to bring to a remote that was there lately."""
        return self._has_changes() and not self._pace.failures and not self._is_stopped()

    def meet(self, *, within_s: float) -> Met:
        """Have one meeting and remember it; whatever goes wrong is what it came to."""
        workspace, clock = self._workspace, self._workspace.clock
        began, self._pokes, self._journal = (
            clock.elapsed(), poking.pokes(workspace), _mark(workspace),
        )  # fmt: skip
        met = self._carried_out(within_s)
        self._keep_pace(met, began)
        is_apart = not met.is_well and met.outcome != "lost"
        self._away = (self._away or iso(clock.now())) if is_apart else None
        record = diary.Record(
            at=iso(clock.now()), took_s=round(clock.elapsed() - began, 3), outcome=met.outcome,
            said=met.said, hint=met.hint, asked=self._pokes.now, away=self._away,
            interval_s=self._pace.interval_s,
        )  # fmt: skip
        try:
            diary.note(workspace, record, met)
        except OSError as error:  # a full disk; the work of the meeting is elsewhere
            return met if not met.is_well else Met("failed", f"it cannot be noted: {error}")
        return met

    def _carried_out(self, within_s: float) -> Met:
        try:
            return self._meeting(self._workspace, within_s)
        except (WfledgerError, OSError) as error:
            return Met("failed", str(error), getattr(error, "hint", None))
        except Exception as error:  # noqa: BLE001 - a thread that ends here would sync no more
            return Met("failed", _unexpected(self._workspace, error))

    def _keep_pace(self, met: Met, began: float) -> None:
        if met.round_s is not None:
            # The winning round came last, and others will leave its place in the period free.
            began = self._workspace.clock.elapsed() - met.round_s if met.is_well else began
        interval = interval_of(self._workspace, before=self._pace.interval_s)
        if met.outcome != "lost":  # who was overtaken for long has had no turn, and is left one
            interval = self._stretched(interval)
        pace = Pace(interval, self._pace.met, self._pace.pushed, self._pace.failures)
        chance = int(self._workspace.clock.token()[:4], 16) / 0xFFFF
        if met.is_well:
            self._waiting = None
            self._pace = pace.after(began, pushed=met.pushed)
            return
        count = pace.failures + 1
        waited = 0.0 if self._waiting is None else began - self._waiting
        pause = away_s(count, interval, lease_s=self._lease_s(), chance=chance)
        if met.outcome in {"lost", "unknown"}:
            pause = overtaken_s(count, interval, age_s=waited, chance=chance)
        self._pace = pace.troubled(began, pause, pushed=met.pushed)

    def _stretched(self, interval: float) -> float:
        try:
            taken = rounds(self._workspace)
        except (WfledgerError, OSError):
            return interval
        return turns_s(taken, interval_s=interval, lease_s=self._lease_s())

    def _lease_s(self) -> float:
        try:
            return self._workspace.policy().lease_s
        except (WfledgerError, OSError):  # somebody is at ledger.json
            return Policy().lease_s

    def _has_changes(self) -> bool:
        """Whether the journal holds what the last meeting did not have before it."""
        empty = self._workspace.ledger.journal.is_empty()
        return not empty and _mark(self._workspace) != self._journal

    def _is_stopped(self) -> bool:
        try:
            return read_state(self._workspace.ledger.layout.local).stopped is not None
        except LedgerDamagedError:
            return False  # the meeting says so


def meet_here(
    workspace: Workspace, *, force: bool, meeting: Meeting = together
) -> Met | None:
    """Have one meeting, which somebody at a prompt waits for.

    None where another process of this machine syncs; without *force* also where it is too soon for
    a push, or the remote was away a moment ago.
    """
    try:
        lock = LiveLock(poking.lock_path(workspace), within_s=0)
    except BusyError:
        return None
    try:
        attending = Attending(workspace, meeting)
        if not force and (_was_away(workspace) or not attending.is_due()):
            return None
        return attending.meet(within_s=PROMPT_S)
    finally:
        lock.release()


def _unexpected(workspace: Workspace, error: Exception) -> str:
    """Return one line about a defect, with the file that has where it came from."""
    path = diary.note_failure(workspace, describe(error))
    said = clean_line(f"{type(error).__name__}: {error}", _LINE)
    return f"a defect of wfledger: {said}; the rest is in {path}"


def _was_away(workspace: Workspace) -> bool:
    record = diary.last(workspace)
    if record is None or record.outcome != "unreachable":
        return False
    ago = _ago(workspace, record.at)
    return ago is not None and ago < LONGEST_S


def _ago(workspace: Workspace, moment: str | None) -> float | None:
    """Return the seconds since *moment*; None where it is not known, or to come."""
    if moment is None:
        return None
    ago = (workspace.clock.now() - parse_iso(moment)).total_seconds()
    return ago if ago >= 0 else None


def _mark(workspace: Workspace) -> tuple[tuple[str, int], ...]:
    """Return what changes with every record of the journal."""
    found = []
    for path in workspace.ledger.journal.files():
        with suppress(FileNotFoundError):  # closed this moment, and there under another name
            found.append((path.name, path.stat().st_size))
    return tuple(found)
