"""Whether a history is one that the protocol allows: a task is a register, a step swaps it.

Pure. A ledger's history is a total order, so that it is linearizable where each step follows from
the one before it (`Checker`), and where the order agrees with what people and machines were told
and when (`told`). Steps are checked one by one, in little memory.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from wfledger.core.admission import Claimed, between
from wfledger.core.statuses import TRANSITIONS, Status, may_move_freely

Rule = Literal[
    "arrow", "order", "number", "attempt", "added", "claimed-twice", "handed-in-twice", "proof",
    "owner", "scope", "unacknowledged", "doubled", "vanished", "session", "time", "two-owners",
    "tip", "line", "trailer",
]  # fmt: skip

#: Reasons by which recovery puts a task where it belongs; no arrow is needed.
_REPAIRS: Final = ("rebuilt", "done without proof")
_FOUND: Final = "; found by doctor"
_CLAIM: Final = (Status.PENDING, Status.IN_PROGRESS)
_HANDED_IN: Final = (Status.IN_PROGRESS, Status.MERGING)
#: What only the machine may do that a task was granted to.
_OWN: Final = frozenset(
    {_CLAIM, _HANDED_IN, (Status.PENDING, Status.PENDING), (Status.IN_PROGRESS, Status.IN_PROGRESS)}
)


@dataclass(frozen=True)
class Fault:
    """One thing in a history that must not be."""

    rule: Rule
    #: A task, or a commit.
    subject: str
    message: str
    commit: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What the document of a task says after a step, as far as it matters here."""

    #: What it holds while it may be claimed or is worked on.
    held: Claimed | None = None
    #: Tasks that wait for it, whose scopes are no obstacle to it.
    above: frozenset[str] = frozenset()
    #: The machine that it is granted to.
    grant: str | None = None
    #: Whether it names its proof.
    proved: bool = True


@dataclass(frozen=True)
class Step:
    """One recorded transition; the source is None for a task that was added."""

    task: str
    source: Status | None
    target: Status
    attempt: int
    why: str
    #: The document's number after it; None where the record has none.
    seq: int | None = None
    by: str = ""
    #: Who brought it into the history, where several machines share the ledger.
    machine: str | None = None
    commit: str | None = None
    known: Known | None = None

    def __str__(self) -> str:
        """Return it as the history writes it."""
        source = self.source.value if self.source else "new"
        return f"{source} -> {self.target.value} attempt {self.attempt} ({self.why})"

    @property
    def repairs(self) -> bool:
        """Whether recovery made it, which no arrow binds."""
        return self.why.startswith(_REPAIRS) or self.why.endswith(_FOUND)

    @property
    def is_offer(self) -> bool:
        """Whether it grants the task: as an offer, or an accepted result to whoever lands it."""
        return self.source is Status.WAITING and self.target.holds_scope


@dataclass
class _Register:
    """A task as the steps so far have left it."""

    last: Step
    #: The machine that the present attempt was granted to, where that is known.
    owner: str | None = None
    #: Latest attempt that was claimed, and that was handed in.
    claimed: int = -1
    handed: int = -1


@dataclass
class Checker:
    """Takes the steps of one history in their order, and says what is wrong with each."""

    #: Whether the first steps are there; else a task that is met first is taken as it is.
    whole: bool = True
    folds_case: bool = False
    counts: "Counter[str]" = field(default_factory=Counter)
    _tasks: dict[str, _Register] = field(default_factory=dict)
    _held: dict[str, Known] = field(default_factory=dict)

    def take(self, step: Step) -> Iterator[Fault]:
        """Take the next step, and yield what is wrong with it."""
        register = self._tasks.get(step.task)
        yield from _of_arrow(step)
        if register is None:
            if self.whole and step.source is not None and not step.repairs:
                yield _fault("order", step, f"it was never added: {step}")
            register = self._tasks[step.task] = _Register(step)
        else:
            yield from _of_order(register.last, step)
            yield from _of_attempt(register.last, step)
        yield from _of_twice(register, step)
        yield from self._of_owner(register, step)
        yield from self._of_scope(step)
        if step.target is Status.DONE and step.known is not None and not step.known.proved:
            yield _fault("proof", step, "it is done, and nothing proves it")
        register.last = step
        self._count(step)

    def statuses(self) -> dict[str, Status]:
        """Return where the steps so far have left each task."""
        return {name: register.last.target for name, register in self._tasks.items()}

    def _of_owner(self, register: _Register, step: Step) -> Iterator[Fault]:
        """Hold the step against the grant, where machines share the ledger (WFL-HUB-010)."""
        owner, machine = register.owner, step.machine
        if step.is_offer or not step.target.holds_scope:
            granted = step.known.grant if step.known else None
            register.owner = (granted or machine) if step.target.holds_scope else None
        if owner is None or machine is None or machine == owner or step.repairs or step.is_offer:
            return
        facts = {"owner": owner, "machine": machine}
        if (step.source, step.target) in _OWN:
            message = f"{machine} did what attempt {step.attempt} was granted to {owner} for"
            yield _fault("owner", step, f"{message}: {step}", **facts)
        elif step.target is not Status.CANCELLED:
            self.counts["takeovers"] += 1
            if step.target.holds_scope:
                register.owner = machine

    def _of_scope(self, step: Step) -> Iterator[Fault]:
        if not step.target.holds_scope:
            self._held.pop(step.task, None)
            return
        known = step.known
        if known is None or known.held is None or step.task in self._held:
            return
        for name, other in self._held.items():
            if name in known.above or step.task in other.above or other.held is None:
                continue
            met = between(known.held, other.held, fold=self.folds_case)
            if met is not None:
                facts = {"holder": name, "witness": met.witness}
                yield _fault("scope", step, f"it was let in, though {met}", **facts)
        self._held[step.task] = known

    def _count(self, step: Step) -> None:
        self.counts["steps"] += 1
        if step.source is None:
            self.counts["added"] += 1
        if step.is_offer:
            self.counts["grants"] += 1
        if (step.source, step.target) == _CLAIM:
            self.counts["claims"] += 1
        if step.source is not step.target and step.target.is_final:
            self.counts[step.target.value] += 1


def _of_arrow(step: Step) -> Iterator[Fault]:
    source, target = step.source, step.target
    arrow = source is None or source is target or (source, target) in TRANSITIONS
    if not arrow and not step.repairs:
        yield _fault("arrow", step, f"no arrow leads so: {step}")


def _of_order(before: Step, step: Step) -> Iterator[Fault]:
    source = step.source
    if source is None and not step.repairs:
        yield _fault("added", step, f"added again: {step}")
    elif source not in {None, before.target} and not may_move_freely(before.target, source):
        yield _fault("order", step, f"{before} is followed by {step}")
    if step.seq is not None and before.seq is not None and step.seq - before.seq not in {0, 1}:
        yield _fault("number", step, f"number {before.seq} is followed by {step.seq}")


def _of_attempt(before: Step, step: Step) -> Iterator[Fault]:
    promoted = step.target is Status.PENDING and step.source is Status.WAITING
    # What no worker has done has an attempt all the same: of a controller, of a reused result.
    decided = step.source is Status.WAITING and step.target in {Status.WAITING, Status.DONE}
    allowed = {before.attempt + 1} if promoted else {before.attempt}
    allowed |= {before.attempt + 1} if decided else set()
    if step.attempt not in allowed and not (step.repairs and step.attempt >= before.attempt):
        message = f"attempt {before.attempt} became {step.attempt} by {step}"
        yield _fault("attempt", step, message)


def _of_twice(register: _Register, step: Step) -> Iterator[Fault]:
    """Yield claims of an attempt beyond the first, and results handed in beyond the first."""
    arrow = (step.source, step.target)
    if arrow == _CLAIM:
        if step.attempt <= register.claimed:
            yield _fault("claimed-twice", step, f"attempt {step.attempt} was claimed again")
        register.claimed = max(register.claimed, step.attempt)
    if arrow == _HANDED_IN:
        if step.attempt <= register.handed:
            yield _fault("handed-in-twice", step, f"attempt {step.attempt} was handed in again")
        register.handed = max(register.handed, step.attempt)


def _fault(rule: Rule, step: Step, message: str, **facts: Any) -> Fault:
    return Fault(rule, step.task, message, step.commit, {"attempt": step.attempt, **facts})


# -- what machines were told -----------------------------------------------------------------------

Key = tuple[str, Status | None, Status, int]


@dataclass(frozen=True)
class Told:
    """An operation on one machine: from when to when it ran, and what its caller was told."""

    machine: str
    task: str
    source: Status | None
    target: Status
    attempt: int
    #: On a clock that all machines share.
    begun: float
    #: None: nobody knows whether it came about.
    ended: float | None
    #: Whether the remote had it when that was told; else this machine alone.
    confirmed: bool = False

    @property
    def key(self) -> Key:
        """What it is called in the history."""
        return self.task, self.source, self.target, self.attempt

    def __str__(self) -> str:
        """Say it for people."""
        return str(Step(self.task, self.source, self.target, self.attempt, f"on {self.machine}"))


@dataclass(frozen=True)
class Lost:
    """A transition that a machine has given up, and why."""

    machine: str
    task: str
    target: Status
    attempt: int
    because: str


@dataclass
class _Positions:
    """At which places of the history a step lies."""

    of: dict[Key, list[int]] = field(default_factory=dict)

    @classmethod
    def within(cls, steps: Iterable[Step], wanted: frozenset[Key]) -> "_Positions":
        """Find what is *wanted*; a move without a record stands where the next step begins."""
        found = cls()
        at: dict[str, Status] = {}
        for number, step in enumerate(steps):
            before, source = at.get(step.task), step.source
            keys = [(step.task, source, step.target, step.attempt)]
            if source is not None and before is not None and may_move_freely(before, source):
                keys.append((step.task, before, source, step.attempt))
            for key in wanted.intersection(keys):
                found.of.setdefault(key, []).append(number)
            at[step.task] = step.target
        return found


def told(steps: Iterable[Step], said: Iterable[Told], lost: Iterable[Lost]) -> Iterator[Fault]:
    """Yield where a history contradicts what machines were told of it.

    What was confirmed is there exactly once; what was only said here is there, or was given up for
    a reason; no attempt was given to two; and the order is that of each machine and, of what was
    confirmed, that of time.
    """
    listed, given_up = list(said), list(lost)
    places = _Positions.within(steps, frozenset(one.key for one in listed))
    reasons = {(one.machine, one.task, one.target, one.attempt): one for one in given_up}
    for lost_one in given_up:
        if not lost_one.because:
            yield _of_told("vanished", lost_one, "it was given up without a reason")
    for one in listed:
        yield from _of_presence(one, places.of.get(one.key, []), reasons)
    yield from _of_owners(listed)
    yield from _of_time(listed, places)


def _of_presence(
    one: Told, there: list[int], reasons: dict[tuple[str, str, Status, int], Lost]
) -> Iterator[Fault]:
    if one.ended is None:
        return
    if one.confirmed and not there:
        yield _of_told("unacknowledged", one, f"it was confirmed and is not there: {one}")
    elif not there and (one.machine, one.task, one.target, one.attempt) not in reasons:
        yield _of_told("vanished", one, f"it was said, and nobody says why it is not there: {one}")
    if len(there) > 1 and one.source is not one.target:
        yield _of_told("doubled", one, f"it is there {len(there)} times: {one}")


def _of_owners(said: list[Told]) -> Iterator[Fault]:
    owners: dict[tuple[str, int], str] = {}
    for one in said:
        if (one.source, one.target) != _CLAIM or one.ended is None:
            continue
        first = owners.setdefault((one.task, one.attempt), one.machine)
        if first != one.machine:
            message = f"attempt {one.attempt} was given on {first} and on {one.machine}"
            yield _of_told("two-owners", one, message)


def _of_time(said: list[Told], places: _Positions) -> Iterator[Fault]:
    """Yield what is told of in another order than it came about in.

    Each machine by itself, whatever it said; and all of them together, of what was confirmed: what
    had been confirmed before something else began comes before it.
    """
    known = [
        (one, places.of[one.key][0]) for one in said
        if one.ended is not None and len(places.of.get(one.key, [])) == 1
    ]  # fmt: skip
    for machine in sorted({one.machine for one, _ in known}):
        own = [pair for pair in known if pair[0].machine == machine]
        yield from _of_order_in_time("session", own)
    sure = [pair for pair in known if pair[0].confirmed]
    yield from _of_order_in_time("time", sure)


def _of_order_in_time(rule: Rule, known: list[tuple[Told, int]]) -> Iterator[Fault]:
    by_end = sorted(known, key=lambda pair: pair[0].ended or 0.0)
    latest: tuple[Told, int] | None = None
    at = 0
    for one, place in sorted(known, key=lambda pair: pair[0].begun):
        while at < len(by_end) and (by_end[at][0].ended or 0.0) < one.begun:
            if latest is None or by_end[at][1] > latest[1]:
                latest = by_end[at]
            at += 1
        if latest is not None and latest[1] > place:
            yield _of_told(rule, one, f"{one} comes before {latest[0]}, which had ended before")


def _of_told(rule: Rule, one: Told | Lost, message: str) -> Fault:
    facts = {"attempt": one.attempt, "machine": one.machine}
    return Fault(rule, one.task, message, facts=facts)
