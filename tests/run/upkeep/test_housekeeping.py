"""What a ledger that runs for weeks leaves behind, and what it must never lose by tidying up."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.engines import Listener, drive, statuses
from tests.support.repos import git
from tests.support.workspaces import RUN, add_run, add_task, make_workspace, put_merging, start
from wfledger.clock import iso
from wfledger.core.documents import Landed
from wfledger.core.policy import Policy, Retention
from wfledger.run.attempts.keeping import kept_head
from wfledger.run.doctor.checkup import Checkup
from wfledger.run.engine import Pulse
from wfledger.run.people import cancel
from wfledger.run.refnames import ARCHIVE
from wfledger.run.upkeep.archiving import archive_refs
from wfledger.run.upkeep.clearing import clear_attempts, clear_logs, clear_tmp, final_tasks
from wfledger.run.upkeep.housekeeping import EVERY_S, is_due, keep_house, keep_house_if_due
from wfledger.run.workspace import Workspace
from wfledger.store.inspect import Finding
from wfledger.store.locks import LiveLock

DAY = 86_400.0


def _local(workspace: Workspace) -> Counter[str]:
    """Count this machine's files by folder."""
    local = workspace.ledger.layout.local
    return Counter(
        Path(folder).relative_to(local).parts[0]
        for folder, _, names in os.walk(local) if folder != str(local)
        for _ in names
    )


def _refs(workspace: Workspace, prefix: str = "refs/wfledger") -> list[str]:
    return git(workspace.main, "for-each-ref", "--format=%(refname)", prefix).splitlines()


def _done(workspace: Workspace, node: str) -> str:
    add_task(workspace, node, command=f"echo done > src/{node}", write=("src/**",))
    assert drive(workspace).verdict.state == "succeeded"
    return f"{RUN}.{node}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def workspace(tmp_path: Path, clock: FakeClock) -> Workspace:
    return make_workspace(tmp_path, {"src/a": "a\n"}, clock=clock)


def test_files_of_an_attempt_go_when_its_task_is_final(workspace: Workspace) -> None:
    task = start(workspace, add_task(workspace, "a", manual=True, command=None).id)
    layout = workspace.ledger.layout
    mine = [layout.token(task.id, 1), layout.claim(task.id, 1), layout.stop(task.id, 1)]
    layout.stop(task.id, 1).write_text("why\n")
    clear_attempts(workspace, final_tasks(workspace))
    assert all(path.exists() for path in mine)
    layout.stop(task.id, 1).unlink()
    cancel(workspace, task.id)
    layout.stop(task.id, 1).write_text("why\n")
    clear_attempts(workspace, final_tasks(workspace))
    assert not any(path.exists() for path in mine)


def test_claim_record_of_an_earlier_attempt_stays_while_the_task_is_open(
    workspace: Workspace,
) -> None:
    from wfledger.run.attempts.claims import release

    task = start(workspace, add_task(workspace, "a", manual=True, command=None).id)
    layout = workspace.ledger.layout
    release(workspace, task.id, layout.token(task.id, 1).read_text())
    start(workspace, task.id)
    clear_attempts(workspace, final_tasks(workspace))
    assert layout.claim(task.id, 1).exists()
    assert not layout.token(task.id, 1).exists()
    assert layout.token(task.id, 2).exists()


def test_lock_that_somebody_holds_stays(workspace: Workspace, clock: FakeClock) -> None:
    task = start(workspace, add_task(workspace, "a", manual=True, command=None).id)
    cancel(workspace, task.id)
    path = workspace.ledger.layout.live(task.id, 1)
    held = LiveLock(path)
    _age(path, clock, 2 * DAY)
    clear_attempts(workspace, final_tasks(workspace))
    assert path.exists()
    held.release()
    clear_attempts(workspace, final_tasks(workspace))
    assert not path.exists()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _findings(workspace: Workspace) -> list[Finding]:
    home = workspace.state.parent.parent
    return Checkup(workspace.main, clock=workspace.clock, state_home=home).look()


def _age(path: Path, clock: FakeClock, seconds: float) -> None:
    moment = clock.now().timestamp() - seconds
    os.utime(path, (moment, moment))


@pytest.mark.requirement("WFL-MODEL-051")
def test_logs_go_by_age_and_beyond_the_bound_oldest_first(
    workspace: Workspace, clock: FakeClock
) -> None:
    final = start(workspace, add_task(workspace, "f", manual=True, command=None).id)
    cancel(workspace, final.id)
    open_ = start(workspace, add_task(workspace, "o", manual=True, command=None).id)
    logs = workspace.ledger.layout.local / "logs"
    for name, age in ((f"{final.id}.1.log", 9), (f"{final.id}.1.setup.log", 3),
                      (f"{final.id}.1.verify.log", 1), (f"{open_.id}.1.log", 99)):  # fmt: skip
        (logs / name).write_bytes(b"x" * 1000)
        _age(logs / name, clock, age * DAY)
    bounds = Retention(logs_s=8 * DAY, log_bytes=1500)
    transcripts = logs.with_name("transcripts")
    transcripts.mkdir()
    for task in (final, open_):
        (transcripts / f"{task.id}.1.jsonl").write_bytes(b"x")
        _age(transcripts / f"{task.id}.1.jsonl", clock, 9 * DAY)
    assert clear_logs(workspace, bounds, final_tasks(workspace)) == 3
    assert _names(logs) == [f"{final.id}.1.verify.log", f"{open_.id}.1.log"]
    assert _names(transcripts) == [f"{open_.id}.1.jsonl"]


def test_temporary_files_go_when_they_are_old(workspace: Workspace, clock: FakeClock) -> None:
    tmp = workspace.ledger.layout.tmp
    (tmp / "sealed-old").mkdir()
    (tmp / "sealed-old" / "index").write_text("x")
    (tmp / "old").write_text("x")
    clock.jump(3 * DAY)  # the time of day says nothing about how long they are there
    assert clear_tmp(workspace, older_s=DAY) == 0
    clock.jump(3 * DAY)
    assert clear_tmp(workspace, older_s=DAY) == 0
    clock.advance(DAY)
    (tmp / "young").write_text("x")
    assert clear_tmp(workspace, older_s=DAY) == 2
    assert _names(tmp) == ["young"]


def test_refs_of_old_tasks_are_folded_and_their_work_is_found_as_before(
    workspace: Workspace, clock: FakeClock
) -> None:
    task_id = _done(workspace, "a")
    kept = kept_head(workspace, task_id, 1)
    assert kept is not None
    assert archive_refs(workspace, older_s=DAY) == 0
    clock.advance(2 * DAY)
    young = put_merging(workspace, "young", {"src/b": "b\n"})
    assert archive_refs(workspace, older_s=DAY) == 2
    left = _refs(workspace)
    assert not [ref for ref in left if task_id in ref]
    assert f"refs/wfledger/keep/{young.id}/1" in left
    assert kept_head(workspace, task_id, 1) == kept
    git(workspace.main, "merge-base", "--is-ancestor", kept, ARCHIVE)
    assert archive_refs(workspace, older_s=DAY) == 0
    codes = {found.code for found in _findings(workspace)}
    assert not codes & {"missing-proof", "missing-keep-ref", "lost-work", "landed-lost"}


def test_archive_grows_by_descent(workspace: Workspace, clock: FakeClock) -> None:
    tips = []
    for node in ("a", "b"):
        _done(workspace, node)
        clock.advance(2 * DAY)
        archive_refs(workspace, older_s=DAY)
        tips.append(git(workspace.main, "rev-parse", ARCHIVE))
    git(workspace.main, "merge-base", "--is-ancestor", *tips)


def test_branch_of_a_landed_run_goes_and_that_of_an_open_one_stays(
    workspace: Workspace, clock: FakeClock
) -> None:
    add_run(workspace, "r2")
    with workspace.ledger.transaction("test") as changes:
        for run_id in (RUN, "r2"):
            run = workspace.ledger.run(run_id)
            changes.put_run(run.but(seq=run.seq + 1, plan="goal: x\n"), why="test")
        run = workspace.ledger.run("r2")
        landed = Landed(how="nothing", at=iso(clock.now()))
        changes.put_run(run.but(seq=run.seq + 1, state="landed", landed=landed), why="test")
    clock.advance(2 * DAY)
    tip = git(workspace.main, "rev-parse", "refs/heads/wf/r2")
    assert archive_refs(workspace, older_s=DAY) == 1
    assert _refs(workspace, "refs/heads/wf") == [f"refs/heads/wf/{RUN}"]
    git(workspace.main, "merge-base", "--is-ancestor", tip, ARCHIVE)


def test_round_is_due_each_hour_and_when_the_clock_went_back(
    workspace: Workspace, clock: FakeClock
) -> None:
    assert is_due(workspace)
    assert keep_house_if_due(workspace, lambda *_: None) is not None
    assert not is_due(workspace)
    clock.advance(EVERY_S)
    assert is_due(workspace)
    keep_house(workspace)
    clock.jump(-DAY)
    assert is_due(workspace)


def test_round_is_left_to_whoever_is_at_it(workspace: Workspace) -> None:
    other = Workspace.open(
        workspace.main, clock=workspace.clock, state_home=workspace.state.parent.parent
    )
    # In a thread of its own: one may hold only one lock of a kind.
    with other.ledger.locks.hold("history"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(keep_house, workspace).result() is None
    assert keep_house(workspace) is not None


@dataclass
class Ticking(Listener):
    """Lets a second pass at each tick."""

    clock: FakeClock = field(default_factory=FakeClock)

    def pulse(self, pulse: Pulse) -> None:
        super().pulse(pulse)
        self.clock.advance(1)


@pytest.mark.long
@pytest.mark.requirement("WFL-LEDGER-060", "WFL-LEDGER-061", "WFL-LEDGER-062")
@pytest.mark.timeout(300)
def test_simulated_week_leaves_disk_refs_descriptors_and_memory_bounded(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bounds are made small, so that a week's tasks reach them many times over.
    from wfledger.run.upkeep import housekeeping

    for name, value in (("_LOOSE", 270), ("_LOOSE_REFS", 14), ("_PACKS", 3)):
        monkeypatch.setattr(housekeeping, name, value)
    day = Retention(logs_s=DAY, log_bytes=100_000, refs_s=DAY)
    workspace = make_workspace(
        tmp_path, {"src/a": "a\n"}, clock=clock, policy=Policy(retention=day)
    )
    seen = []
    for hour in range(7 * 24):
        if hour % 3 == 0:
            flaky = "test $WFLEDGER_ATTEMPT -gt 1 || exit 1; " if hour % 15 == 0 else ""
            add_task(
                workspace, f"t{hour}", command=f"{flaky}echo {hour} > src/file",
                write=("src/file",), retry={"on": ("task",), "backoff_s": 0.01, "backoff_max_s": 1},
            )
            assert drive(workspace, slots=1, listener=Ticking(clock=clock)).verdict.state == "succeeded"
        clock.advance(3600)
        _touch_by_clock(workspace, clock)
        keep_house_if_due(workspace, lambda *_: None)
        if hour % 24 == 23:
            seen.append(_sizes(workspace))
    assert set(statuses(workspace).values()) == {"done"}
    second, last = seen[1], seen[-1]
    for what in ("local", "refs", "loose", "packs", "descriptors"):
        assert last[what] <= second[what] * 1.5 + 20, (what, seen)
    assert last["memory"] <= second["memory"] + 30 * 2**20, seen
    assert [found for found in _findings(workspace) if found.severity != "note"] == []


def _touch_by_clock(workspace: Workspace, clock: FakeClock) -> None:
    """Give what was written since the time of the simulated clock, as a real week would."""
    real_start = clock.now().timestamp() + 86_400 * 30
    for folder, _, names in os.walk(workspace.ledger.layout.local):
        for name in names:
            path = Path(folder, name)
            if path.stat().st_mtime > real_start:
                os.utime(path, (clock.now().timestamp(),) * 2)


def _sizes(workspace: Workspace) -> dict[str, int]:
    from wfledger.vcs.packs import loose_objects, packs

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "local": sum(_local(workspace).values()),
        "refs": len(_refs(workspace)) + len(_refs(workspace, "refs/heads")),
        "loose": loose_objects(workspace.repo),
        "packs": packs(workspace.repo),
        "descriptors": len(_names(Path("/proc/self/fd"))),
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
    }
