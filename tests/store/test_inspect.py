"""What `doctor` finds in the files, and what mending makes of it."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.invariants import check_ledger
from tests.support.ledgers import make_ledger, make_task, put, record
from wfledger.core.documents import Result, Run
from wfledger.core.policy import LedgerConfig
from wfledger.core.records import canonical
from wfledger.core.statuses import Actor, Status
from wfledger.store import folders, journal
from wfledger.store.claiming import take, take_back
from wfledger.store.inspect import inspect
from wfledger.store.ledger import Ledger
from wfledger.store.repair import repair

LATER = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = make_ledger(tmp_path, clock=FakeClock(LATER))
    folders.create(made.layout)
    config = LedgerConfig(id="test", created="")
    (made.layout.root / "ledger.json").write_bytes(canonical(config))
    run = Run(id="r", seq=1, created="", branch="refs/heads/wf/r", target="refs/heads/main", base="0" * 40)
    with made.transaction("author") as changes:
        changes.put_run(run, why="submitted")
        changes.add(make_task("r.a"))
        changes.add(make_task("r.b"))
    return made


def _codes(ledger: Ledger) -> list[tuple[str, str]]:
    return [(finding.code, finding.subject) for finding in inspect(ledger)]


def _mended(ledger: Ledger) -> None:
    """Mend, and see that nothing is left to mend and doing it again does nothing."""
    assert repair(ledger)
    check_ledger(ledger)
    files = _files(ledger)
    assert repair(ledger) == []
    assert _files(ledger) == files


def _files(ledger: Ledger) -> dict[str, bytes]:
    paths = (path for path in ledger.layout.root.rglob("*") if path.is_file())
    return {path.relative_to(ledger.layout.root).as_posix(): path.read_bytes() for path in paths}


def test_whole_ledger_has_no_findings_and_nothing_to_mend(ledger: Ledger) -> None:
    before = _files(ledger)
    assert inspect(ledger) == []
    assert repair(ledger) == []
    assert _files(ledger) == before


def _zero(path: Path) -> None:
    path.write_bytes(b"")


def _garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff garbage")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _wrong_id(path: Path) -> None:
    path.write_bytes(canonical(make_task("r.other")))


def _huge(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(2**32)


def _bom(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def _duplicate_key(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"run"', b'"run": "r", "run"'))


def _deep(path: Path) -> None:
    path.write_bytes(b"[" * 100_000)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.parents[2] / "elsewhere")
    path.symlink_to(path.parents[2] / "elsewhere")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _hard_link(path: Path) -> None:
    os.link(path, path.parents[2] / "elsewhere")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_zero, "unreadable"), (_garbage, "unreadable"), (_truncate, "unreadable"),
        (_wrong_id, "wrong-id"), (_huge, "unreadable"), (_bom, "unreadable"),
        (_duplicate_key, "unreadable"), (_deep, "unreadable"), (_fifo, "not-a-file"),
        (_link, "not-a-file"), (_folder, "not-a-file"), (_hard_link, "not-a-file"),
    ],
)
@pytest.mark.parametrize("is_committed", [False, True])
def test_file_that_is_no_task_goes_to_quarantine_and_the_task_is_written_anew(
    ledger: Ledger, spoil: Callable[[Path], None], code: str, *, is_committed: bool
) -> None:
    path = ledger.layout.task(Status.WAITING, "r.a")
    raw = path.read_bytes()
    branch: dict[str, bytes] = {}
    if is_committed:
        branch = _files(ledger)
        _commit(ledger)
    spoil(path)
    found = inspect(ledger, committed=branch.get)
    assert [(f.code, f.subject, f.severity) for f in found] == [(code, "waiting/r/r.a.json", "error")]
    assert repair(ledger, found, committed=branch.get) == found
    assert path.read_bytes() == raw
    quarantined = [p.name for p in (ledger.layout.root / "quarantine").iterdir()]
    assert sorted(quarantined) == [".keep", "waiting.r.r.a.json", "waiting.r.r.a.json.reason"]
    check_ledger(ledger, committed=branch.get)
    assert repair(ledger, committed=branch.get) == []


def _commit(ledger: Ledger) -> None:
    """Let the journal be in the history."""
    ledger.journal.rotate()
    for segment in ledger.journal.segments():
        ledger.journal.drop(segment)


def test_file_that_nobody_knows_is_kept_in_quarantine_only(ledger: Ledger) -> None:
    path = ledger.layout.folder(Status.PENDING) / "r.unknown.json"
    path.write_bytes(b"{}")
    assert _codes(ledger) == [("unreadable", "pending/r.unknown.json")]
    _mended(ledger)
    assert ledger.find("r.unknown") is None
    assert (ledger.layout.root / "quarantine" / "pending.r.unknown.json").read_bytes() == b"{}"


def test_file_of_a_newer_version_is_reported_and_left_alone(ledger: Ledger) -> None:
    path = ledger.layout.task(Status.WAITING, "r.a")
    path.write_bytes(path.read_bytes().replace(b"wfledger.task/1", b"wfledger.task/2"))
    raw = path.read_bytes()
    assert _codes(ledger) == [("newer", "waiting/r/r.a.json")]
    assert repair(ledger) == []
    assert path.read_bytes() == raw


@pytest.mark.parametrize(
    ("name", "code"), [("R.A.json", "case-twin"), ("bad name.json", "bad-name"), ("ü.json", "bad-name")]
)
def test_name_that_is_no_id_goes_to_quarantine(ledger: Ledger, name: str, code: str) -> None:
    path = ledger.layout.folder(Status.PENDING) / name
    path.write_bytes(canonical(make_task("r.a")))
    assert [c for c, _ in _codes(ledger)] == [code]
    _mended(ledger)
    assert not path.exists()
    assert ledger.get("r.a").status is Status.WAITING


def test_file_in_the_wrong_sub_folder_is_moved_to_its_own(ledger: Ledger) -> None:
    path = ledger.layout.task(Status.WAITING, "r.a")
    wrong = ledger.layout.folder(Status.WAITING) / "r.a.json"
    path.rename(wrong)
    assert _codes(ledger) == [("misplaced", "waiting/r.a.json")]
    _mended(ledger)
    assert path.exists()
    assert not wrong.exists()


# -- one task, two files -------------------------------------------------------------------------


def _move(ledger: Ledger, *targets: Status) -> None:
    for target in targets:
        with ledger.transaction("test") as changes:
            if target is Status.PENDING:
                changes.move("r.a", target, actor=Actor.SCHEDULER, why="", attempt=1)
            elif target is Status.IN_PROGRESS:
                changes.claim("r.a", record("ana"))
            else:
                changes.move("r.a", target, actor=Actor.WORKER, why="")


@pytest.mark.requirement("WFL-REC-008")
@pytest.mark.parametrize("is_committed", [False, True])
@pytest.mark.parametrize("way", [1, 2, 3])
def test_older_copy_in_another_folder_goes_to_quarantine(
    ledger: Ledger, way: int, *, is_committed: bool
) -> None:
    steps = [Status.PENDING, Status.IN_PROGRESS, Status.MERGING]
    places = [Status.WAITING, *steps]
    _move(ledger, *steps[: way - 1])
    source = ledger.layout.task(places[way - 1], "r.a")
    old = source.read_bytes()
    _move(ledger, steps[way - 1])
    new = ledger.get("r.a").task
    branch: dict[str, bytes] = {}
    if is_committed:
        branch = _files(ledger)
        _commit(ledger)
    source.write_bytes(old)
    found = inspect(ledger, committed=branch.get)
    assert [(f.code, f.subject) for f in found] == [("two-places", "r.a")]
    repair(ledger, committed=branch.get)
    entry = ledger.get("r.a")
    assert (entry.status, entry.task) == (steps[way - 1], new)
    kept = ledger.layout.root / "quarantine" / source.relative_to(ledger.layout.root).as_posix().replace("/", ".")
    assert kept.read_bytes() == old
    check_ledger(ledger, committed=branch.get)


@pytest.mark.requirement("WFL-REC-008")
def test_equal_copies_without_a_record_are_decided_by_the_claim(ledger: Ledger) -> None:
    for claimed, task_id in ((True, "r.x"), (False, "r.y")):
        put(ledger, Status.PENDING, task_id)
        put(ledger, Status.IN_PROGRESS, task_id)
        if claimed:
            ledger.layout.claim(task_id, 1).write_bytes(record("ana").to_bytes())
    repair(ledger)
    assert ledger.get("r.x").status is Status.IN_PROGRESS
    assert ledger.get("r.y").status is Status.PENDING


@pytest.mark.requirement("WFL-REC-008")
def test_two_truths_of_one_number_are_both_kept_and_neither_is_believed(ledger: Ledger) -> None:
    put(ledger, Status.BLOCKED, "r.x", seq=4, overtaken=1)
    put(ledger, Status.MERGING, "r.x", seq=4, overtaken=2)
    assert _codes(ledger) == [("split", "r.x")]
    _mended(ledger)
    assert ledger.find("r.x") is None
    kept = {p.name for p in (ledger.layout.root / "quarantine").glob("*.json")}
    assert kept == {"blocked.r.x.json", "merging.r.x.json"}


def test_two_truths_are_decided_by_the_branch(ledger: Ledger) -> None:
    put(ledger, Status.BLOCKED, "r.x", seq=4, overtaken=1)
    put(ledger, Status.MERGING, "r.x", seq=4, overtaken=2)
    right = ledger.layout.task(Status.MERGING, "r.x")
    branch = _files(ledger)
    del branch["blocked/r.x.json"]
    raw = right.read_bytes()
    repair(ledger, committed=branch.get)
    assert ledger.get("r.x").status is Status.MERGING
    assert right.read_bytes() == raw


# -- records and files ---------------------------------------------------------------------------


def test_lost_task_is_written_anew_from_the_journal(ledger: Ledger) -> None:
    _move(ledger, Status.PENDING, Status.IN_PROGRESS)
    path = ledger.layout.task(Status.IN_PROGRESS, "r.a")
    raw = path.read_bytes()
    path.unlink()
    assert _codes(ledger) == [("missing-task", "r.a")]
    _mended(ledger)
    assert path.read_bytes() == raw


def test_task_that_its_run_names_and_nobody_has_is_for_a_person(ledger: Ledger) -> None:
    run = ledger.run("r")
    with ledger.transaction("author") as changes:
        changes.put_run(run.but(seq=2, tasks=("r.a", "r.b", "r.gone")), why="")
    assert _codes(ledger) == [("missing-task", "r.gone")]
    assert repair(ledger) == []
    branch = {"done/r/r.gone.json": canonical(make_task("r.gone", seq=9, attempt=2))}
    repair(ledger, committed=branch.get)
    assert ledger.get("r.gone").status is Status.DONE


@pytest.mark.requirement("WFL-REC-007")
@pytest.mark.requirement("WFL-CLAIM-053")
def test_claim_by_mv_is_adopted_with_its_owner(ledger: Ledger) -> None:
    _move(ledger, Status.PENDING)
    take(ledger.layout, "r.a", record("shell"))
    assert _codes(ledger) == [("unrecorded-move", "r.a")]
    _mended(ledger)
    said = [r for r in ledger.journal.records() if r.get("task") == "r.a"][-1]
    assert (said["kind"], said["why"], said["claim"]["worker"]) == ("claim", "adopted", "shell")


@pytest.mark.requirement("WFL-REC-007")
@pytest.mark.requirement("WFL-CLAIM-053")
@pytest.mark.parametrize(
    ("target", "is_adopted"),
    [(Status.MERGING, True), (Status.BLOCKED, True), (Status.CANCELLED, True), (Status.DONE, False)],
)
def test_move_by_hand_is_adopted_where_somebody_may_make_it_and_else_undone(
    ledger: Ledger, target: Status, *, is_adopted: bool
) -> None:
    _move(ledger, Status.PENDING, Status.IN_PROGRESS)
    goal = ledger.layout.task(target, "r.a")
    goal.parent.mkdir(exist_ok=True)
    ledger.layout.task(Status.IN_PROGRESS, "r.a").rename(goal)
    assert _codes(ledger) == [("unrecorded-move" if is_adopted else "unexplained-move", "r.a")]
    _mended(ledger)
    assert ledger.get("r.a").status is (target if is_adopted else Status.IN_PROGRESS)


@pytest.mark.requirement("WFL-REC-006")
def test_file_older_than_its_record_is_written_again(ledger: Ledger) -> None:
    path = ledger.layout.task(Status.WAITING, "r.a")
    old = path.read_bytes()
    with ledger.transaction("scheduler") as changes:
        changes.update("r.a", why="", overtaken=5)
    new = path.read_bytes()
    path.write_bytes(old)
    assert _codes(ledger) == [("behind-record", "r.a")]
    _mended(ledger)
    assert path.read_bytes() == new


def test_edit_by_hand_under_the_same_number_is_kept_aside(ledger: Ledger) -> None:
    path = ledger.layout.task(Status.WAITING, "r.a")
    raw = path.read_bytes()
    path.write_bytes(canonical(ledger.get("r.a").task.but(overtaken=9)))
    assert _codes(ledger) == [("edited", "r.a")]
    _mended(ledger)
    assert path.read_bytes() == raw
    assert b"9" in (ledger.layout.root / "quarantine" / "waiting.r.r.a.json").read_bytes()


def test_task_that_neither_journal_nor_branch_knows_is_recorded(ledger: Ledger) -> None:
    put(ledger, Status.WAITING, "r.new")
    branch: dict[str, bytes] = {}
    found = inspect(ledger, committed=branch.get)
    assert [(f.code, f.subject) for f in found if f.severity == "warning"] == [("unrecorded-task", "r.new")]
    repair(ledger, found, committed=branch.get)
    assert [r["why"] for r in ledger.journal.records() if r.get("task") == "r.new"] == ["adopted"]


# -- claims, documents, journal ------------------------------------------------------------------


def test_claim_that_was_taken_back_and_not_moved_on_goes_back_to_waiting(ledger: Ledger) -> None:
    _move(ledger, Status.PENDING)
    ledger.layout.task(Status.PENDING, "r.a").rename(ledger.layout.task(Status.IN_PROGRESS, "r.a"))
    repair(ledger)
    assert _codes(ledger) == [("unclaimed", "r.a")]
    assert take_back(ledger.layout, "r.a", 1)
    assert _codes(ledger) == [("taken-back", "r.a")]
    _mended(ledger)
    assert ledger.get("r.a").status is Status.WAITING


def test_strange_claims_and_results_are_told_and_left(ledger: Ledger) -> None:
    ledger.layout.claim("r.none", 1).touch()
    with ledger.transaction("worker") as changes:
        changes.put_result(Result(task="r.none", attempt=1, status="failed"))
    _move(ledger, Status.PENDING, Status.IN_PROGRESS)
    ledger.layout.claim("r.a", 1).write_bytes(b"")
    assert sorted(_codes(ledger)) == [
        ("illegible-claim", "r.a"), ("orphan-claim", "claims/r.none.1"), ("orphan-result", "results/r.none"),
    ]
    assert repair(ledger) == []


@pytest.mark.parametrize("spoil", [_zero, _garbage, _fifo, Path.unlink])
@pytest.mark.parametrize("relative", ["runs/r.json", "ledger.json", "results/r.a/1.json"])
def test_spoiled_document_is_written_anew(
    ledger: Ledger, relative: str, spoil: Callable[[Path], None]
) -> None:
    with ledger.transaction("worker") as changes:
        changes.put_result(Result(task="r.a", attempt=1, status="succeeded"))
    branch = _files(ledger)
    _commit(ledger)
    path = ledger.layout.root / relative
    spoil(path)
    if relative.startswith("results") and not path.exists():
        return  # a result that is gone is not missed: nothing says that there was one
    found = inspect(ledger, committed=branch.get)
    assert [f.subject for f in found] == [relative]
    repair(ledger, found, committed=branch.get)
    assert path.read_bytes() == branch[relative]
    assert inspect(ledger, committed={**branch, **_files(ledger)}.get) == []


def test_missing_run_that_nobody_has_is_for_a_person(ledger: Ledger) -> None:
    _commit(ledger)
    (ledger.layout.root / "runs" / "r.json").unlink()
    found = inspect(ledger)
    assert [(f.code, f.subject, f.repair) for f in found] == [("missing-document", "runs/r.json", None)]


def test_tasks_of_a_run_that_was_not_submitted_whole_are_cancelled(ledger: Ledger) -> None:
    with ledger.transaction("author") as changes:
        changes.add(make_task("half.a"))
        changes.add(make_task("half.b"))
    branch = _files(ledger)
    _commit(ledger)
    found = inspect(ledger, committed=branch.get)
    assert [(f.code, f.severity, f.subject) for f in found] == [
        ("unsubmitted", "warning", "runs/half.json")
    ]
    repair(ledger, found, committed=branch.get)
    assert ledger.names(Status.CANCELLED, run="half") == ["half.a", "half.b"]
    assert inspect(ledger, committed=_files(ledger).get) == []


def test_missing_folder_and_keep_are_made(ledger: Ledger) -> None:
    pending = ledger.layout.folder(Status.PENDING)
    (pending / ".keep").unlink()
    pending.rmdir()
    (ledger.layout.folder(Status.DONE) / ".keep").unlink()
    (ledger.layout.local / "beats").rmdir()
    assert sorted(_codes(ledger)) == [
        ("missing-folder", "beats"), ("missing-folder", "pending"), ("missing-keep", "done/.keep"),
    ]
    _mended(ledger)
    assert (pending / ".keep").exists()


def test_torn_journal_is_told_and_a_damaged_one_is_read_past(ledger: Ledger) -> None:
    path = ledger.journal.active
    raw = path.read_bytes()
    path.write_bytes(raw + b"0123")
    assert _codes(ledger) == [("journal-torn", path.name)]
    lines = raw.splitlines(keepends=True)
    path.write_bytes(lines[0] + b"damage\n" + lines[2])
    assert _codes(ledger) == [("journal-damaged", path.name)]
    _mended(ledger)
    assert {r.get("task") for r in ledger.journal.records()} >= {None, "r.b"}
    kept = ledger.layout.root / "quarantine" / f"journal.{path.stem}{journal.CLOSED}"
    assert b"damage" in kept.read_bytes()


def test_temporary_of_a_dead_process_is_removed_and_others_stay(ledger: Ledger) -> None:
    dead, alive, foreign = (
        ledger.layout.tmp / name for name in ("999999999-1.tmp", f"{os.getpid()}-1.tmp", "notes.txt")
    )
    for path in (dead, alive, foreign):
        path.touch()
    young = ledger.layout.tmp / "999999998-1.tmp"
    young.touch()
    os.utime(young, (LATER.timestamp(), LATER.timestamp()))
    assert _codes(ledger) == [("leftover", dead.name)]
    repair(ledger)
    assert sorted(p.name for p in ledger.layout.tmp.iterdir()) == sorted(
        [alive.name, foreign.name, young.name]
    )


def test_only_the_findings_that_are_given_are_mended(ledger: Ledger) -> None:
    for name in ("r.a", "r.b"):
        _zero(ledger.layout.task(Status.WAITING, name))
    first, second = inspect(ledger)
    assert repair(ledger, [first]) == [first]
    assert inspect(ledger) == [second]


def test_finding_that_is_not_so_any_more_is_left_alone(ledger: Ledger) -> None:
    path = ledger.layout.task(Status.WAITING, "r.a")
    raw = path.read_bytes()
    _zero(path)
    found = inspect(ledger)
    path.write_bytes(raw)
    assert repair(ledger, found) == []
    assert path.read_bytes() == raw


@pytest.mark.parametrize("target", ["r.loop", "/etc", "../runs"])
def test_link_among_the_results_is_not_followed_and_goes_to_quarantine(
    tmp_path: Path, target: str
) -> None:
    ledger = make_ledger(tmp_path)
    link = ledger.layout.root / "results" / "r.loop"
    link.symlink_to(target)
    found = [one for one in inspect(ledger) if one.subject == "results/r.loop"]
    assert [one.code for one in found] == ["unreadable-document"]
    repair(ledger, found)
    assert not os.path.lexists(link)
