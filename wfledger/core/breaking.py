"""A provider's circuit breaker and slots, as values: what its troubles and successes lead to.

Pure. Auth, balance and quota open it until the provider or a person says otherwise; a rate limit
takes a slot away; overload is waited out. Moments are wall time in UTC, ISO 8601, since the state
outlives processes (spec 66, "Breakers").
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from wfledger.clock import iso, parse_iso

#: What a provider can be in trouble with. `quota` includes a used up balance.
Trouble = Literal["auth", "quota", "rate", "overload"]
#: Of these only a person, or the moment that the provider names, lets work go on.
TERMINAL: Final = frozenset({"auth", "quota"})
#: Slots are taken away at most so often, and come back one by one after so much quiet.
SHRINK_S: Final = 2.0
GROW_S: Final = 180.0
#: How long an overload is waited out: doubled each time, up to a bound.
COOL_S: Final = 10.0
COOL_MAX_S: Final = 300.0
#: A moment further away is a clock that has jumped, or nonsense of a server.
LONGEST_S: Final = 8 * 86_400.0


@dataclass(frozen=True)
class Opened:
    """Why nothing new is started on a provider."""

    kind: Trouble
    #: In the provider's own words.
    message: str
    since: str
    #: None: until a person closes it.
    until: str | None = None


@dataclass(frozen=True)
class Breaker:
    """What this machine knows of a provider's state."""

    opened: Opened | None = None
    #: Attempts at once that its rate limits have left; None: as configured.
    limit: int | None = None
    #: When the limit was changed last, or a rate limit met.
    limited: str | None = None
    #: Overloads since the last success.
    overloads: int = 0

    @property
    def is_pristine(self) -> bool:
        """Whether there is nothing to remember."""
        return self == Breaker()

    def is_open(self, now: datetime) -> bool:
        """Whether nothing may be started now."""
        return self.opened is not None and not _is_past(self.opened.until, now)

    def is_probing(self, now: datetime) -> bool:
        """Whether the moment has come to try again, with one attempt."""
        return self.opened is not None and not self.is_open(now)

    def slots(self, configured: int | None, now: datetime) -> int | None:
        """Return how many attempts there may be at once; None where nothing limits them."""
        if self.opened is not None:
            return 0 if self.is_open(now) else 1
        limits = [n for n in (configured, self.grown(now)) if n is not None]
        return min(limits, default=None)

    def grown(self, now: datetime) -> int | None:
        """Return the limit with a slot for each stretch of quiet since the last rate limit."""
        if self.limit is None or self.limited is None:
            return self.limit
        return self.limit + max(0, int(_seconds(self.limited, now) // GROW_S))


def troubled(
    state: Breaker, kind: Trouble, message: str, *, now: datetime, in_flight: int,
    retry_after_s: float | None = None,
) -> Breaker:  # fmt: skip
    """Return what *state* becomes after a trouble; *in_flight* counts what ran then, itself too.

    What a person has to see is not hidden by a lesser trouble of an attempt that ran on.
    """
    after = min(retry_after_s, LONGEST_S) if retry_after_s else None
    if kind in TERMINAL:
        # No time makes a wrong key right.
        until = None if kind == "auth" else after
        return _refused(state, _opened(kind, message, now, until), now)
    if kind == "rate":
        state = _shrunk(state, now, in_flight)
        return state if after is None else _cooled(state, _opened(kind, message, now, after), now)
    if state.is_open(now) and after is None:
        return state  # others of the same storm
    count = state.overloads + 1
    cool = after or min(COOL_MAX_S, COOL_S * 2 ** (count - 1))
    return _cooled(replace(state, overloads=count), _opened(kind, message, now, cool), now)


def succeeded(state: Breaker, *, now: datetime) -> Breaker:
    """Return what *state* becomes when an attempt got its answers.

    One that was begun before a trouble says nothing of what came after: only a probe closes.
    """
    if state.opened is not None:
        return replace(state, opened=None, overloads=0) if state.is_probing(now) else state
    return replace(state, overloads=0)


def _refused(state: Breaker, made: Opened, now: datetime) -> Breaker:
    """Open for a refusal; of one that lasts already only a moment that is named now is new."""
    before = state.opened
    if before is not None and before.kind == made.kind and state.is_open(now):
        made = replace(before, until=made.until or before.until)
    return replace(state, opened=made)


def _opened(kind: Trouble, message: str, now: datetime, after: float | None) -> Opened:
    until = None if after is None else iso(now + timedelta(seconds=after))
    return Opened(kind, message, iso(now), until)


def _cooled(state: Breaker, made: Opened, now: datetime) -> Breaker:
    """Close for a while, unless it is closed for longer, or refuses everybody, already."""
    before = state.opened
    if before is None or not state.is_open(now):
        return replace(state, opened=made)
    is_more = before.kind in TERMINAL or (before.until or "") >= (made.until or "")
    return state if is_more else replace(state, opened=made)


def _shrunk(state: Breaker, now: datetime, in_flight: int) -> Breaker:
    """Take away one of the slots that were in use: once in `SHRINK_S`, and never the last."""
    if state.limited is not None and 0 <= _seconds(state.limited, now) < SHRINK_S:
        return state
    present = state.grown(now)
    used = in_flight if present is None else min(present, max(in_flight, 1))
    return replace(state, limit=max(1, used - 1), limited=iso(now))


def _is_past(until: str | None, now: datetime) -> bool:
    """Whether a moment has come; one beyond reason counts as past, none never comes."""
    if until is None:
        return False
    moment = parse_iso(until)
    return moment <= now or moment > now + timedelta(seconds=LONGEST_S + 60)


def _seconds(since: str, now: datetime) -> float:
    return (now - parse_iso(since)).total_seconds()
