"""Departures of a ledger from what it must be, each made as a person or a crash makes it."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.checkups import branch_tip
from tests.support.landings import announce
from tests.support.repos import git
from tests.support.workspaces import BRANCH, move_branch
from wfledger.core.documents import Bringing, Landed
from wfledger.core.statuses import Status
from wfledger.run.attempts import worktrees
from wfledger.run.workspace import Workspace

LEDGER = "refs/heads/wfledger"
PIN = "refs/wfledger/ledger"


@dataclass(frozen=True)
class Plant:
    """A departure, how to make it, and where tasks are after the repair if not where they were."""

    code: str
    make: Callable[[Workspace], object]
    moved: tuple[tuple[str, Status], ...] = ()


def root(ws: Workspace) -> Path:
    return ws.ledger.layout.root


def local(ws: Workspace) -> Path:
    return ws.ledger.layout.local


def remove(ws: Workspace) -> None:
    shutil.rmtree(root(ws))


def remake(ws: Workspace) -> None:
    remove(ws)
    (root(ws) / "pending").mkdir(parents=True)


def replace_by_repository(ws: Workspace) -> None:
    remove(ws)
    root(ws).mkdir()
    git(root(ws), "init", "--quiet")
    (root(ws) / "precious").write_text("mine")


def replace_by_link(ws: Workspace) -> None:
    remove(ws)
    root(ws).symlink_to(ws.main / "src")


def replace_by_file(ws: Workspace) -> None:
    remove(ws)
    root(ws).write_text("precious")


def entry(ws: Workspace) -> Path:
    return Path((root(ws) / ".git").read_text().removeprefix("gitdir: ").strip())


def remove_entry(ws: Workspace) -> None:
    shutil.rmtree(entry(ws))


def remove_pointer(ws: Workspace) -> None:
    (root(ws) / ".git").unlink()


def check_other_branch_out(ws: Workspace) -> None:
    git(root(ws), "checkout", "--quiet", "-b", "other")


def delete_branch(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", LEDGER)


def delete_pin(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", PIN)


def delete_both(ws: Workspace) -> None:
    delete_branch(ws)
    delete_pin(ws)


def rewind(ws: Workspace) -> None:
    git(ws.main, "update-ref", LEDGER, git(ws.main, "rev-parse", f"{LEDGER}~1"))


def divert(ws: Workspace) -> None:
    git(ws.main, "update-ref", LEDGER, "refs/heads/main")


def lock_of(path: str) -> Callable[[Workspace], object]:
    def make(ws: Workspace) -> None:
        lock = (entry(ws) if path.startswith("index") else ws.common_dir) / path
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
        os.utime(lock, (1_600_000_000, 1_600_000_000))

    return make


def empty_ref(name: str) -> Callable[[Workspace], object]:
    return lambda ws: (ws.common_dir / name).write_bytes(b"")


def break_ref(name: str) -> Callable[[Workspace], object]:
    return lambda ws: (ws.common_dir / name).write_text("0" * 39 + "1\n")


def garble_index(ws: Workspace) -> None:
    (entry(ws) / "index").write_bytes(b"garbage")


def unlock(ws: Workspace) -> None:
    git(ws.main, "worktree", "unlock", str(root(ws)))


def show_to_git(ws: Workspace) -> None:
    (ws.common_dir / "info/exclude").write_text("")


def lose(name: str) -> Callable[[Workspace], object]:
    def make(ws: Workspace) -> None:
        path = local(ws) / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return make


def garble(name: str) -> Callable[[Workspace], object]:
    return lambda ws: (local(ws) / name).write_bytes(b"\0garbage")


def remove_task(ws: Workspace) -> None:
    ws.ledger.layout.task(Status.WAITING, "r1.waiting").unlink()


def remove_folder(ws: Workspace) -> None:
    shutil.rmtree(root(ws) / "merging")


def reset_index(ws: Workspace) -> None:
    git(root(ws), "rm", "-r", "-q", "--cached", "runs")


def record_garbage(ws: Workspace) -> None:
    (local(ws) / "attempts/r1.waiting.1.json").write_text("{")


def leave_worktree(ws: Workspace) -> None:
    place = worktrees.make(
        ws, "r1.done.7", base=branch_tip(ws), branch="refs/heads/wf-try/r1.done/7",
        purpose="attempt",
    )  # fmt: skip
    (place.folder / "src/app.py").write_text("VALUE = 2\n")


def leave_unrecorded(ws: Workspace) -> None:
    leave_worktree(ws)
    worktrees.record_path(ws, "r1.done.7").unlink()


def leave_orphan(ws: Workspace) -> None:
    worktrees.make(ws, "r9.gone.1", base=branch_tip(ws), branch=None, purpose="attempt")


def leave_branch(ws: Workspace) -> None:
    move_branch(ws.main, {"src/left.py": "left\n"}, ref=BRANCH)
    git(ws.main, "update-ref", "refs/heads/wf-try/r1.done/8", BRANCH)
    git(ws.main, "update-ref", BRANCH, f"{BRANCH}~1")


def drop_keep(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", "refs/wfledger/keep/r1.done/1")


def drop_proof(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", "refs/wfledger/landed/r1.done")


def drop_run_branch(ws: Workspace) -> None:
    git(ws.main, "update-ref", "-d", BRANCH)


def land_unseen(ws: Workspace) -> None:
    """Let a merger die after the swap."""
    intent = announce(ws, ws.ledger.get("r1.merging").task)
    git(ws.main, "update-ref", BRANCH, intent.candidate)


def declare_done(ws: Workspace) -> None:
    with ws.ledger.transaction("test") as changes:
        task = changes.get("r1.merging").task
        changes.restore(task.next(), Status.DONE, source=Status.MERGING, why="test")


def close_unmerged(ws: Workspace) -> None:
    """Say that there was nothing to merge of a task that changed files."""
    with ws.ledger.transaction("test") as changes:
        task = changes.get("r1.merging").task
        landed = Landed(how="nothing", at="2026-01-05T09:00:00.000Z")
        done = task.next(landed=landed)
        changes.restore(done, Status.DONE, source=Status.MERGING, why="test")


def bring_half(ws: Workspace) -> None:
    """Let a `land` die between the move of the user's branch and its note."""
    before, after = (git(ws.main, "rev-parse", name) for name in ("main", BRANCH))
    with ws.ledger.transaction("test") as changes:
        run = ws.ledger.run("r1")
        intent = Bringing(target=run.target, before=before, after=after)
        changes.put_run(run.but(seq=run.seq + 1, bringing=intent), why="about to land")
    git(ws.main, "reset", "--quiet", "--hard", after)


def edit(ws: Workspace) -> None:
    (root(ws) / "fleet.toml").write_text("# mine\n")


def note_other_boot(ws: Workspace) -> None:
    (local(ws) / "boot").write_text("another\n")


PLANTS = {
    "removed": Plant("folder-gone", remove),
    "made-again": Plant("folder-unpointed", remake),
    "a-repository": Plant("folder-foreign", replace_by_repository),
    "a-link": Plant("folder-foreign", replace_by_link),
    "a-file": Plant("folder-foreign", replace_by_file),
    "entry": Plant("folder-unpointed", remove_entry),
    "pointer": Plant("folder-unpointed", remove_pointer),
    "head": Plant("folder-head", check_other_branch_out),
    "unlocked": Plant("folder-unlocked", unlock),
    "branch": Plant("branch-lost", delete_branch),
    "pin": Plant("branch-lost", delete_pin),
    "both": Plant("history-gone", delete_both),
    "rewound": Plant("branch-lost", rewind),
    "diverted": Plant("branch-lost", divert),
    "branch-empty": Plant("ref-broken", empty_ref("refs/heads/wfledger")),
    "branch-broken": Plant("ref-broken", break_ref("refs/heads/wfledger")),
    "pin-empty": Plant("ref-broken", empty_ref("refs/wfledger/ledger")),
    "index-garbled": Plant("index-lags", garble_index),
    "pin-lock": Plant("stale-lock", lock_of("refs/wfledger/ledger.lock")),
    "branch-lock": Plant("stale-lock", lock_of("refs/heads/wfledger.lock")),
    "keep-lock": Plant("stale-lock", lock_of("refs/wfledger/keep/r1.done/1.lock")),
    "index-lock": Plant("stale-lock", lock_of("index.lock")),
    "exclude": Plant("not-ignored", show_to_git),
    "ledger-path": Plant("pointer", lose("ledger-path.json")),
    "ledger-path-garbled": Plant("pointer", garble("ledger-path.json")),
    "machine": Plant("missing-machine", lose("machine.json")),
    "machine-garbled": Plant("missing-machine", garble("machine.json")),
    "tmp": Plant("missing-folder", lose("tmp")),
    "index-folder": Plant("missing-folder", lose("index")),
    "boot": Plant("power-loss", note_other_boot),
    "task": Plant("missing-task", remove_task),
    "folder": Plant("missing-folder", remove_folder, (("r1.merging", Status.WAITING),)),
    "index": Plant("index-lags", reset_index),
    "edited": Plant("unrecorded-change", edit),
    "record": Plant("unreadable-record", record_garbage),
    "worktree": Plant("left-worktree", leave_worktree),
    "unrecorded": Plant("unrecorded-worktree", leave_unrecorded),
    "orphan": Plant("orphan-worktree", leave_orphan),
    "try-branch": Plant("left-branch", leave_branch),
    "keep": Plant("missing-keep-ref", drop_keep),
    "proof": Plant("missing-proof", drop_proof),
    "run-branch": Plant("missing-branch", drop_run_branch),
    "landed": Plant("landed-open", land_unseen, (("r1.merging", Status.DONE),)),
    "declared": Plant("done-unproved", declare_done),
    "unmerged": Plant("done-unmerged", close_unmerged),
    "brought": Plant("land-unfinished", bring_half),
}
#: After these the folder is only what the branch has, and what was about to land waits to do so.
REBUILT = {"removed", "made-again", "a-repository", "a-link", "a-file"}
