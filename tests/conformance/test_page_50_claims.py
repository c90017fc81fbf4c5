"""Page 50: claims as files, and its shell worker run as printed."""

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.conformance import pages
from tests.support import faults, processes
from tests.support.clock import FakeClock
from tests.support.ledgers import TOKEN, make_ledger, make_task, open_ledger, put, record
from wfledger import errors
from wfledger.core.documents import Task
from wfledger.core.outcome import counted_attempts
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts import claims as verbs
from wfledger.run.liveness import Observations, owner_of
from wfledger.run.workspace import Workspace
from wfledger.store import claiming, claims
from wfledger.store.ledger import Ledger
from wfledger.store.locks import LiveLock


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path)


@pytest.fixture
def workspace(ledger: Ledger, clock: FakeClock, tmp_path: Path) -> Workspace:
    ledger.clock = clock
    (ledger.layout.local / "machine.json").write_text('{"id": "machine"}')
    return Workspace(ledger, tmp_path, tmp_path, tmp_path / "state", clock)


def claim(ledger: Ledger, task_id: str, worker: str = "ana") -> None:
    with ledger.transaction(worker) as changes:
        changes.claim(task_id, record(worker))


def _take_unlocked(folder: Path, task_ids: list[str], worker: str) -> list[str]:
    layout = open_ledger(folder).layout
    won = []
    for task_id in task_ids:
        try:
            claiming.take(layout, task_id, record(worker))
        except errors.StaleError:
            continue
        won.append(task_id)
    return won


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-001")
@pytest.mark.requirement("WFL-CLAIM-005")
def test_without_the_lock_each_attempt_still_has_one_claimant(tmp_path: Path) -> None:
    names = [f"r1.t{number}" for number in range(150)]
    put(make_ledger(tmp_path), Status.PENDING, *names)
    won = processes.race(_take_unlocked, [(tmp_path, names, f"w{n}") for n in range(3)])
    assert sorted(name for one in won for name in one) == sorted(names)


@pytest.mark.requirement("WFL-CLAIM-002")
@pytest.mark.requirement("WFL-CLAIM-004")
@pytest.mark.requirement("WFL-CLAIM-008")
def test_claim_moves_the_file_unchanged_and_records_the_owner_beside_it(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r1.a", attempt=3)
    before = ledger.layout.task(Status.PENDING, "r1.a").read_bytes()
    claim(ledger, "r1.a")
    assert ledger.layout.task(Status.IN_PROGRESS, "r1.a").read_bytes() == before
    assert not ledger.layout.task(Status.PENDING, "r1.a").exists()
    assert (ledger.layout.local / "claims" / "r1.a.3").is_file()


@pytest.mark.requirement("WFL-CLAIM-006")
def test_claim_record_has_five_lines(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r1.a")
    claim(ledger, "r1.a")
    text = ledger.layout.claim("r1.a", 1).read_text()
    keys = [line.partition(" ")[0] for line in text.splitlines()]
    assert keys == ["worker", "machine", "pid", "boot", "token-sha256"]
    assert text.endswith(hashlib.sha256(TOKEN.encode()).hexdigest() + "\n")


@pytest.mark.requirement("WFL-CLAIM-005")
@pytest.mark.requirement("WFL-CLAIM-007")
@pytest.mark.requirement("WFL-CLAIM-010")
def test_claimer_that_slept_until_it_was_taken_back_has_lost(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    put(ledger, Status.PENDING, "r1.a")
    with faults.Pause(tmp_path, "ledger.claim.renamed") as pause:
        sleeper = processes.start(_take_unlocked, tmp_path, ["r1.a"], "sleeper", env=pause.env)
        pause.wait()
        assert claiming.take_back(ledger.layout, "r1.a", 1)
        pause.go()
        assert sleeper.result() == []
    kept = ledger.claim_record("r1.a", 1)
    assert kept is not None
    assert kept.worker == "recovery"


@pytest.mark.requirement("WFL-CLAIM-007")
@pytest.mark.requirement("WFL-CLAIM-010")
def test_recorded_claim_cannot_be_taken_back(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r1.a")
    claim(ledger, "r1.a")
    before = ledger.layout.claim("r1.a", 1).read_bytes()
    assert not claiming.take_back(ledger.layout, "r1.a", 1)
    assert ledger.layout.claim("r1.a", 1).read_bytes() == before


@pytest.mark.requirement("WFL-CLAIM-009")
@pytest.mark.parametrize("raw", [b"", b"worker\n", b"\xff\xfe", b"pid 7\n"])
def test_garbled_record_is_a_claim_all_the_same(ledger: Ledger, raw: bytes) -> None:
    put(ledger, Status.IN_PROGRESS, "r1.a")
    ledger.layout.claim("r1.a", 1).write_bytes(raw)
    assert claims.parse(raw) is None
    assert ledger.is_claimed("r1.a", 1)
    assert not claiming.take_back(ledger.layout, "r1.a", 1)


@pytest.mark.requirement("WFL-CLAIM-020")
@pytest.mark.parametrize("token", ["", "wrong", None])
def test_worker_with_another_token_is_refused_and_changes_nothing(
    workspace: Workspace, token: str | None
) -> None:
    put(workspace.ledger, Status.PENDING, "r1.a")
    verbs.claim(workspace, worker="ana")
    before = sorted(workspace.ledger.journal.records(), key=str)
    for verb in (verbs.heartbeat, verbs.release):
        with pytest.raises(errors.StaleError) as refusal:
            verb(workspace, "r1.a", token)
        assert refusal.value.exit_status == 4
    assert workspace.ledger.get("r1.a").status is Status.IN_PROGRESS
    assert sorted(workspace.ledger.journal.records(), key=str) == before


@pytest.mark.requirement("WFL-CLAIM-020")
@pytest.mark.requirement("WFL-CLAIM-022")
def test_worker_of_an_earlier_attempt_is_refused(workspace: Workspace) -> None:
    put(workspace.ledger, Status.PENDING, "r1.a")
    old = verbs.claim(workspace, worker="ana")
    verbs.release(workspace, "r1.a", old.token)
    with workspace.ledger.transaction("scheduler") as changes:
        with pytest.raises(errors.TransitionError):
            changes.move("r1.a", Status.PENDING, actor=Actor.SCHEDULER, why="with the old number")
        changes.move("r1.a", Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=2)
    new = verbs.claim(workspace, worker="bob")
    assert new.attempt == 2
    with pytest.raises(errors.StaleError):
        verbs.heartbeat(workspace, "r1.a", old.token)
    assert verbs.heartbeat(workspace, "r1.a", new.token) == 1


@pytest.mark.requirement("WFL-CLAIM-021")
@pytest.mark.requirement("WFL-TASK-015")
def test_token_is_only_in_its_own_file_that_others_cannot_read(workspace: Workspace) -> None:
    put(workspace.ledger, Status.PENDING, "r1.a")
    token = verbs.claim(workspace, worker="ana").token
    layout = workspace.ledger.layout
    path = layout.token("r1.a", 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) >= 32
    files = [f for top in (layout.root, layout.local) for f in top.rglob("*") if f.is_file()]
    assert [f for f in files if token.encode() in f.read_bytes()] == [path]


@pytest.mark.requirement("WFL-CLAIM-030")
@pytest.mark.requirement("WFL-CLAIM-032")
@pytest.mark.requirement("WFL-CLAIM-035")
def test_attempt_with_a_lock_lives_exactly_as_long_as_it_is_held(
    workspace: Workspace, clock: FakeClock
) -> None:
    put(workspace.ledger, Status.PENDING, "r1.a")
    task = verbs.claim(workspace, worker="ana").task
    lock = LiveLock(workspace.ledger.layout.live("r1.a", 1))
    for _ in range(3):
        assert _owner(workspace, task) == "alive"
        clock.advance(100_000)
    lock.release()
    assert _owner(workspace, task) == "dead"


@pytest.mark.requirement("WFL-CLAIM-033")
def test_lease_ends_only_by_what_the_observer_saw_on_its_own_clock(
    workspace: Workspace, clock: FakeClock
) -> None:
    put(workspace.ledger, Status.PENDING, "r1.a")
    mine = verbs.claim(workspace, worker="ana")
    assert _owner(workspace, mine.task) == "alive"
    clock.jump(10 * 86_400)
    os.utime(workspace.ledger.layout.claim("r1.a", 1), (0, 0))
    assert _owner(workspace, mine.task) == "alive"
    clock.advance(599)
    verbs.heartbeat(workspace, "r1.a", mine.token)
    assert _owner(workspace, mine.task) == "alive"
    for _ in range(2):
        clock.advance(299)
        assert _owner(workspace, mine.task) == "alive"
    clock.advance(3)
    assert _owner(workspace, mine.task) == "expired"


def _owner(workspace: Workspace, task: Task) -> str:
    seen = Observations.load(workspace)
    found = owner_of(workspace, task, seen, 600.0)
    seen.save()
    return found


@pytest.mark.requirement("WFL-CLAIM-043")
def test_released_attempt_costs_nothing(workspace: Workspace) -> None:
    put(workspace.ledger, Status.PENDING, "r1.a")
    mine = verbs.claim(workspace, worker="ana")
    task = verbs.release(workspace, "r1.a", mine.token, reason="lunch")
    assert [attempt.outcome for attempt in task.attempts] == ["released"]
    assert counted_attempts(task) == 0


def _printed_worker() -> str:
    text = (pages.SPEC / "50-claims.md").read_text("utf-8")
    start = text.index("    [ -d ")
    block = text[start : text.index("\n\n", start)]
    return "\n".join(line.removeprefix("    ") for line in block.splitlines())


@pytest.mark.requirement("WFL-CLAIM-006")
@pytest.mark.requirement("WFL-CLAIM-050")
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_shell_worker_as_printed_claims_one_task_like_any_other(ledger: Ledger, shell: str) -> None:
    put(ledger, Status.PENDING, "r1.a", "r1.b", attempt=4)
    _sh(ledger, shell)
    assert ledger.names(Status.IN_PROGRESS) == ["r1.a"]
    assert ledger.names(Status.PENDING) == ["r1.b"]
    found = ledger.claim_record("r1.a", 4)
    assert found is not None
    assert (found.worker, found.machine, found.token_sha256) == ("ana", "host", "0" * 64)


@pytest.mark.requirement("WFL-CLAIM-050")
def test_shell_worker_as_printed_passes_over_an_offer_that_another_holds(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r1.a", "r1.b")
    put(ledger, Status.IN_PROGRESS, "r1.a", attempt=9)
    _sh(ledger, "sh")
    assert ledger.load(Status.IN_PROGRESS, "r1.a").task.attempt == 9
    assert ledger.names(Status.PENDING) == ["r1.a"]
    assert ledger.claim_record("r1.b", 1) is not None


@pytest.mark.requirement("WFL-CLAIM-050")
def test_shell_worker_as_printed_finds_nothing_without_harm(ledger: Ledger) -> None:
    _sh(ledger, "sh")
    assert ledger.names(Status.IN_PROGRESS) == []
    assert list((ledger.layout.local / "claims").iterdir()) == []


@pytest.mark.requirement("WFL-CLAIM-051")
@pytest.mark.parametrize("name", ["pending", "in-progress"])
def test_missing_folder_stops_a_claimant_and_is_no_lost_race(ledger: Ledger, name: str) -> None:
    if name == "in-progress":
        put(ledger, Status.PENDING, "r1.a")
    (ledger.layout.root / name).rmdir()
    with ledger.transaction("ana") as changes, pytest.raises(errors.LedgerDamagedError):
        changes.claim("r1.a", record("ana"))
    assert _start(ledger, "sh").wait(30) == 1
    assert not (ledger.layout.root / name).exists()


@pytest.mark.requirement("WFL-LEDGER-025")
def test_shell_worker_as_printed_waits_for_the_lock(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r1.a")
    with ledger.transaction("author") as changes:
        worker = _start(ledger, "sh")
        changes.add(make_task("r1.b"))
        assert worker.poll() is None
        assert ledger.names(Status.PENDING) == ["r1.a"]
    assert worker.wait(30) == 0
    assert ledger.names(Status.IN_PROGRESS) == ["r1.a"]


def _sh(ledger: Ledger, shell: str) -> None:
    assert _start(ledger, shell).wait(30) == 0


def _start(ledger: Ledger, shell: str) -> "subprocess.Popen[bytes]":
    layout = ledger.layout
    given = {"L": str(layout.root), "S": str(layout.local), "ME": "ana", "HOST": "host"}
    given |= {"BOOT": "boot", "HASH": "0" * 64}
    return subprocess.Popen([shell, "-c", _printed_worker()], env={**os.environ, **given})
