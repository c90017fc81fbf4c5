"""The check-up: each departure is planted, found, repaired and gone, and nothing is lost."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.checkups import STATUSES, branch_tip, codes, fix, lived_in, look, statuses
from tests.support.landings import announce
from tests.support.repos import git
from tests.support.workspaces import BRANCH, add_task, move_branch, open_workspace
from wfledger.core.documents import Landed, canonical
from wfledger.core.statuses import Actor, Status
from wfledger.errors import LedgerDamagedError, NoLedgerError
from wfledger.run import worktrees
from wfledger.run.checkup import Checkup
from wfledger.run.commit import commit_journal
from wfledger.run.mounts import kind_of, network_kind, unsure_kind
from wfledger.run.workspace import Workspace

LEDGER = "refs/heads/wfledger"
PIN = "refs/wfledger/ledger"


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


def test_repository_without_ledger_is_told_apart(repo: Path) -> None:
    with pytest.raises(NoLedgerError):
        look(repo)


# -- each departure ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plant:
    """A departure, how to make it, and where tasks are after the repair if not where they were."""

    code: str
    make: Callable[[Workspace], object]
    moved: tuple[tuple[str, Status], ...] = ()


def _root(ws: Workspace) -> Path:
    return ws.ledger.layout.root


def _local(ws: Workspace) -> Path:
    return ws.ledger.layout.local


def _remove(ws: Workspace) -> None:
    shutil.rmtree(_root(ws))


def _remake(ws: Workspace) -> None:
    _remove(ws)
    (_root(ws) / "pending").mkdir(parents=True)


def _replace_by_repository(ws: Workspace) -> None:
    _remove(ws)
    _root(ws).mkdir()
    git(_root(ws), "init", "--quiet")
    (_root(ws) / "precious").write_text("mine")


def _replace_by_link(ws: Workspace) -> None:
    _remove(ws)
    _root(ws).symlink_to(ws.main / "src")


def _replace_by_file(ws: Workspace) -> None:
    _remove(ws)
    _root(ws).write_text("precious")


def _entry(ws: Workspace) -> Path:
    return Path((_root(ws) / ".git").read_text().removeprefix("gitdir: ").strip())


def _remove_entry(ws: Workspace) -> None:
    shutil.rmtree(_entry(ws))


def _remove_pointer(ws: Workspace) -> None:
    (_root(ws) / ".git").unlink()


def _check_other_branch_out(ws: Workspace) -> None:
    git(_root(ws), "checkout", "--quiet", "-b", "other")


def _delete_branch(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", LEDGER)


def _delete_pin(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", PIN)


def _delete_both(ws: Workspace) -> None:
    _delete_branch(ws)
    _delete_pin(ws)


def _rewind(ws: Workspace) -> None:
    git(ws.main, "update-ref", LEDGER, git(ws.main, "rev-parse", f"{LEDGER}~1"))


def _divert(ws: Workspace) -> None:
    git(ws.main, "update-ref", LEDGER, "refs/heads/main")


def _lock_of(path: str) -> Callable[[Workspace], None]:
    def make(ws: Workspace) -> None:
        lock = (_entry(ws) if path.startswith("index") else ws.common_dir) / path
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
        os.utime(lock, (1_600_000_000, 1_600_000_000))

    return make


def _unlock(ws: Workspace) -> None:
    git(ws.main, "worktree", "unlock", str(_root(ws)))


def _show_to_git(ws: Workspace) -> None:
    (ws.common_dir / "info/exclude").write_text("")


def _lose(name: str) -> Callable[[Workspace], None]:
    def make(ws: Workspace) -> None:
        path = _local(ws) / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return make


def _garble(name: str) -> Callable[[Workspace], None]:
    return lambda ws: (_local(ws) / name).write_bytes(b"\0garbage")


def _remove_task(ws: Workspace) -> None:
    ws.ledger.layout.task(Status.WAITING, "r1.waiting").unlink()


def _remove_folder(ws: Workspace) -> None:
    shutil.rmtree(_root(ws) / "merging")


def _reset_index(ws: Workspace) -> None:
    git(_root(ws), "rm", "-r", "-q", "--cached", "runs")


def _record_garbage(ws: Workspace) -> None:
    (_local(ws) / "attempts/r1.waiting.1.json").write_text("{")


def _leave_worktree(ws: Workspace) -> None:
    place = worktrees.make(
        ws, "r1.done.7", base=branch_tip(ws), branch="refs/heads/wf-try/r1.done/7",
        purpose="attempt",
    )  # fmt: skip
    (place.folder / "src/app.py").write_text("VALUE = 2\n")


def _leave_unrecorded(ws: Workspace) -> None:
    _leave_worktree(ws)
    worktrees.record_path(ws, "r1.done.7").unlink()


def _leave_orphan(ws: Workspace) -> None:
    worktrees.make(ws, "r9.gone.1", base=branch_tip(ws), branch=None, purpose="attempt")


def _leave_branch(ws: Workspace) -> None:
    move_branch(ws.main, {"src/left.py": "left\n"}, ref=BRANCH)
    git(ws.main, "update-ref", "refs/heads/wf-try/r1.done/8", BRANCH)
    git(ws.main, "update-ref", BRANCH, f"{BRANCH}~1")


def _drop_keep(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", "refs/wfledger/keep/r1.done/1")


def _drop_proof(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", "refs/wfledger/landed/r1.done")


def _drop_run_branch(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", BRANCH)


def _land_unseen(ws: Workspace) -> None:
    """Let a merger die after the swap."""
    intent = announce(ws, ws.ledger.get("r1.merging").task)
    git(ws.main, "update-ref", BRANCH, intent.candidate)


def _declare_done(ws: Workspace) -> None:
    with ws.ledger.transaction("test") as changes:
        task = changes.get("r1.merging").task
        changes.restore(task.next(), Status.DONE, source=Status.MERGING, why="test")


def _edit(ws: Workspace) -> None:
    (_root(ws) / "fleet.toml").write_text("# mine\n")


def _note_other_boot(ws: Workspace) -> None:
    (_local(ws) / "boot").write_text("another\n")


PLANTS = {
    "removed": Plant("folder-gone", _remove),
    "made-again": Plant("folder-unpointed", _remake),
    "a-repository": Plant("folder-foreign", _replace_by_repository),
    "a-link": Plant("folder-foreign", _replace_by_link),
    "a-file": Plant("folder-foreign", _replace_by_file),
    "entry": Plant("folder-unpointed", _remove_entry),
    "pointer": Plant("folder-unpointed", _remove_pointer),
    "head": Plant("folder-head", _check_other_branch_out),
    "unlocked": Plant("folder-unlocked", _unlock),
    "branch": Plant("branch-lost", _delete_branch),
    "pin": Plant("branch-lost", _delete_pin),
    "both": Plant("history-gone", _delete_both),
    "rewound": Plant("branch-lost", _rewind),
    "diverted": Plant("branch-lost", _divert),
    "pin-lock": Plant("stale-lock", _lock_of("refs/wfledger/ledger.lock")),
    "branch-lock": Plant("stale-lock", _lock_of("refs/heads/wfledger.lock")),
    "keep-lock": Plant("stale-lock", _lock_of("refs/wfledger/keep/r1.done/1.lock")),
    "index-lock": Plant("stale-lock", _lock_of("index.lock")),
    "exclude": Plant("not-ignored", _show_to_git),
    "ledger-path": Plant("pointer", _lose("ledger-path.json")),
    "ledger-path-garbled": Plant("pointer", _garble("ledger-path.json")),
    "machine": Plant("missing-machine", _lose("machine.json")),
    "machine-garbled": Plant("missing-machine", _garble("machine.json")),
    "tmp": Plant("missing-folder", _lose("tmp")),
    "index-folder": Plant("missing-folder", _lose("index")),
    "boot": Plant("power-loss", _note_other_boot),
    "task": Plant("missing-task", _remove_task),
    "folder": Plant("missing-folder", _remove_folder, (("r1.merging", Status.WAITING),)),
    "index": Plant("index-lags", _reset_index),
    "edited": Plant("unrecorded-change", _edit),
    "record": Plant("unreadable-record", _record_garbage),
    "worktree": Plant("left-worktree", _leave_worktree),
    "unrecorded": Plant("unrecorded-worktree", _leave_unrecorded),
    "orphan": Plant("orphan-worktree", _leave_orphan),
    "try-branch": Plant("left-branch", _leave_branch),
    "keep": Plant("missing-keep-ref", _drop_keep),
    "proof": Plant("missing-proof", _drop_proof),
    "run-branch": Plant("missing-branch", _drop_run_branch),
    "landed": Plant("landed-open", _land_unseen, (("r1.merging", Status.DONE),)),
    "declared": Plant("done-unproved", _declare_done),
}
#: After these the folder is only what the branch has, and what was about to land waits to do so.
REBUILT = {"removed", "made-again", "a-repository", "a-link", "a-file"}


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
    assert git(_root(ws), "status", "--short") == ""
    if name != "landed":
        assert branch_tip(ws) == tip


def test_repair_loses_no_ref(ws: Workspace) -> None:
    before = set(git(ws.main, "for-each-ref", "--format=%(refname)").split())
    _remove(ws)
    _delete_branch(ws)
    fix(ws.main)
    assert before <= set(git(ws.main, "for-each-ref", "--format=%(refname)").split())


# -- what a repair keeps -------------------------------------------------------------------------


def test_what_stood_in_the_place_of_the_ledger_is_kept(ws: Workspace) -> None:
    _replace_by_repository(ws)
    fix(ws.main)
    kept = list((_local(ws) / "aside").glob("*/precious"))
    assert [path.read_text() for path in kept] == ["mine"]


def test_strayed_branch_keeps_its_commits_under_a_ref(ws: Workspace) -> None:
    main = git(ws.main, "rev-parse", "refs/heads/main")
    _divert(ws)
    fix(ws.main)
    assert git(ws.main, "rev-parse", f"refs/wfledger/strayed/{main}") == main
    assert git(ws.main, "rev-parse", LEDGER) == git(ws.main, "rev-parse", PIN)


def test_work_in_an_orphaned_worktree_is_kept(ws: Workspace) -> None:
    _leave_orphan(ws)
    folder = ws.state / "r9.gone.1"
    (folder / "new.txt").write_text("work\n")
    fix(ws.main)
    assert not folder.exists()
    assert git(ws.main, "show", "refs/wfledger/keep/r9.gone/1:new.txt") == "work"


def test_work_in_an_unrecorded_worktree_is_kept(ws: Workspace) -> None:
    _leave_unrecorded(ws)
    fix(ws.main)
    assert not (ws.state / "r1.done.7").exists()
    assert git(ws.main, "show", "refs/wfledger/keep/r1.done/7:src/app.py") == "VALUE = 2"


def test_branch_without_worktree_becomes_a_keep_ref(ws: Workspace) -> None:
    _leave_branch(ws)
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


def test_attempt_numbers_rise_where_only_the_branch_knows_the_task(ws: Workspace) -> None:
    _remove(ws)
    for path in (_local(ws) / "claims").iterdir():
        path.unlink()
    fix(ws.main)
    entry = open_workspace(ws.main).ledger.get("r1.working")
    assert (entry.status, entry.task.attempt) == (Status.WAITING, 2)


def test_record_of_the_journal_survives_the_removal(ws: Workspace) -> None:
    add_task(ws, "fresh", write=("src/f",))
    _remove(ws)
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
    _remove_pointer(ws)
    fix(ws.main)
    assert open_workspace(ws.main).ledger.get("r1.waiting").status is Status.IN_PROGRESS


def test_garbled_configuration_is_not_adopted_but_written_anew(ws: Workspace) -> None:
    config = (_root(ws) / "ledger.json").read_bytes()
    (_root(ws) / "ledger.json").write_text("{")
    assert codes(ws.main) == {"unreadable-document"}
    fix(ws.main)
    assert (_root(ws) / "ledger.json").read_bytes() == config
    assert (_root(ws) / "quarantine/ledger.json").read_text() == "{"


def test_moved_repository_finds_its_ledger_again(ws: Workspace, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    ws.main.rename(there)
    assert codes(there) & {"moved", "folder-unpointed"}
    fix(there)
    assert look(there) == []
    assert statuses(open_workspace(there)) == dict(sorted(STATUSES.items()))


# -- what a person has to decide -----------------------------------------------------------------


def test_lost_landing_is_reported_with_the_command_that_brings_it_back(ws: Workspace) -> None:
    lost = branch_tip(ws)
    git(ws.main, "update-ref", BRANCH, f"{BRANCH}~1")
    found = {finding.code: finding for finding in look(ws.main)}
    assert found["target-rewound"].message.endswith(f"git update-ref {BRANCH} {lost}")
    assert found["landed-lost"].subject == "r1.done"
    assert fix(ws.main).done == []
    git(ws.main, "update-ref", BRANCH, lost)
    assert look(ws.main) == []


def test_done_with_a_commit_that_is_nowhere_is_not_believed(ws: Workspace) -> None:
    path = ws.ledger.layout.task(Status.DONE, "r1.done")
    task = ws.ledger.get("r1.done").task
    forged = Landed(target=BRANCH, commit="0" * 39 + "1", how="merged", at="")
    with ws.ledger.transaction("test") as changes:
        changes.restore(task.next(landed=forged), Status.DONE, source=Status.DONE, why="test")
    assert canonical(task.next(landed=forged)) == path.read_bytes()
    assert codes(ws.main) >= {"landed-lost"}


def test_work_that_is_gone_is_said_to_be(ws: Workspace) -> None:
    path = _root(ws) / "results/r1.merging/1.json"
    result = json.loads(path.read_bytes()) | {"head": "0" * 39 + "1"}
    with ws.ledger.transaction("test") as changes:
        changes.put_file("results/r1.merging/1.json", json.dumps(result).encode(), why="test")
    git(ws.main, "update-ref", "-d", "refs/wfledger/keep/r1.merging/1")
    found = {finding.code: finding for finding in look(ws.main)}
    assert found["lost-work"].severity == "error"
    assert found["lost-work"].repair is None


def test_lock_of_somebody_else_is_named_and_left(ws: Workspace) -> None:
    lock = ws.common_dir / "packed-refs.lock"
    lock.touch()
    os.utime(lock, (1_600_000_000, 1_600_000_000))
    assert codes(ws.main) == {"foreign-lock"}
    fix(ws.main)
    assert lock.exists()


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


def test_opening_a_damaged_ledger_names_the_way_out(ws: Workspace) -> None:
    for make in (_remove, _remake):
        make(ws)
        with pytest.raises(LedgerDamagedError) as caught:
            open_workspace(ws.main)
        assert caught.value.hint == "wfledger doctor --fix"
        fix(ws.main)


def test_change_by_a_process_that_had_it_open_does_not_bring_it_back(ws: Workspace) -> None:
    _remove(ws)
    with pytest.raises(LedgerDamagedError):
        add_task(ws, "late")
    assert not _root(ws).exists()


def test_process_that_had_it_open_goes_on_after_the_rebuild(ws: Workspace) -> None:
    _remove(ws)
    fix(ws.main)
    add_task(ws, "late", write=("src/l",))
    assert ws.ledger.get("r1.late").status is Status.WAITING


# -- power loss ----------------------------------------------------------------------------------


def test_first_change_after_a_boot_redoes_what_power_loss_undid(ws: Workspace) -> None:
    add_task(ws, "fresh", write=("src/f",))
    _note_other_boot(ws)
    ws.ledger.layout.task(Status.WAITING, "r1.fresh").write_bytes(b"")
    again = open_workspace(ws.main)
    add_task(again, "next", write=("src/n",))
    assert again.ledger.get("r1.fresh").status is Status.WAITING
    assert look(ws.main) == []


def test_reading_after_a_boot_changes_nothing(ws: Workspace) -> None:
    _note_other_boot(ws)
    open_workspace(ws.main).ledger.get("r1.waiting")
    assert (_local(ws) / "boot").read_text() == "another\n"


def test_rebuild_that_was_killed_is_finished_by_the_next_change(ws: Workspace) -> None:
    ground = Checkup(ws.main, ws.clock, ws.state.parent.parent)
    assert ground.look() == []
    (_local(ws) / "boot").write_text("rebuilding\n")
    for status in Status:
        shutil.rmtree(_root(ws) / status.value)
        (_root(ws) / status.value).mkdir()
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


def test_kind_of_file_system_is_that_of_the_innermost_mount() -> None:
    assert kind_of(Path("/home/me"), MOUNTS) == "ext4"
    assert network_kind(Path("/net/repo"), MOUNTS) == "nfs4"
    assert network_kind(Path("/net/local/repo"), MOUNTS) is None
    assert unsure_kind(Path("/net/with space/repo"), MOUNTS) == "fuse.sshfs"
    assert unsure_kind(Path("/home"), MOUNTS) is None
    assert kind_of(Path("/home"), "") is None
