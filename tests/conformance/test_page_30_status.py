"""Pages 30 and 60 where they decide: order of a move, promotion, dependencies, retries."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import faults, processes
from tests.support.clock import START, FakeClock
from tests.support.ledgers import make_ledger, make_task, open_ledger, put, record
from wfledger import errors
from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.admission import Claimed, Room, admit, in_order
from wfledger.core.documents import Attempt, Hold, Retry, Task, TaskSpec
from wfledger.core.graph import Standing, readiness
from wfledger.core.statuses import TRANSITIONS, Actor, Status
from wfledger.store.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path)


def writer(task_id: str, *write: str, contracts: tuple[str, ...] = (), **fields: object) -> Task:
    spec = TaskSpec(command="true", write=write, contracts=contracts)
    return make_task(task_id, spec=spec, **fields)


def after(*others: str) -> Task:
    return make_task("r1.z", spec=TaskSpec(command="true", after=others))


@pytest.mark.requirement("WFL-STATUS-001")
def test_document_does_not_say_its_status(ledger: Ledger) -> None:
    put(ledger, Status.WAITING, "r1.a")
    assert b"waiting" not in ledger.layout.task(Status.WAITING, "r1.a").read_bytes()
    assert "status" not in Task.model_fields


@pytest.mark.requirement("WFL-STATUS-002")
@pytest.mark.requirement("WFL-STATUS-003")
def test_task_enters_through_waiting_and_is_in_one_folder_ever_after(ledger: Ledger) -> None:
    with ledger.transaction("author") as changes:
        changes.add(make_task("r1.a"))
    assert _places(ledger) == [Status.WAITING]
    for target, actor in (
        (Status.PENDING, Actor.SCHEDULER),
        (Status.WAITING, Actor.SCHEDULER),
        (Status.CANCELLED, Actor.PERSON),
    ):
        with ledger.transaction("test") as changes:
            changes.move("r1.a", target, actor=actor, why="test")
        assert _places(ledger) == [target]


def _places(ledger: Ledger) -> list[Status]:
    return [status for status in Status if ledger.names(status)]


@pytest.mark.requirement("WFL-STATUS-004")
def test_task_that_moves_against_the_stream_is_found_by_another_look(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(ledger, Status.BLOCKED, "r1.a")
    plain = ledger.load

    def load(status: Status, task_id: str) -> object:
        if status is Status.BLOCKED:
            (ledger.layout.root / "waiting" / "r1").mkdir(exist_ok=True)
            ledger.layout.task(Status.BLOCKED, "r1.a").rename(
                ledger.layout.task(Status.WAITING, "r1.a")
            )
            monkeypatch.setattr(ledger, "load", plain)
            raise FileNotFoundError
        return plain(status, task_id)

    monkeypatch.setattr(ledger, "load", load)
    assert ledger.get("r1.a").status is Status.WAITING


@pytest.mark.requirement("WFL-STATUS-005")
@pytest.mark.parametrize("source", list(Status), ids=lambda status: status.value)
def test_no_move_is_made_but_by_an_arrow_and_its_actors(ledger: Ledger, source: Status) -> None:
    put(ledger, source, "r1.a")
    before = ledger.layout.task(source, "r1.a").read_bytes()
    for target in Status:
        arrow = TRANSITIONS.get((source, target))
        for actor in Actor:
            if arrow is not None and actor in arrow.actors:
                continue
            with pytest.raises(errors.TransitionError), ledger.transaction("test") as changes:
                changes.move("r1.a", target, actor=actor, why="test")
    assert ledger.layout.task(source, "r1.a").read_bytes() == before
    assert _places(ledger) == [source]


def _move(folder: Path, source: str, target: str) -> None:
    actors = TRANSITIONS[Status(source), Status(target)].actors
    with open_ledger(folder).transaction("test") as changes:
        changes.move("r1.a", Status(target), actor=min(actors), why="test", overtaken=5)


class Died(BaseException):
    """The process ends here, as far as the ledger can tell."""


@pytest.mark.requirement("WFL-STATUS-008")
@pytest.mark.parametrize(
    ("source", "target"),
    [(a.value, b.value) for a, b in TRANSITIONS if a is not Status.PENDING],
)
def test_content_is_new_before_the_file_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    def die(name: str) -> None:
        if name == "ledger.move.content-first":
            raise Died

    put(make_ledger(tmp_path), Status(source), "r1.a")
    monkeypatch.setattr("wfledger.faults.point", die)
    with pytest.raises(Died):
        _move(tmp_path, source, target)
    ledger = open_ledger(tmp_path)
    assert ledger.load(Status(source), "r1.a").task.overtaken == 5
    with ledger.transaction("next"):
        pass
    assert _places(ledger) == [Status(target)]


@pytest.mark.requirement("WFL-STATUS-009")
@pytest.mark.requirement("WFL-STATUS-011")
def test_file_on_offer_keeps_its_bytes_until_it_has_left(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    put(ledger, Status.PENDING, "r1.a")
    before = ledger.layout.task(Status.PENDING, "r1.a").read_bytes()
    with pytest.raises(errors.TransitionError), ledger.transaction("test") as changes:
        changes.update("r1.a", why="edit", overtaken=5)
    with faults.Pause(tmp_path, "ledger.move.renamed") as pause:
        mover = processes.start(_move, tmp_path, "pending", "waiting", env=pause.env)
        pause.wait()
        assert ledger.layout.task(Status.WAITING, "r1.a").read_bytes() == before
        pause.go()
        mover.result()
    assert ledger.load(Status.WAITING, "r1.a").task.overtaken == 5


@pytest.mark.requirement("WFL-STATUS-009")
def test_withdrawal_that_comes_after_a_claim_has_lost(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(ledger, Status.PENDING, "r1.a")
    seen, layout = ledger.get("r1.a"), ledger.layout
    layout.task(Status.PENDING, "r1.a").rename(layout.task(Status.IN_PROGRESS, "r1.a"))
    monkeypatch.setattr(ledger, "get", lambda _: seen)
    with ledger.transaction("scheduler") as changes, pytest.raises(errors.StaleError):
        changes.move("r1.a", Status.WAITING, actor=Actor.SCHEDULER, why="withdrawn")
    assert _places(ledger) == [Status.IN_PROGRESS]
    assert ledger.load(Status.IN_PROGRESS, "r1.a").task.seq == 1


@pytest.mark.requirement("WFL-STATUS-010")
@pytest.mark.requirement("WFL-TASK-014")
def test_offer_carries_its_attempt_number_before_anybody_can_take_it(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    put(ledger, Status.WAITING, "r1.a")
    with ledger.transaction("scheduler") as changes:
        changes.move("r1.a", Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1)
        assert changes.claim("r1.a", record("ana")).task.attempt == 1
    with pytest.raises(errors.TransitionError), ledger.transaction("test") as changes:
        changes.move("r1.a", Status.PENDING, actor=Actor.SCHEDULER, why="again")


@pytest.mark.requirement("WFL-STATUS-012")
@pytest.mark.requirement("WFL-STATUS-025")
@pytest.mark.requirement("WFL-STATUS-026")
@pytest.mark.requirement("WFL-STATUS-027")
@pytest.mark.parametrize(
    ("status", "on_failure", "code", "kind", "missing"),
    [
        (Status.DONE, "hold", None, "ready", ()),
        (Status.DONE, "skip_continue", None, "ready", ()),
        (Status.WAITING, "skip_continue", None, "waits", ()),
        (Status.MERGING, "skip_continue", None, "waits", ()),
        (Status.BLOCKED, "hold", "exhausted", "waits", ()),
        (Status.BLOCKED, "abort", "exhausted", "waits", ()),
        (Status.BLOCKED, "skip_continue", "exhausted", "ready", ("r1.a",)),
        (Status.BLOCKED, "skip_continue", "conflict", "ready", ("r1.a",)),
        (Status.BLOCKED, "skip_continue", "question", "waits", ()),
        (Status.BLOCKED, "skip_continue", "environment", "waits", ()),
        (Status.CANCELLED, "hold", None, "never", ()),
        (Status.CANCELLED, "abort", None, "never", ()),
        (Status.CANCELLED, "skip_continue", None, "ready", ("r1.a",)),
    ],
)
def test_dependency_settles_as_the_page_says(
    status: Status, on_failure: str, code: str | None, kind: str, missing: tuple[str, ...]
) -> None:
    found = readiness(after("r1.a"), {"r1.a": Standing(status, on_failure, code)})
    assert (found.kind, found.missing) == (kind, missing)


@pytest.mark.requirement("WFL-STATUS-013")
@pytest.mark.parametrize(
    ("seconds", "due"), [(-1, True), (0, True), (10, False), (299, False), (10_000, True)]
)
def test_backoff_ends_and_a_clock_that_was_set_back_does_not_prolong_it(
    seconds: int, due: bool
) -> None:
    hold = Hold(code="backoff", until=iso(START + timedelta(seconds=seconds)))
    assert outcome.is_due(hold, now=START, longest_s=300) is due


@pytest.mark.requirement("WFL-STATUS-014")
def test_task_waits_for_scopes_and_labels_that_are_held() -> None:
    held = [Claimed.of(writer("r1.h", "src/*.py", contracts=("db",)))]
    wanted = [
        writer("r1.a", "src/a*"),
        writer("r1.b", "docs", contracts=("db",)),
        writer("r1.c", "docs"),
        writer("r1.d", "docs/a"),
        writer("r1.e"),
    ]
    decided = admit(wanted, held, room=Room(10), overtake=16)
    assert [task.id for task in decided.promote] == ["r1.c", "r1.e"]
    assert {name: why.kind for name, why in decided.waits.items()} == {
        "r1.a": "scope", "r1.b": "contract", "r1.d": "scope",
    }  # fmt: skip


@pytest.mark.requirement("WFL-STATUS-016")
def test_no_more_is_offered_than_there_is_room_for() -> None:
    tasks = [
        writer(f"r{run}.t{number}", f"{run}/{number}") for number in range(4) for run in (1, 2)
    ]
    decided = admit(tasks, [], room=Room(5, {"r1": 1}), overtake=16)
    assert [task.id for task in decided.promote] == ["r1.t0", "r2.t0", "r2.t1", "r2.t2", "r2.t3"]


@pytest.mark.requirement("WFL-STATUS-017")
def test_higher_priority_goes_first_and_then_the_older() -> None:
    def one(task_id: str, priority: int, minute: int) -> Task:
        created = f"2026-01-01T00:{minute:02}:00.000Z"
        return make_task(task_id, spec=TaskSpec(command="x", priority=priority), created=created)

    tasks = [one("r1.a", 0, 2), one("r1.b", 0, 1), one("r1.c", 5, 3), one("r1.d", -1, 0)]
    assert [task.id for task in in_order(tasks)] == ["r1.c", "r1.b", "r1.a", "r1.d"]


@pytest.mark.requirement("WFL-SCOPE-031")
def test_task_overtaken_often_enough_keeps_younger_ones_behind_it() -> None:
    held = [Claimed.of(writer("r1.h", "src/a"))]
    patient = [writer("r1.all", "**", overtaken=15), writer("r1.small", "docs")]
    passed = admit(patient, held, room=Room(10), overtake=16)
    assert [task.id for task in passed.promote] == ["r1.small"]
    assert passed.overtaken == {"r1.all": 1}
    tired = [writer("r1.all", "**", overtaken=16), writer("r1.small", "docs"), writer("r1.reader")]
    stopped = admit(tired, held, room=Room(10), overtake=16)
    assert [task.id for task in stopped.promote] == ["r1.reader"]
    assert stopped.waits["r1.small"].kind == "reserved"


@pytest.mark.requirement("WFL-STATUS-020")
@pytest.mark.parametrize(
    "code", sorted({*outcome.SOURCES, "exhausted", "dependency_cancelled", "spec_changed"})
)
def test_every_block_ends_with_a_command(code: str) -> None:
    block = outcome.block(make_task("r1.a"), code, "why", paths=("src/b c",))
    assert block.command.startswith("wfledger ")
    assert "r1.a" in block.command
    assert block.reason


def failed(*outcomes: str, forgiven: int = 0, **retry: object) -> Task:
    attempts = tuple(
        Attempt(number=number, worker="w", outcome=one, ended="2026-01-01T00:00:00.000Z")
        for number, one in enumerate(outcomes, 1)
    )
    spec = TaskSpec(command="x", retry=Retry(**retry))
    return make_task("r1.a", spec=spec, attempt=len(attempts), attempts=attempts, forgiven=forgiven)


@pytest.mark.requirement("WFL-RESULT-020")
@pytest.mark.requirement("WFL-ROUTE-024")
@pytest.mark.parametrize("kind", sorted(outcome.SOURCES))
def test_only_listed_failures_are_tried_again_without_a_person(kind: str) -> None:
    plain = outcome.after_failure(failed(kind), kind, "m", now=START)
    again = {"transport", "lost", *outcome.PROVIDER}
    assert (plain.status is Status.WAITING) == (kind in again)
    if plain.block is not None:
        assert plain.block.code == kind
    listed = outcome.after_failure(failed(kind, on=(kind,)), kind, "m", now=START)
    assert listed.status is Status.WAITING


@pytest.mark.requirement("WFL-RESULT-021")
def test_attempts_that_count_are_limited_and_forgiven_ones_do_not_count() -> None:
    lost = ("lost", "stopped", "lost", "environment", "released", "lost")
    used_up = outcome.after_failure(failed(*lost), "lost", "m", now=START)
    assert used_up.block is not None
    assert used_up.block.code == "exhausted"
    assert outcome.after_failure(failed(*lost, forgiven=1), "lost", "m", now=START).block is None


@pytest.mark.requirement("WFL-RESULT-022")
@pytest.mark.parametrize(
    ("failures", "wait"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (40, 300)]
)
def test_wait_before_a_retry_doubles_up_to_its_bound(failures: int, wait: int) -> None:
    task = failed(*["lost"] * failures, max_attempts=100)
    hold = outcome.after_failure(task, "lost", "m", now=START).hold
    assert hold is not None
    assert hold.until == iso(START + timedelta(seconds=wait))


def test_clock_of_these_tests_starts_where_they_say(clock: FakeClock) -> None:
    assert clock.now() == START
