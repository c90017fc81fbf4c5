"""A ledger made again from journal, directory and branch."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tests.support.invariants import check_ledger
from tests.support.ledgers import make_ledger, make_task, open_ledger, record
from wfledger.core.documents import Result, Run
from wfledger.core.policy import LedgerConfig
from wfledger.core.records import canonical, canonical_json
from wfledger.core.statuses import Actor, Status
from wfledger.store import boot, folders, journal
from wfledger.store.claiming import take
from wfledger.store.ledger import Ledger
from wfledger.store.rebuild import Rebuilt, needs_redo, note_boot, redo

HEAD, BASE = "1" * 40, "2" * 40
#: Task -> where it stands in the ledger that is lost.
STANDS = {
    "r.waiting": Status.WAITING, "r.pending": Status.PENDING, "r.working": Status.IN_PROGRESS,
    "r.merging": Status.MERGING, "r.done": Status.DONE, "r.blocked": Status.BLOCKED,
    "r.cancelled": Status.CANCELLED,
}


class Branch:
    """The ledger branch as a dictionary, fed from the journal like the real one."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def commit(self, ledger: Ledger) -> None:
        with ledger.locks.hold("ledger"):
            ledger.journal.rotate()
        for segment in ledger.journal.segments():
            for said in journal.read(segment.path)[0]:
                self._take(ledger, said)
            ledger.journal.drop(segment)

    def _take(self, ledger: Ledger, said: dict[str, Any]) -> None:
        if said["kind"] == "file":
            raw = journal.file_bytes(said)
            if raw is None:
                self.files.pop(said["path"], None)
            else:
                self.files[said["path"]] = raw
            return
        places = [ledger.layout.relative(status, said["task"]) for status in Status]
        old = [self.files.pop(path) for path in places if path in self.files]
        raw = canonical_json(said["content"]) if said["kind"] == "task" else old[0]
        self.files[ledger.layout.relative(Status(said["to"]), said["task"])] = raw

    def redo(self, folder: Path) -> Rebuilt:
        ledger = Ledger(folder / "ledger", folder / "local", clock=FakeClock())
        return redo(ledger, self.files.items())


def _to(ledger: Ledger, task_id: str, *targets: Status) -> None:
    for target in targets:
        with ledger.transaction("test") as changes:
            if target is Status.IN_PROGRESS:
                changes.claim(task_id, record("ana"))
                continue
            facts: dict[str, Any] = {}
            if target is Status.PENDING:
                facts = {"attempt": ledger.get(task_id).task.attempt + 1}
            actor = {
                Status.PENDING: Actor.SCHEDULER, Status.MERGING: Actor.WORKER,
                Status.DONE: Actor.MERGER, Status.BLOCKED: Actor.SCHEDULER,
            }.get(target, Actor.PERSON)
            if target is Status.WAITING:
                actor = Actor.SCHEDULER
            changes.move(task_id, target, actor=actor, why="test", **facts)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return _filled(tmp_path)


def _filled(folder: Path) -> Ledger:
    made = make_ledger(folder)
    folders.create(made.layout)
    run = Run(id="r", seq=1, created="", branch="refs/heads/wf/r", target="refs/heads/main", base=BASE)
    with made.transaction("author") as changes:
        changes.put_file("ledger.json", canonical(LedgerConfig(id="test", created="")), why="init")
        changes.put_run(run, why="submitted")
        for task_id in STANDS:
            changes.add(make_task(task_id))
        changes.put_result(
            Result(task="r.merging", attempt=1, status="succeeded", head=HEAD, base=BASE)
        )
    steps = [Status.PENDING, Status.IN_PROGRESS, Status.MERGING, Status.DONE]
    _to(made, "r.pending", *steps[:1])
    _to(made, "r.working", *steps[:2])
    _to(made, "r.merging", *steps[:3])
    _to(made, "r.done", *steps)
    _to(made, "r.blocked", Status.BLOCKED)
    _to(made, "r.cancelled", Status.CANCELLED)
    return made


def _stands(ledger: Ledger) -> dict[str, tuple[Status, int]]:
    return {
        name: (status, ledger.load(status, name).task.attempt)
        for status in Status for name in ledger.names(status)
    }


def _files(ledger: Ledger) -> dict[str, bytes]:
    paths = (path for path in ledger.layout.root.rglob("*") if path.is_file())
    return {path.relative_to(ledger.layout.root).as_posix(): path.read_bytes() for path in paths}


def test_removed_ledger_comes_back_whole_from_its_journal(ledger: Ledger, tmp_path: Path) -> None:
    before = _files(ledger)
    shutil.rmtree(ledger.layout.root)
    done = Branch().redo(tmp_path)
    assert done.raised == []
    assert _files(open_ledger(tmp_path)) == before
    check_ledger(open_ledger(tmp_path))


def test_task_that_only_the_branch_has_goes_on_with_a_higher_number(
    ledger: Ledger, tmp_path: Path
) -> None:
    branch = Branch()
    branch.commit(ledger)
    shutil.rmtree(ledger.layout.root)
    shutil.rmtree(ledger.layout.local)
    done = branch.redo(tmp_path)
    again = open_ledger(tmp_path)
    assert _stands(again) == {
        "r.waiting": (Status.WAITING, 1), "r.pending": (Status.WAITING, 2),
        "r.working": (Status.WAITING, 2), "r.merging": (Status.WAITING, 2),
        "r.done": (Status.DONE, 1), "r.blocked": (Status.BLOCKED, 1),
        "r.cancelled": (Status.CANCELLED, 0),
    }
    assert sorted(done.raised) == ["r.blocked", "r.merging", "r.pending", "r.waiting", "r.working"]
    assert {r["why"] for r in again.journal.records() if r.get("task") in done.raised} == {"rebuilt"}
    lost = again.get("r.working").task
    assert [(a.number, a.outcome) for a in lost.attempts] == [(1, "lost")]
    kept = again.get("r.merging").task.accepted
    assert kept is not None
    assert (kept.attempt, kept.head, kept.base) == (1, HEAD, BASE)
    assert again.run("r").branch == "refs/heads/wf/r"
    check_ledger(again, committed=branch.files.get)


def test_work_whose_claim_this_machine_recorded_goes_on_as_it_was(
    ledger: Ledger, tmp_path: Path
) -> None:
    branch = Branch()
    branch.commit(ledger)
    shutil.rmtree(ledger.layout.root)
    done = branch.redo(tmp_path)
    again = open_ledger(tmp_path)
    assert "r.working" not in done.raised
    assert _stands(again)["r.working"] == (Status.IN_PROGRESS, 1)
    check_ledger(again, committed=branch.files.get)


def test_claim_that_only_its_record_knows_is_kept(ledger: Ledger, tmp_path: Path) -> None:
    branch = Branch()
    branch.commit(ledger)
    take(ledger.layout, "r.pending", record("shell"))
    shutil.rmtree(ledger.layout.root)
    branch.redo(tmp_path)
    again = open_ledger(tmp_path)
    assert _stands(again)["r.pending"] == (Status.IN_PROGRESS, 1)
    check_ledger(again, committed=branch.files.get)


def test_raised_number_is_above_every_claim_that_this_machine_recorded(
    ledger: Ledger, tmp_path: Path
) -> None:
    branch = Branch()
    branch.commit(ledger)
    ledger.layout.claim("r.waiting", 7).touch()
    shutil.rmtree(ledger.layout.root)
    branch.redo(tmp_path)
    assert _stands(open_ledger(tmp_path))["r.waiting"] == (Status.WAITING, 8)


@pytest.mark.requirement("WFL-LEDGER-050")
def test_journal_wins_over_branch_and_directory_over_an_older_branch(
    ledger: Ledger, tmp_path: Path
) -> None:
    branch = Branch()
    branch.commit(ledger)
    _to(ledger, "r.waiting", Status.PENDING, Status.IN_PROGRESS)
    _to(ledger, "r.blocked", Status.CANCELLED)
    expected = _stands(ledger)
    shutil.rmtree(ledger.layout.root / "in-progress")
    branch.redo(tmp_path)
    assert _stands(open_ledger(tmp_path)) == expected


def test_claim_in_the_journal_moves_a_task_whose_content_is_in_the_branch(
    ledger: Ledger, tmp_path: Path
) -> None:
    branch = Branch()
    branch.commit(ledger)
    _to(ledger, "r.pending", Status.IN_PROGRESS)
    shutil.rmtree(ledger.layout.root)
    shutil.rmtree(ledger.layout.local / "claims")
    branch.redo(tmp_path)
    again = open_ledger(tmp_path)
    assert _stands(again)["r.pending"] == (Status.IN_PROGRESS, 1)
    assert again.claim_record("r.pending", 1) == record("ana")


@pytest.mark.parametrize("is_committed", [False, True])
def test_rename_that_power_loss_undid_is_done_again(
    ledger: Ledger, tmp_path: Path, *, is_committed: bool
) -> None:
    branch = Branch()
    if is_committed:
        branch.commit(ledger)
    expected = _stands(ledger)
    layout = ledger.layout
    undone = {
        "r.pending": (Status.PENDING, Status.WAITING),
        "r.working": (Status.IN_PROGRESS, Status.PENDING),
        "r.merging": (Status.MERGING, Status.IN_PROGRESS),
        "r.done": (Status.DONE, Status.MERGING),
        "r.blocked": (Status.BLOCKED, Status.WAITING),
        "r.cancelled": (Status.CANCELLED, Status.WAITING),
    }
    for task_id, (now, before) in undone.items():
        layout.task(now, task_id).rename(layout.task(before, task_id))
    branch.redo(tmp_path)
    assert _stands(open_ledger(tmp_path)) == expected
    check_ledger(open_ledger(tmp_path), committed=branch.files.get)


def test_rename_that_power_loss_half_did_leaves_one_file(ledger: Ledger, tmp_path: Path) -> None:
    layout = ledger.layout
    for task_id, before in (("r.working", Status.PENDING), ("r.merging", Status.IN_PROGRESS)):
        raw = layout.task(STANDS[task_id], task_id).read_bytes()
        layout.task(before, task_id).write_bytes(raw)
    expected = dict(STANDS)
    Branch().redo(tmp_path)
    assert {name: status for name, (status, _) in _stands(ledger).items()} == expected
    check_ledger(ledger)


def test_torn_journal_and_empty_files_cost_nothing_that_was_synced(
    ledger: Ledger, tmp_path: Path
) -> None:
    expected = _files(ledger)
    with ledger.journal.active.open("ab") as file:
        file.write(b"\0" * 100)
    for path in ledger.layout.root.rglob("*.json"):
        path.write_bytes(b"")
    shutil.rmtree(ledger.layout.local / "claims")
    Branch().redo(tmp_path)
    again = _files(open_ledger(tmp_path))
    assert {path: again[path] for path in expected} == expected
    with ledger.transaction("author") as changes:
        changes.add(make_task("r.new"))
    check_ledger(open_ledger(tmp_path))


def test_newer_run_of_the_journal_replaces_the_older_one(ledger: Ledger, tmp_path: Path) -> None:
    path = ledger.layout.root / "runs" / "r.json"
    old = path.read_bytes()
    with ledger.transaction("person") as changes:
        changes.put_run(ledger.run("r").but(seq=2, state="paused"), why="paused")
    path.write_bytes(old)
    done = Branch().redo(tmp_path)
    assert done.files == ["runs/r.json"]
    assert ledger.run("r").state == "paused"


def test_policy_that_a_person_edited_is_left_as_it_is(ledger: Ledger, tmp_path: Path) -> None:
    path = ledger.layout.root / "ledger.json"
    path.write_bytes(canonical(LedgerConfig(id="test", created="", paused="tea")))
    Branch().redo(tmp_path)
    assert ledger.config().paused == "tea"


def test_path_of_the_branch_that_leads_elsewhere_is_not_written(tmp_path: Path) -> None:
    made = make_ledger(tmp_path)
    redo(made, [("../outside", b"x"), (".git", b"x"), ("runs/../../outside", b"x"), ("/outside", b"x")])
    assert not (tmp_path / "outside").exists()
    assert not (made.layout.root / ".git").exists()


def test_rebuilding_twice_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    branch = Branch()
    branch.commit(ledger)
    shutil.rmtree(ledger.layout.root)
    branch.redo(tmp_path)
    again = open_ledger(tmp_path)
    before, said = _files(again), len(list(again.journal.records()))
    done = branch.redo(tmp_path)
    assert done == Rebuilt()
    assert (_files(again), len(list(again.journal.records()))) == (before, said)


def test_whole_ledger_is_left_alone_and_records_nothing(ledger: Ledger, tmp_path: Path) -> None:
    branch = Branch()
    branch.commit(ledger)
    before = _files(ledger)
    assert branch.redo(tmp_path) == Rebuilt()
    assert _files(ledger) == before
    assert ledger.journal.is_empty()


def test_another_boot_calls_for_a_look_and_the_look_settles_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert needs_redo(ledger)
    note_boot(ledger)
    assert not needs_redo(ledger)
    monkeypatch.setattr(boot, "boot_id", lambda: "another")
    assert needs_redo(ledger)
    redo(ledger, [])
    assert not needs_redo(ledger)
    monkeypatch.setattr(boot, "boot_id", lambda: "")
    assert not needs_redo(ledger)


def test_boot_has_an_identity_here() -> None:
    assert boot.boot_id() == boot.boot_id() != ""


_LOSSES = ("keep", "gone", "empty", "old-place", "both", "garbage")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(losses=st.tuples(*(st.sampled_from(_LOSSES) for _ in STANDS)), is_committed=st.booleans())
@pytest.mark.long
def test_whatever_power_loss_does_to_the_files_everything_promised_is_there(
    tmp_path_factory: pytest.TempPathFactory, losses: tuple[str, ...], *, is_committed: bool
) -> None:
    folder = tmp_path_factory.mktemp("case")
    made = _filled(folder)
    branch = Branch()
    if is_committed:
        branch.commit(made)
    expected = _stands(made)
    for (task_id, status), loss in zip(STANDS.items(), losses, strict=True):
        _lose(made, task_id, status, loss)
    branch.redo(folder)
    stands = _stands(open_ledger(folder))
    lone = {
        task_id for task_id, loss in zip(STANDS, losses, strict=True)
        if is_committed and loss in {"gone", "empty", "garbage"}
    }
    assert {k: v for k, v in stands.items() if k not in lone} == {
        k: v for k, v in expected.items() if k not in lone
    }
    assert set(stands) == set(expected)
    assert all(stands[k][1] >= expected[k][1] for k in lone)


def _lose(ledger: Ledger, task_id: str, status: Status, loss: str) -> None:
    path = ledger.layout.task(status, task_id)
    before = {
        Status.PENDING: Status.WAITING, Status.IN_PROGRESS: Status.PENDING,
        Status.MERGING: Status.IN_PROGRESS, Status.DONE: Status.MERGING,
        Status.BLOCKED: Status.WAITING, Status.CANCELLED: Status.WAITING,
    }.get(status, status)
    older = ledger.layout.task(before, task_id)
    if loss == "gone":
        path.unlink()
    elif loss == "empty":
        path.write_bytes(b"")
    elif loss == "garbage":
        path.write_bytes(json.dumps({"id": task_id}).encode())
    elif loss == "old-place" and older != path:
        path.rename(older)
    elif loss == "both" and older != path:
        older.write_bytes(path.read_bytes())
