"""Claims against claims, withdrawals, promotions and recovery, with the ledger lock and without it.

Without the lock exactly one thing is promised: at most one claimant for each (task, attempt). The
claimants here call the claim itself, below the lock; everybody else works under the lock.
"""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import processes
from tests.support.faults import Pause
from tests.support.invariants import check_ledger
from tests.support.ledgers import make_ledger, make_task, open_ledger, record
from wfledger.clock import SystemClock
from wfledger.core.statuses import Actor, Status
from wfledger.errors import NotFoundError, StaleError, TransitionError
from wfledger.store.claiming import is_taken_back, take, take_back
from wfledger.store.ledger import Ledger
from wfledger.store.repair import repair

CLAIMANTS = 5
#: Changes in one hold of the lock, of those who are not claimants.
BATCH = 40
#: The same where there are thousands of tasks: listing them all is most of the work.
LARGE_BATCH = 500


class Won(NamedTuple):
    """A claim that its claimant believes to be his."""

    task: str
    attempt: int


def _opened(folder: Path) -> Ledger:
    return open_ledger(folder, clock=SystemClock())


def _filled(folder: Path, count: int, *, on_offer: int) -> Ledger:
    ledger = make_ledger(folder, clock=SystemClock())
    with ledger.transaction("author") as changes:
        for number in range(count):
            name = f"r.t{number:05}"
            changes.add(make_task(name))
            if number < on_offer:
                changes.move(name, Status.PENDING, actor=Actor.SCHEDULER, why="", attempt=1)
    return ledger


def _is_over(folder: Path) -> bool:
    return (folder / "over").exists()


# -- those who race ------------------------------------------------------------------------------


def _claim_without_lock(folder: Path, worker: str) -> list[Won]:
    ledger = _opened(folder)
    won: list[Won] = []
    while not _is_over(folder):
        for name in ledger.names(Status.PENDING):
            with suppress(StaleError):
                entry = take(ledger.layout, name, record(worker))
                won.append(Won(name, entry.task.attempt))
    return won


def _claim_with_lock(folder: Path, worker: str) -> list[Won]:
    ledger = _opened(folder)
    won: list[Won] = []
    while not _is_over(folder):
        for name in ledger.names(Status.PENDING):
            with suppress(StaleError), ledger.transaction(worker) as changes:
                entry = changes.claim(name, record(worker))
                won.append(Won(name, entry.task.attempt))
    return won


def _promote(folder: Path, count: int) -> list[Won]:
    """Promote what waits, until everything was claimed; the last to leave says that it is over."""
    ledger = _opened(folder)
    batch = BATCH if count < 5 * LARGE_BATCH else LARGE_BATCH
    while len(ledger.names(Status.IN_PROGRESS)) < count:
        with ledger.transaction("promoter") as changes:
            for name in ledger.names(Status.WAITING)[:batch]:
                attempt = changes.get(name).task.attempt + 1
                changes.move(name, Status.PENDING, actor=Actor.SCHEDULER, why="", attempt=attempt)
    (folder / "over").touch()
    return []


def _withdraw(folder: Path, times: int) -> list[Won]:
    ledger = _opened(folder)
    for _ in range(times):
        with ledger.transaction("withdrawer") as changes:
            for name in ledger.names(Status.PENDING)[:BATCH:3]:
                with suppress(StaleError, TransitionError):
                    changes.move(name, Status.WAITING, actor=Actor.SCHEDULER, why="")
        if _is_over(folder):
            break
    return []


def _recover(folder: Path, _: object) -> list[Won]:
    """Take back, without any grace, claims that are not recorded yet."""
    ledger = _opened(folder)
    while not _is_over(folder):
        for name in _unrecorded(ledger):
            with suppress(StaleError, TransitionError, NotFoundError):
                _take_back(ledger, name)
    return []


def _unrecorded(ledger: Ledger) -> list[str]:
    found = []
    for name in ledger.names(Status.IN_PROGRESS):
        with suppress(FileNotFoundError):
            if not ledger.is_claimed(name, ledger.load(Status.IN_PROGRESS, name).task.attempt):
                found.append(name)
    return found


def _take_back(ledger: Ledger, name: str) -> None:
    with ledger.transaction("recovery") as changes:
        entry = changes.get(name)
        if entry.status is not Status.IN_PROGRESS or ledger.is_claimed(name, entry.task.attempt):
            return
        if take_back(ledger.layout, name, entry.task.attempt):
            changes.move(name, Status.WAITING, actor=Actor.FINDER, why="taken back")


_RACERS = {
    "claim": _claim_without_lock, "claim-locked": _claim_with_lock,
    "promote": _promote, "withdraw": _withdraw, "recover": _recover,
}


def _be(folder: Path, kind: str, argument: object) -> list[Won]:
    return _RACERS[kind](folder, argument)  # type: ignore[operator]


def _race(folder: Path, count: int, *, claim: str, claimants: int = CLAIMANTS) -> Counter[Won]:
    workers: list[tuple[Path, str, object]] = [(folder, claim, f"w{n}") for n in range(claimants)]
    rest: list[tuple[Path, str, object]] = [
        (folder, "promote", count), (folder, "withdraw", 20), (folder, "recover", None),
    ]
    return Counter(win for wins in processes.race(_be, [*workers, *rest]) for win in wins)


def _check(ledger: Ledger, wins: Counter[Won], count: int) -> None:
    assert {win for win, times in wins.items() if times != 1} == set()
    present = {name: ledger.load(Status.IN_PROGRESS, name).task.attempt for name in ledger.names(Status.IN_PROGRESS)}
    assert len(present) == count
    # Everybody who won holds the record, and a task's last attempt is held by one who won it.
    for win in wins:
        held = ledger.claim_record(win.task, win.attempt)
        assert held is not None
        assert held.worker != "recovery"
    assert {Won(name, attempt) for name, attempt in present.items()} <= set(wins)
    assert max(Counter(win.task for win in wins).values()) == 1, "nobody gave a claim up"


def _without_lock(folder: Path, count: int) -> None:
    # Promotions are what takes time, with everybody listing the folder that they rename into.
    ledger = _filled(folder, count, on_offer=count - min(count // 4, 1000))
    wins = _race(folder, count, claim="claim")
    _check(ledger, wins, count)
    repair(ledger)  # the claims that no record of the journal explains are adopted
    check_ledger(ledger)
    said = Counter((r["task"], r["attempt"]) for r in ledger.journal.records() if r["kind"] == "claim")
    assert {Won(*key) for key in said} >= set(wins)


@pytest.mark.long
def test_without_the_lock_every_attempt_has_at_most_one_claimant_and_none_is_lost(
    tmp_path: Path,
) -> None:
    _without_lock(tmp_path, 1000)


@pytest.mark.long
@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_without_the_lock_thousands_of_tasks_are_claimed_once_each(tmp_path: Path) -> None:
    _without_lock(tmp_path, 4000)


def _with_lock(folder: Path, count: int) -> None:
    ledger = _filled(folder, count, on_offer=count // 2)
    wins = _race(folder, count, claim="claim-locked")
    _check(ledger, wins, count)
    check_ledger(ledger)
    said = Counter(Won(r["task"], r["attempt"]) for r in ledger.journal.records() if r["kind"] == "claim")
    assert said == wins


@pytest.mark.long
def test_with_the_lock_every_claim_is_recorded_and_the_ledger_is_whole(tmp_path: Path) -> None:
    _with_lock(tmp_path, 120)


@pytest.mark.long
@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_with_the_lock_a_thousand_claims_leave_a_whole_ledger(tmp_path: Path) -> None:
    _with_lock(tmp_path, 1000)


# -- forced --------------------------------------------------------------------------------------


def _claim_one(folder: Path, name: str, worker: str) -> int | None:
    try:
        return take(_opened(folder).layout, name, record(worker)).task.attempt
    except StaleError:
        return None


def _offer_again(ledger: Ledger, name: str) -> None:
    with ledger.transaction("scheduler") as changes:
        attempt = changes.get(name).task.attempt + 1
        changes.move(name, Status.PENDING, actor=Actor.SCHEDULER, why="", attempt=attempt)


def test_claimer_that_slept_until_its_claim_was_taken_back_has_lost(tmp_path: Path) -> None:
    ledger = _filled(tmp_path, 1, on_offer=1)
    with Pause(tmp_path, "ledger.claim.renamed") as pause:
        sleeper = processes.start(_claim_one, tmp_path, "r.t00000", "sleeper", env=pause.env)
        pause.wait()
        _take_back(ledger, "r.t00000")
        assert is_taken_back(ledger.layout, "r.t00000", 1)
        assert ledger.get("r.t00000").status is Status.WAITING
        pause.go()
        assert sleeper.result() is None
    _offer_again(ledger, "r.t00000")
    assert _claim_one(tmp_path, "r.t00000", "next") == 2
    repair(ledger)
    check_ledger(ledger)


def test_claimer_that_slept_through_another_claim_never_shares_it(tmp_path: Path) -> None:
    ledger = _filled(tmp_path, 1, on_offer=1)
    with Pause(tmp_path, "ledger.claim.renamed") as pause:
        sleeper = processes.start(_claim_one, tmp_path, "r.t00000", "sleeper", env=pause.env)
        pause.wait()
        _take_back(ledger, "r.t00000")
        _offer_again(ledger, "r.t00000")
        assert _claim_one(tmp_path, "r.t00000", "other") == 2
        pause.go()
        assert sleeper.result() is None
    held = ledger.claim_record("r.t00000", 2)
    assert held is not None
    assert held.worker == "other"


def test_claimer_that_recorded_in_time_is_not_taken_back(tmp_path: Path) -> None:
    ledger = _filled(tmp_path, 1, on_offer=1)
    with Pause(tmp_path, "ledger.claim.recorded") as pause:
        worker = processes.start(_claim_one, tmp_path, "r.t00000", "worker", env=pause.env)
        pause.wait()
        assert not take_back(ledger.layout, "r.t00000", 1)
        pause.go()
        assert worker.result() == 1
    assert ledger.get("r.t00000").status is Status.IN_PROGRESS


def _change_offer(folder: Path, target: str) -> str:
    try:
        with _opened(folder).transaction("editor") as changes:
            changes.move("r.t00000", Status(target), actor=Actor.SCHEDULER, why="", overtaken=9)
    except StaleError:
        return "lost"
    return "won"


@pytest.mark.parametrize("target", [Status.WAITING, Status.CANCELLED])
def test_editor_of_an_offer_that_was_claimed_meanwhile_has_lost(
    tmp_path: Path, target: Status
) -> None:
    ledger = _filled(tmp_path, 1, on_offer=1)
    with Pause(tmp_path, "ledger.move.marked") as pause:
        editor = processes.start(_change_offer, tmp_path, target.value, env=pause.env)
        pause.wait()
        assert _claim_one(tmp_path, "r.t00000", "worker") == 1
        pause.go()
        assert editor.result() == "lost"
    entry = ledger.get("r.t00000")
    assert (entry.status, entry.task.overtaken) == (Status.IN_PROGRESS, 0)
    repair(ledger)
    check_ledger(ledger)


@pytest.mark.parametrize("target", [Status.WAITING, Status.CANCELLED])
def test_claimer_of_an_offer_that_is_being_edited_has_lost(tmp_path: Path, target: Status) -> None:
    ledger = _filled(tmp_path, 1, on_offer=1)
    with Pause(tmp_path, "ledger.move.renamed") as pause:
        editor = processes.start(_change_offer, tmp_path, target.value, env=pause.env)
        pause.wait()
        assert _claim_one(tmp_path, "r.t00000", "worker") is None
        pause.go()
        assert editor.result() == "won"
    entry = ledger.get("r.t00000")
    assert (entry.status, entry.task.overtaken) == (target, 9)
    check_ledger(ledger)


def test_killed_editor_and_a_claimer_leave_the_task_to_one_of_them(tmp_path: Path) -> None:
    ledger = _filled(tmp_path, 1, on_offer=1)
    with Pause(tmp_path, "ledger.move.marked") as pause:
        editor = processes.start(_change_offer, tmp_path, "waiting", env=pause.env)
        pause.wait()
        assert _claim_one(tmp_path, "r.t00000", "worker") == 1
        editor.kill()
    with ledger.transaction("next"):
        pass
    assert ledger.get("r.t00000").status is Status.IN_PROGRESS
    repair(ledger)
    check_ledger(ledger)
