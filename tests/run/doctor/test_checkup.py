"""The check-up: each departure is planted, found, repaired and gone, and nothing is lost."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import planting
from tests.support.checkups import (
    STATUSES,
    branch_tip,
    checkup,
    codes,
    fix,
    lived_in,
    look,
    statuses,
)
from tests.support.planting import LEDGER, PIN, PLANTS, REBUILT
from tests.support.repos import git
from tests.support.workspaces import BRANCH, add_task, open_workspace
from wfledger.clock import SystemClock
from wfledger.core.documents import Landed
from wfledger.core.records import canonical
from wfledger.core.statuses import Actor, Status
from wfledger.errors import LedgerDamagedError, NoLedgerError
from wfledger.run.attempts import worktrees
from wfledger.run.commit import commit_journal
from wfledger.run.doctor.checkup import Checkup
from wfledger.run.doctor.mounts import kind_of, network_kind, unsure_kind
from wfledger.run.setup import initialise
from wfledger.run.workspace import Workspace


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return lived_in(tmp_path)


def test_sound_ledger_has_no_findings(ws: Workspace) -> None:
    assert look(ws.main) == []
    assert statuses(ws) == dict(sorted(STATUSES.items()))


def test_look_changes_nothing(ws: Workspace) -> None:
    shutil.rmtree(ws.ledger.layout.root)
    refs = git(ws.main, "for-each-ref")
    look(ws.main)
    assert not ws.ledger.layout.root.exists()
    assert git(ws.main, "for-each-ref") == refs


def test_repair_records_nothing_that_another_recorded_since_the_look(ws: Workspace) -> None:
    with ws.ledger.transaction("test") as changes:
        changes.move("r1.waiting", Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1)
    commit_journal(ws)
    layout = ws.ledger.layout
    layout.task(Status.PENDING, "r1.waiting").rename(layout.task(Status.IN_PROGRESS, "r1.waiting"))
    planting.show_to_git(ws)  # is repaired first, and meanwhile another doctor repairs everything
    said: list[str] = []

    def meanwhile(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            fix(ws.main)
            add_task(ws, "more")  # what is recorded twice needs company to be committed

    checkup(ws.main).fix(meanwhile)
    told = git(ws.main, "log", "--format=%(trailers:key=Wfledger-Transition,valueonly)", LEDGER)
    assert told.count("r1.waiting pending -> in-progress") == 1


def test_repository_without_ledger_is_told_apart(repo: Path) -> None:
    with pytest.raises(NoLedgerError):
        look(repo)


def test_setting_that_does_nothing_is_named(ws: Workspace) -> None:
    path = ws.ledger.layout.root / "ledger.json"
    config = json.loads(path.read_bytes())
    path.write_text(json.dumps({**config, "policy": {"gates": {"command": "false"}}, "x": 1}))
    found = [one.message for one in look(ws.main) if one.code == "unknown-setting"]
    assert found == [
        "/x is not known here and has no effect",
        "/policy/gates is not known here and has no effect; did you mean gate?",
    ]


# -- each departure ------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-REC-022")
@pytest.mark.sampled(12)
@pytest.mark.parametrize("name", PLANTS)
def test_departure_is_found_repaired_and_gone(ws: Workspace, name: str) -> None:
    plant = PLANTS[name]
    tip = branch_tip(ws)
    plant.make(ws)
    assert plant.code in codes(ws.main)

    repaired = fix(ws.main)

    assert plant.code in {finding.code for finding in repaired.done}
    assert look(ws.main) == []
    again = open_workspace(ws.main)
    moved = dict(plant.moved) | ({"r1.merging": Status.WAITING} if name in REBUILT else {})
    assert statuses(again) == dict(sorted((STATUSES | moved).items()))
    assert git(ws.main, "status", "--short") == ""
    assert git(planting.root(ws), "status", "--short") == ""
    if name != "landed":
        assert branch_tip(ws) == tip


def test_repair_loses_no_ref(ws: Workspace) -> None:
    before = set(git(ws.main, "for-each-ref", "--format=%(refname)").split())
    planting.remove(ws)
    planting.delete_branch(ws)
    fix(ws.main)
    assert before <= set(git(ws.main, "for-each-ref", "--format=%(refname)").split())


# -- what a repair keeps -------------------------------------------------------------------------


def test_what_stood_in_the_place_of_the_ledger_is_kept(ws: Workspace) -> None:
    planting.replace_by_repository(ws)
    fix(ws.main)
    kept = list((planting.local(ws) / "aside").glob("*/precious"))
    assert [path.read_text() for path in kept] == ["mine"]


def test_strayed_branch_keeps_its_commits_under_a_ref(ws: Workspace) -> None:
    main = git(ws.main, "rev-parse", "refs/heads/main")
    planting.divert(ws)
    fix(ws.main)
    assert git(ws.main, "rev-parse", f"refs/wfledger/strayed/{main}") == main
    assert git(ws.main, "rev-parse", LEDGER) == git(ws.main, "rev-parse", PIN)


@pytest.mark.requirement("WFL-REC-002")
def test_work_in_an_orphaned_worktree_is_kept(ws: Workspace) -> None:
    planting.leave_orphan(ws)
    folder = ws.state / "r9.gone.1"
    (folder / "new.txt").write_text("work\n")
    fix(ws.main)
    assert not folder.exists()
    assert git(ws.main, "show", "refs/wfledger/keep/r9.gone/1:new.txt") == "work"


def test_work_in_an_unrecorded_worktree_is_kept(ws: Workspace) -> None:
    planting.leave_unrecorded(ws)
    fix(ws.main)
    assert not (ws.state / "r1.done.7").exists()
    assert git(ws.main, "show", "refs/wfledger/keep/r1.done/7:src/app.py") == "VALUE = 2"


def test_branch_without_worktree_becomes_a_keep_ref(ws: Workspace) -> None:
    planting.leave_branch(ws)
    fix(ws.main)
    assert git(ws.main, "show", "refs/wfledger/keep/r1.done/8:src/left.py") == "left"
    assert git(ws.main, "for-each-ref", "refs/heads/wf-try/r1.done") == ""


def test_worktree_of_an_attempt_under_way_is_left_alone(ws: Workspace) -> None:
    place = worktrees.make(
        ws, "r1.working.1", base=branch_tip(ws), branch="refs/heads/wf-try/r1.working/1",
        purpose="attempt",
    )  # fmt: skip
    assert look(ws.main) == []
    fix(ws.main)
    assert place.folder.exists()


@pytest.mark.requirement("WFL-LEDGER-051")
def test_attempt_numbers_rise_where_only_the_branch_knows_the_task(ws: Workspace) -> None:
    planting.remove(ws)
    for path in (planting.local(ws) / "claims").iterdir():
        path.unlink()
    fix(ws.main)
    entry = open_workspace(ws.main).ledger.get("r1.working")
    assert (entry.status, entry.task.attempt) == (Status.WAITING, 2)


def test_record_of_the_journal_survives_the_removal(ws: Workspace) -> None:
    add_task(ws, "fresh", write=("src/f",))
    planting.remove(ws)
    fix(ws.main)
    assert open_workspace(ws.main).ledger.get("r1.fresh").status is Status.WAITING


def test_move_by_hand_survives_the_loss_of_the_pointer(ws: Workspace) -> None:
    layout = ws.ledger.layout
    with ws.ledger.transaction("test") as changes:
        changes.move(
            "r1.waiting", Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1
        )
    commit_journal(ws)
    goal = layout.task(Status.IN_PROGRESS, "r1.waiting")
    layout.task(Status.PENDING, "r1.waiting").rename(goal)
    planting.remove_pointer(ws)
    fix(ws.main)
    assert open_workspace(ws.main).ledger.get("r1.waiting").status is Status.IN_PROGRESS


def test_garbled_configuration_is_not_adopted_but_written_anew(ws: Workspace) -> None:
    config = (planting.root(ws) / "ledger.json").read_bytes()
    (planting.root(ws) / "ledger.json").write_text("{")
    assert codes(ws.main) == {"unreadable-document"}
    fix(ws.main)
    assert (planting.root(ws) / "ledger.json").read_bytes() == config
    assert (planting.root(ws) / "quarantine/ledger.json").read_text() == "{"


def test_moved_repository_finds_its_ledger_again(ws: Workspace, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    ws.main.rename(there)
    assert codes(there) & {"moved", "folder-unpointed"}
    fix(there)
    assert look(there) == []
    assert statuses(open_workspace(there)) == dict(sorted(STATUSES.items()))


# -- what a person has to decide -----------------------------------------------------------------


@pytest.mark.requirement("WFL-LAND-022")
def test_lost_landing_is_reported_with_the_command_that_brings_it_back(ws: Workspace) -> None:
    lost = branch_tip(ws)
    git(ws.main, "update-ref", BRANCH, f"{BRANCH}~1")
    found = {finding.code: finding for finding in look(ws.main)}
    assert found["target-rewound"].message.endswith(f"git update-ref {BRANCH} {lost}")
    assert found["landed-lost"].subject == "r1.done"
    assert fix(ws.main).done == []
    git(ws.main, "update-ref", BRANCH, lost)
    assert look(ws.main) == []


@pytest.mark.requirement("WFL-REC-011")
@pytest.mark.requirement("WFL-LEDGER-052")
def test_done_with_a_commit_that_is_nowhere_is_not_believed(ws: Workspace) -> None:
    path = ws.ledger.layout.task(Status.DONE, "r1.done")
    task = ws.ledger.get("r1.done").task
    forged = Landed(target=BRANCH, commit="0" * 39 + "1", how="merged", at="")
    with ws.ledger.transaction("test") as changes:
        changes.restore(task.next(landed=forged), Status.DONE, source=Status.DONE, why="test")
    assert canonical(task.next(landed=forged)) == path.read_bytes()
    assert codes(ws.main) >= {"landed-lost"}


def test_work_that_is_gone_is_said_to_be(ws: Workspace) -> None:
    path = planting.root(ws) / "results/r1.merging/1.json"
    result = json.loads(path.read_bytes()) | {"head": "0" * 39 + "1"}
    with ws.ledger.transaction("test") as changes:
        changes.put_file("results/r1.merging/1.json", json.dumps(result).encode(), why="test")
    git(ws.main, "update-ref", "-d", "refs/wfledger/keep/r1.merging/1")
    found = {finding.code: finding for finding in look(ws.main)}
    assert found["lost-work"].severity == "error"
    assert found["lost-work"].repair is None


def test_lock_of_somebody_who_may_live_is_named_and_left(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wfledger.vcs.stale.STALE_S", -1.0)
    argv = ["git", "-C", str(ws.main), "cat-file", "--batch"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as alive:
        lock = ws.common_dir / "packed-refs.lock"
        lock.touch()
        assert codes(ws.main) == {"foreign-lock"}
        fix(ws.main)
        assert lock.exists()
        alive.kill()


def test_lock_of_a_git_that_is_gone_is_removed(ws: Workspace) -> None:
    lock = ws.common_dir / "packed-refs.lock"
    lock.touch()
    os.utime(lock, (1_600_000_000, 1_600_000_000))
    assert codes(ws.main) == {"stale-lock"}
    fix(ws.main)
    assert not lock.exists()


def test_fresh_lock_is_left_alone(ws: Workspace) -> None:
    lock = ws.common_dir / "refs/wfledger/ledger.lock"
    lock.touch()
    assert look(ws.main) == []


def test_lock_that_is_held_open_is_left_alone(ws: Workspace) -> None:
    lock = ws.common_dir / "refs/wfledger/ledger.lock"
    with lock.open("w"):
        os.utime(lock, (1_600_000_000, 1_600_000_000))
        assert look(ws.main) == []
    lock.unlink()


# -- other verbs ---------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-LEDGER-011")
def test_opening_a_damaged_ledger_names_the_way_out(ws: Workspace) -> None:
    for make in (planting.remove, planting.remake):
        make(ws)
        with pytest.raises(LedgerDamagedError) as caught:
            open_workspace(ws.main)
        assert caught.value.hint == "wfledger doctor --fix"
        fix(ws.main)


@pytest.mark.requirement("WFL-LEDGER-012")
def test_change_by_a_process_that_had_it_open_does_not_bring_it_back(ws: Workspace) -> None:
    planting.remove(ws)
    with pytest.raises(LedgerDamagedError):
        add_task(ws, "late")
    assert not planting.root(ws).exists()


def test_process_that_had_it_open_goes_on_after_the_rebuild(ws: Workspace) -> None:
    planting.remove(ws)
    fix(ws.main)
    add_task(ws, "late", write=("src/l",))
    assert ws.ledger.get("r1.late").status is Status.WAITING


@pytest.mark.requirement("WFL-LEDGER-001")
def test_ledger_stands_in_the_main_checkout_wherever_it_was_begun(
    repo: Path, tmp_path: Path
) -> None:
    git(repo, "worktree", "add", "-q", "--detach", str(tmp_path / "other"))
    made = initialise(tmp_path / "other", clock=SystemClock())
    assert made.root == repo / ".wfledger"
    assert look(tmp_path / "other") == []


# -- power loss ----------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-REC-005")
def test_first_change_after_a_boot_redoes_what_power_loss_undid(ws: Workspace) -> None:
    add_task(ws, "fresh", write=("src/f",))
    planting.note_other_boot(ws)
    ws.ledger.layout.task(Status.WAITING, "r1.fresh").write_bytes(b"")
    again = open_workspace(ws.main)
    add_task(again, "next", write=("src/n",))
    assert again.ledger.get("r1.fresh").status is Status.WAITING
    assert [finding.code for finding in look(ws.main)] == ["quarantined"]


def test_reading_after_a_boot_changes_nothing(ws: Workspace) -> None:
    planting.note_other_boot(ws)
    open_workspace(ws.main).ledger.get("r1.waiting")
    assert (planting.local(ws) / "boot").read_text() == "another\n"


@pytest.mark.requirement("WFL-REC-005")
def test_rebuild_that_was_killed_is_finished_by_the_next_change(ws: Workspace) -> None:
    ground = Checkup(ws.main, ws.clock, ws.state.parent.parent)
    assert ground.look() == []
    (planting.local(ws) / "boot").write_text("rebuilding\n")
    for status in Status:
        shutil.rmtree(planting.root(ws) / status.value)
        (planting.root(ws) / status.value).mkdir()
    again = open_workspace(ws.main)
    add_task(again, "next", write=("src/n",))
    assert again.ledger.get("r1.waiting").status is Status.WAITING


# -- file systems --------------------------------------------------------------------------------

MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /net rw shared:5 - nfs4 server:/export rw
31 22 0:41 / /net/with\\040space rw - fuse.sshfs host: rw
32 30 0:42 / /net/local rw - ext4 /dev/sdb1 rw
"""


@pytest.mark.requirement("WFL-LEDGER-016")
def test_kind_of_file_system_is_that_of_the_innermost_mount() -> None:
    assert kind_of(Path("/home/me"), MOUNTS) == "ext4"
    assert network_kind(Path("/net/repo"), MOUNTS) == "nfs4"
    assert network_kind(Path("/net/local/repo"), MOUNTS) is None
    assert unsure_kind(Path("/net/with space/repo"), MOUNTS) == "fuse.sshfs"
    assert unsure_kind(Path("/home"), MOUNTS) is None
    assert kind_of(Path("/home"), "") is None


def test_pruned_objects_are_a_finding_and_not_the_end(ws: Workspace) -> None:
    (ws.common_dir / BRANCH).write_text("1" * 40 + "\n")
    found = codes(ws.main)
    assert "objects-gone" in found
