"""Sound histories are found sound, and each way of spoiling one is seen."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import pytest

from wfledger.core.admission import Claimed
from wfledger.core.linear import Checker, Fault, Known, Lost, Step, Told, told
from wfledger.core.scopes import parse_all
from wfledger.core.statuses import Status, may_move_freely

W, P, I, M, D, B, C = (  # noqa: E741 - the letters of the table of transitions
    Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.MERGING, Status.DONE, Status.BLOCKED,
    Status.CANCELLED,
)  # fmt: skip
MACHINES = ("m1", "m2", "m3")
TASKS = 6


class World:
    """Lives sound lives: each task by itself, all of them in one order."""

    def __init__(self, draw: Random) -> None:
        self.steps: list[Step] = []
        self.said: list[Told] = []
        self._draw = draw
        self._owner: dict[str, str] = {}

    def live(self) -> None:
        """Add tasks and bring each to an end, one step of one at a time."""
        lives = [self._task(f"r.t{number}") for number in range(TASKS)]
        while lives:
            life = self._draw.choice(lives)
            if next(life, None) is None:
                lives.remove(life)

    def _task(self, name: str) -> Iterator[bool]:
        attempt, open_ = 0, True
        self._do(name, None, W, 0, self._draw.choice(MACHINES))
        yield True
        while open_:
            attempt += 1
            owner = self._draw.choice(MACHINES)
            stranger = self._draw.choice([one for one in MACHINES if one != owner])
            self._do(name, W, P, attempt, owner, sure=True)
            yield True
            end = self._draw.choice(["withdrawn", "lost", "failed", "cancelled", "done", "done", "done"])
            if end == "withdrawn":
                self._do(name, P, W, attempt, self._draw.choice([owner, stranger]))
                yield True
                continue
            self._do(name, P, I, attempt, owner)
            yield True
            self._do(name, I, I, attempt, owner)
            yield True
            if end in {"lost", "failed"}:
                self._do(name, I, W, attempt, stranger if end == "lost" else owner, sure=end == "lost")
            elif end == "cancelled":
                self._do(name, I, C, attempt, stranger)
                open_ = False
            else:
                self._do(name, I, M, attempt, owner)
                yield True
                self._do(name, M, D, attempt, owner, sure=True)
                open_ = False
            yield True

    def _do(
        self, name: str, source: Status | None, target: Status, attempt: int, machine: str, *,
        sure: bool = False,
    ) -> None:  # fmt: skip
        held = Claimed(name, parse_all((f"src/{name}",)), frozenset())
        known = Known(held=held, grant=machine) if target.holds_scope and source is W else None
        self.steps.append(Step(name, source, target, attempt, "why", machine=machine, known=known))
        at = 2.0 * len(self.steps)
        if source is not target:
            self.said.append(Told(machine, name, source, target, attempt, at, at + 1, sure))


def _world(draw: Random) -> World:
    world = World(draw)
    while not any(step.target is D for step in world.steps):
        world = World(draw)
        world.live()
    return world


def _rules(steps: list[Step]) -> set[str]:
    checker = Checker()
    return {fault.rule for step in steps for fault in checker.take(step)}


def _said(world: World, lost: tuple[Lost, ...] = ()) -> list[Fault]:
    return list(told(world.steps, world.said, lost))


@pytest.mark.requirement("WFL-HUB-125")
@pytest.mark.requirement("WFL-HUB-127")
def test_sound_history_is_sound() -> None:
    for seed in range(60):
        world = _world(Random(seed))
        assert _rules(world.steps) == set(), seed
        assert _said(world) == [], seed


def _at(steps: list[Step], source: Status | None, target: Status, draw: Random) -> int:
    return draw.choice([n for n, one in enumerate(steps) if (one.source, one.target) == (source, target)])


def _twice(source: Status | None, target: Status) -> Callable[[list[Step], Random], None]:
    def spoil(steps: list[Step], draw: Random) -> None:
        at = _at(steps, source, target, draw)
        steps.insert(at + 1, steps[at])

    return spoil


def _gone(source: Status | None, target: Status) -> Callable[[list[Step], Random], None]:
    def spoil(steps: list[Step], draw: Random) -> None:
        del steps[_at(steps, source, target, draw)]

    return spoil


def _other(source: Status | None, end: Status, **values: object) -> Callable[[list[Step], Random], None]:
    def spoil(steps: list[Step], draw: Random) -> None:
        at = _at(steps, source, end, draw)
        steps[at] = replace(steps[at], **values)  # type: ignore[arg-type]

    return spoil


def _raised(by: int, source: Status, target: Status) -> Callable[[list[Step], Random], None]:
    def spoil(steps: list[Step], draw: Random) -> None:
        at = _at(steps, source, target, draw)
        steps[at] = replace(steps[at], attempt=steps[at].attempt + by)

    return spoil


def _late(steps: list[Step], draw: Random) -> None:
    """Let the old owner hand in after its attempt was ended and another has begun."""
    lost = _at(steps, I, M, draw)
    one = steps[lost]
    again = replace(one, source=W, target=P, attempt=one.attempt + 1, machine="m9", known=None)
    claim = replace(again, source=P, target=I)
    steps[lost : lost + 1] = [replace(one, target=W, machine="m9"), again, claim, one]


def _overlapping(steps: list[Step], draw: Random) -> None:
    at = _at(steps, W, P, draw)
    known = Known(Claimed("r.big", parse_all(("src/**",)), frozenset()), grant="m1")
    big = Step("r.big", W, P, 1, "why", machine="m1", known=known)
    steps[at + 1 : at + 1] = [replace(big, source=None, target=W, attempt=0, known=None), big]


MUTANTS: dict[str, tuple[Callable[[list[Step], Random], None], str]] = {
    "added twice": (_twice(None, W), "added"),
    "never added": (_gone(None, W), "order"),
    "promoted twice": (_twice(W, P), "order"),
    "never promoted": (_gone(W, P), "order"),
    "claimed twice": (_twice(P, I), "claimed-twice"),
    "handed in twice": (_twice(I, M), "handed-in-twice"),
    "done twice": (_twice(M, D), "order"),
    "no arrow": (_other(I, M, target=D), "arrow"),
    "attempt not raised": (_raised(-1, W, P), "attempt"),
    "attempt raised by two": (_raised(1, W, P), "attempt"),
    "attempt raised by a claim": (_raised(1, P, I), "attempt"),
    "attempt raised at the end": (_raised(1, M, D), "attempt"),
    "claimed elsewhere": (_other(P, I, machine="m9"), "owner"),
    "handed in elsewhere": (_other(I, M, machine="m9"), "owner"),
    "changed elsewhere": (_other(I, I, machine="m9"), "owner"),
    "handed in too late": (_late, "attempt"),
    "done without proof": (_other(M, D, known=Known(proved=False)), "proof"),
    "overlapping": (_overlapping, "scope"),
}


@pytest.mark.requirement("WFL-HUB-125")
@pytest.mark.requirement("WFL-HUB-126")
@pytest.mark.parametrize("name", MUTANTS)
def test_spoilt_history_is_seen(name: str) -> None:
    spoil, rule = MUTANTS[name]
    for seed in range(12):
        draw = Random(seed)
        steps = _world(draw).steps
        spoil(steps, draw)
        assert rule in _rules(steps), (seed, _rules(steps))


def test_gap_in_the_numbers_is_seen() -> None:
    steps = [Step("r.a", None, W, 0, "x", seq=1), Step("r.a", W, W, 0, "x", seq=3)]
    assert _rules(steps) == {"number"}


def test_takeover_gives_the_task_away_and_is_counted() -> None:
    steps = [
        Step("r.a", None, W, 0, "x", machine="m1"), Step("r.a", W, P, 1, "x", machine="m1"),
        Step("r.a", P, W, 1, "silent", machine="m2"), Step("r.a", W, P, 2, "x", machine="m2"),
        Step("r.a", P, I, 2, "x", machine="m2"),
    ]  # fmt: skip
    checker = Checker()
    assert [fault for step in steps for fault in checker.take(step)] == []
    assert checker.counts["takeovers"] == 1
    assert checker.statuses() == {"r.a": I}


def test_rebuilt_task_may_be_anywhere_with_a_higher_attempt_and_never_a_lower_one() -> None:
    first = [Step("r.a", None, W, 0, "added"), Step("r.a", W, P, 1, "promoted")]
    assert _rules([*first, Step("r.a", None, W, 3, "rebuilt")]) == set()
    assert _rules([*first, Step("r.a", None, W, 0, "rebuilt")]) == {"attempt"}


def test_task_of_a_run_that_somebody_waits_for_may_write_what_he_holds() -> None:
    both = {name: Claimed(name, parse_all(("src/**",)), frozenset()) for name in ("r.a", "q.b")}
    steps = [
        Step("r.a", None, W, 0, "x"), Step("r.a", W, P, 1, "x", known=Known(both["r.a"])),
        Step("q.b", None, W, 0, "x"),
        Step("q.b", W, P, 1, "x", known=Known(both["q.b"], above=frozenset({"r.a"}))),
    ]  # fmt: skip
    assert _rules(steps) == set()


def test_history_that_begins_later_takes_its_first_steps_as_they_are() -> None:
    checker = Checker(whole=False)
    steps = [Step("r.a", I, M, 4, "x"), Step("r.a", M, D, 4, "x")]
    assert [fault for step in steps for fault in checker.take(step)] == []


# -- what was told ---------------------------------------------------------------------------------


def _is_free(one: Told) -> bool:
    return one.source is not None and may_move_freely(one.source, one.target)


def _first(world: World, *, sure: bool) -> Told:
    """Return something that was said and that nobody could have done without a record."""
    return next(
        one for one in world.said
        if one.confirmed is sure and one.source is not one.target and not _is_free(one)
    )  # fmt: skip


def _forget(world: World, one: Told) -> None:
    world.steps = [step for step in world.steps if (step.task, step.source, step.target, step.attempt) != one.key]


def _drop_confirmed(world: World) -> None:
    _forget(world, _first(world, sure=True))


def _drop_shown(world: World) -> None:
    _forget(world, _first(world, sure=False))


def _double(world: World) -> None:
    key = _first(world, sure=False).key
    at = next(n for n, step in enumerate(world.steps) if (step.task, step.source, step.target, step.attempt) == key)
    world.steps.insert(at, world.steps[at])


def _swap_in_session(world: World) -> None:
    one, other = [one for one in world.said if one.machine == world.said[0].machine][:2]
    at = world.said.index(one)
    world.said[at] = replace(one, begun=other.begun + 100, ended=other.begun + 101)


def _swap_in_time(world: World) -> None:
    sure = [one for one in world.said if one.confirmed]
    late = replace(sure[0], machine="elsewhere", begun=1e6, ended=1e6 + 1)
    world.said = [replace(sure[-1], machine="here"), late]


def _two_owners(world: World) -> None:
    one = next(one for one in world.said if (one.source, one.target) == (P, I))
    world.said.append(replace(one, machine="elsewhere"))


TELLINGS: dict[str, tuple[Callable[[World], None], str]] = {
    "confirmed and gone": (_drop_confirmed, "unacknowledged"),
    "said and gone": (_drop_shown, "vanished"),
    "there twice": (_double, "doubled"),
    "another order on a machine": (_swap_in_session, "session"),
    "another order in time": (_swap_in_time, "time"),
    "given to two": (_two_owners, "two-owners"),
}


@pytest.mark.requirement("WFL-HUB-127")
@pytest.mark.parametrize("name", TELLINGS)
def test_history_that_contradicts_what_was_told_is_seen(name: str) -> None:
    spoil, rule = TELLINGS[name]
    for seed in range(12):
        world = _world(Random(seed))
        spoil(world)
        assert rule in {fault.rule for fault in _said(world)}, seed


@pytest.mark.requirement("WFL-HUB-127")
def test_what_was_given_up_for_a_reason_need_not_be_there_and_without_one_is_seen() -> None:
    world = _world(Random(3))
    one = _first(world, sure=False)
    _forget(world, one)
    lost = Lost(one.machine, one.task, one.target, one.attempt, "the remote has another")
    assert _said(world, (lost,)) == []
    assert [fault.rule for fault in _said(world, (replace(lost, because=""),))] == ["vanished"]


def test_what_nobody_was_told_the_outcome_of_may_be_there_or_not() -> None:
    world = _world(Random(5))
    one = _first(world, sure=True)
    world.said[world.said.index(one)] = replace(one, ended=None)
    assert _said(world) == []
    _forget(world, one)
    assert _said(world) == []
