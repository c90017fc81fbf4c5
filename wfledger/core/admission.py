"""Which waiting tasks may go on offer now, and what stands in the way of the others.

Pure. Promotion reserves a task's scope, so what is held is pairwise disjoint but for what is below
who waits for it; a claim then needs no knowledge (spec 40, "Admission"). All patterns of a task are
taken together or not at all, hence no deadlock.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from wfledger.core.bounds import WINDOW_MIN
from wfledger.core.documents import Task
from wfledger.core.routes import NoRoute
from wfledger.core.scopes import Pattern, collide, parse_all
from wfledger.core.segments import is_wild

_WHOLE: Final = "**"
Limited = Literal["run_limit", "class_limit", "role_limit"]


@dataclass(frozen=True)
class Claimed:
    """What one task holds: its patterns and its labels."""

    task_id: str
    patterns: tuple[Pattern, ...]
    contracts: frozenset[str]

    @classmethod
    def of(cls, task: Task) -> "Claimed":
        """Return what *task* holds while it is on offer, in progress or merging.

        A candidate holds nothing, for its result is kept and lands by itself nowhere: those of one
        choice may all write the same (WFL-CTRL-065).
        """
        if task.spec.candidate_of is not None:
            return cls(task.id, (), frozenset())
        return cls(task.id, parse_all(task.spec.write), frozenset(task.spec.contracts))

    @cached_property
    def roots(self) -> frozenset[str] | None:
        """What its paths begin with, where those are names and no patterns; None: anything."""
        firsts = frozenset(pattern.segments[0] for pattern in self.patterns)
        return None if any(map(is_wild, firsts)) else firsts

    @property
    def is_whole(self) -> bool:
        """Whether it holds the whole repository."""
        return any(pattern.text == _WHOLE for pattern in self.patterns)


@dataclass(frozen=True)
class Obstacle:
    """Why a task may not start: who is in the way, and over what."""

    kind: Literal[
        "scope", "contract", "reserved", "limit", "run_limit", "class_limit", "role_limit",
        "provider",
    ]
    holder: str | None = None
    left: str | None = None
    right: str | None = None
    #: A path that both would write, the label, whose limit it is, or why no model takes it.
    witness: str | None = None

    def __str__(self) -> str:
        """Say it in one sentence."""
        if self.kind in {"scope", "reserved"}:
            verb = "holds" if self.kind == "scope" else "has reserved, having waited long,"
            said = f"{self.holder} {verb} {self.right}"
            if self.left == self.right:
                return said
            return f"{said}; it and {self.left} both cover {self.witness}"
        if self.kind == "contract":
            return f"{self.holder} holds the label {self.witness}"
        if self.kind == "provider":
            return str(self.witness)
        return {
            "limit": "enough offers are open already, and every slot is taken",
            "run_limit": "the run's max_concurrent is reached",
            "class_limit": f"the limit of the class {self.witness} (policy.classes) is reached",
            "role_limit": f"the slots of the role {self.witness} (fleet.toml) are taken",
        }[self.kind]


@dataclass(frozen=True)
class Loan:
    """What the workers above a task hold while they wait for its run: it may have that besides."""

    #: How many slots more, by the kind of the limit (`provider`: of an account) and its name.
    slots: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: Tasks whose scopes and labels do not stand in its way: it writes nothing that they may not.
    holders: frozenset[str] = frozenset()


_NO_LOAN: Final = Loan()


@dataclass(frozen=True)
class Admission:
    """The decisions of one pass."""

    #: To be promoted, in order.
    promote: tuple[Task, ...]
    #: Task id -> what stands in its way.
    waits: dict[str, Obstacle]
    #: Tasks that were passed by one that overlaps them, and how often in this pass.
    overtaken: dict[str, int]


@dataclass
class Room:
    """How many more tasks may go on offer: in all, and of each run, class and role.

    What is absent has no limit. A task for people takes no slot and so no room, but for that of a
    window of its own and of the class that it names; an accepted result needs none at all.
    """

    total: int
    runs: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    roles: dict[str, int] = field(default_factory=dict)
    manual: int = WINDOW_MIN
    #: The role that runs a prompt which names none.
    default_role: str | None = None
    #: Of accounts with providers of models; those at work hold their slots already.
    accounts: dict[str, int] = field(default_factory=dict)
    #: Which account a task would use while these are full, or why it has none; None: it needs none.
    route: Callable[[Task, frozenset[str]], str | NoRoute | None] | None = None
    #: What is lent to a task; None: nothing to any (WFL-AUTH-007).
    lent: Callable[[Task], Loan] | None = None

    def is_full(self, task: Task) -> bool:
        """Whether no more like *task* go on offer, whatever it is."""
        if task.accepted is not None:
            return False
        return (self.manual if task.spec.manual else self.total) <= 0

    def obstacle(self, task: Task) -> Obstacle | None:
        """Return the limit that stands in the way of *task*."""
        if task.accepted is not None:
            return None
        for kind, room, name in self._kinds(task):
            if room.get(name, 1) + self.loan(task).slots.get((kind, name), 0) <= 0:
                return Obstacle(kind, witness=name)
        account = self._account(task)
        if isinstance(account, NoRoute):
            return Obstacle("provider", witness=account.message)
        return None

    def loan(self, task: Task) -> Loan:
        """Return what *task* may have of those that wait for it."""
        return _NO_LOAN if self.lent is None else self.lent(task)

    def take(self, task: Task) -> None:
        """Count *task* as offered, or as at work already; limits may be passed by that."""
        if task.accepted is not None:
            return
        if task.spec.manual:
            self.manual -= 1
        else:
            self.total -= 1
        account = self._account(task)
        if isinstance(account, str) and account in self.accounts:
            self.accounts[account] -= 1
        self.take_limits(task)

    def take_limits(self, task: Task, *, here: bool = True) -> None:
        """Count *task*, which is at work: it is on offer no more.

        What is not *here* takes nothing of the slots that this machine has for a role.
        """
        for kind, room, name in self._kinds(task):
            if name in room and (here or kind != "role_limit"):
                room[name] -= 1

    def _account(self, task: Task) -> str | NoRoute | None:
        more = self.loan(task).slots
        full = frozenset(
            name for name, left in self.accounts.items()
            if left + more.get(("provider", name), 0) <= 0
        )  # fmt: skip
        return self.route(task, full) if self.route is not None else None

    def _kinds(self, task: Task) -> Iterator[tuple[Limited, dict[str, int], str]]:
        spec = task.spec
        if not spec.manual:
            yield "run_limit", self.runs, task.run
        if spec.class_ is not None:
            yield "class_limit", self.classes, spec.class_
        role = spec.role or self.default_role
        if spec.prompt is not None and role is not None:
            yield "role_limit", self.roles, role


def lacking(task: Task, offers: frozenset[str]) -> tuple[str, ...]:
    """Return what *task* needs and no worker offers (WFL-SCOPE-032)."""
    return tuple(sorted(set(task.spec.needs) - offers))


def in_order(tasks: Iterable[Task]) -> list[Task]:
    """Return *tasks* as they are considered: higher priority first, then older, then by id."""
    return sorted(tasks, key=lambda task: (-task.spec.priority, task.created, task.id))


def between(mine: Claimed, other: Claimed, *, fold: bool = False) -> Obstacle | None:
    """Return what *mine* and *other* both want, or None."""
    shared = mine.contracts & other.contracts
    if shared:
        return Obstacle("contract", other.task_id, witness=min(shared))
    if not mine.patterns or not other.patterns:
        return None
    found = collide(mine.patterns, other.patterns, fold=fold)
    if found is None:
        return None
    return Obstacle("scope", other.task_id, found.left.text, found.right.text, found.witness)


def admit(
    candidates: Sequence[Task],
    held: Sequence[Claimed],
    *,
    room: Room,
    overtake: int,
    fold: bool = False,
) -> Admission:
    """Decide about *candidates*, whose dependencies are settled, in the order given.

    A candidate that was overtaken *overtake* times reserves its scope: nobody who overlaps it goes
    first any more; one reservation of the whole repository is active at a time (WFL-SCOPE-031).
    """
    taken, reserved, waiting = _Held(held, fold=fold), _Held(fold=fold), _Held(fold=fold)
    promote: list[Task] = []
    waits: dict[str, Obstacle] = {}
    overtaken: dict[str, int] = {}
    for task in candidates:
        if room.is_full(task):
            waits[task.id] = Obstacle("limit")
            continue
        mine = Claimed.of(task)
        lenders = room.loan(task).holders
        if lenders:
            # What lies within a scope that is held keeps nobody waiting longer than that does.
            obstacle = taken.first(mine, but=lenders)
        else:
            obstacle = taken.first(mine) or _reservation(mine, reserved)
        if obstacle is not None and obstacle.kind != "reserved":
            waiting.add(mine)
            if task.overtaken >= overtake and not (mine.is_whole and reserved.has_whole):
                reserved.add(mine)
        obstacle = obstacle or room.obstacle(task)
        if obstacle is not None:
            waits[task.id] = obstacle
            continue
        for passed in waiting.near(mine):
            if between(mine, passed, fold=fold):
                overtaken[passed.task_id] = overtaken.get(passed.task_id, 0) + 1
        taken.add(mine)
        room.take(task)
        promote.append(task)
    return Admission(tuple(promote), waits, overtaken)


class _Held:
    """What tasks hold, found by what their paths begin with; in the order in which it came."""

    def __init__(self, held: Iterable[Claimed] = (), *, fold: bool) -> None:
        self._fold = fold
        self._all: list[Claimed] = []
        #: What may begin with anything; the others by the first name of each path, and by label.
        self._anywhere: list[int] = []
        self._below: dict[str, list[int]] = {}
        self._labelled: dict[str, list[int]] = {}
        self.has_whole = False
        for one in held:
            self.add(one)

    def add(self, one: Claimed) -> None:
        place = len(self._all)
        self._all.append(one)
        self.has_whole |= one.is_whole
        if one.roots is None:
            self._anywhere.append(place)
        for root in one.roots or ():
            self._below.setdefault(root, []).append(place)
        for label in one.contracts:
            self._labelled.setdefault(label, []).append(place)

    def near(self, mine: Claimed) -> Iterable[Claimed]:
        """Return all that could be in the way of *mine*, and more only where names are folded."""
        if not mine.patterns and not mine.contracts:
            return ()
        if self._fold or mine.roots is None:
            return self._all
        places = set(self._anywhere)
        places.update(*(self._below.get(root, ()) for root in mine.roots))
        places.update(*(self._labelled.get(label, ()) for label in mine.contracts))
        return [self._all[place] for place in sorted(places)]

    def first(self, mine: Claimed, *, but: Collection[str] = ()) -> Obstacle | None:
        """Return what is in the way of *mine*; what those of *but* hold is not."""
        others = (one for one in self.near(mine) if one.task_id not in but)
        found = (between(mine, other, fold=self._fold) for other in others)
        return next((one for one in found if one is not None), None)


def _reservation(mine: Claimed, reserved: _Held) -> Obstacle | None:
    found = reserved.first(mine)
    if found is None:
        return None
    return Obstacle("reserved", found.holder, found.left, found.right, found.witness)
