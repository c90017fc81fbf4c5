"""Each thing that must not be is seen where it is, and a sound ledger has none of them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.checkups import lived_in
from tests.support.invariants import journal_steps, of_steps
from tests.support.ledgers import make_ledger, make_task, put
from tests.support.repos import git
from tests.support.workspaces import BRANCH, RUN, move_branch
from wfledger.core.linear import Step
from wfledger.core.records import canonical
from wfledger.core.statuses import Status
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.chaos.invariants import Violation, guarded, of_files
from wfledger.run.chaos.remains import of_remains
from wfledger.run.chaos.replaying import of_history, of_landings
from wfledger.run.processes.process import TAG_NAME
from wfledger.run.workspace import Workspace
from wfledger.store.ledger import Ledger

W, P, I, M, D, B = (  # noqa: E741 - the letters of the table of transitions
    Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.MERGING, Status.DONE, Status.BLOCKED,
)  # fmt: skip


def _kinds(found: Iterator[Violation]) -> list[tuple[str, str]]:
    return [(one.invariant, one.subject) for one in found]


# -- files ---------------------------------------------------------------------------------------


def _copy(ledger: Ledger) -> None:
    shutil.copy(ledger.layout.task(P, "r.a"), ledger.layout.task(B, "r.a"))


def _reformat(ledger: Ledger) -> None:
    ledger.layout.task(P, "r.a").write_bytes(b" " + canonical(make_task("r.a", attempt=1)))


FILES: dict[str, tuple[Callable[[Ledger], object], tuple[str, str]]] = {
    "gone": (lambda one: one.layout.task(P, "r.a").unlink(), ("lost", "r.a")),
    "twice": (_copy, ("doubled", "r.a")),
    "reformatted": (_reformat, ("torn", "r.a")),
    "half done": (lambda one: one.marker.set(task="r.a"), ("torn", "marker")),
    "left": (lambda one: (one.layout.tmp / "1-x.tmp").touch(), ("leftover", "1-x.tmp")),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_as_they_must_be_are_seen(tmp_path: Path, name: str) -> None:
    ledger = make_ledger(tmp_path)
    put(ledger, P, "r.a")
    assert _kinds(of_files(ledger, submitted=["r.a"])) == []
    break_it, wanted = FILES[name]
    break_it(ledger)
    assert _kinds(of_files(ledger, submitted=["r.a"])) == [wanted]


def test_file_that_is_no_task_is_seen(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    path = ledger.layout.task(P, "r.a")
    path.write_bytes(b"{")
    assert _kinds(of_files(ledger)) == [("torn", str(path))]


# -- moves ---------------------------------------------------------------------------------------


def _moves(*steps: tuple[Status | None, Status, int]) -> list[Step]:
    return [Step("r.a", source, to, attempt, "why", n) for n, (source, to, attempt) in enumerate(steps)]


SOUND = _moves(
    (None, W, 0), (W, P, 1), (P, I, 1), (I, I, 1), (I, W, 1), (W, P, 2), (P, I, 2), (I, M, 2), (M, D, 2)
)


def test_sound_moves_are_sound() -> None:
    assert list(of_steps(SOUND)) == []


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([(None, W, 0), (W, I, 0)], "no arrow"),
        ([(None, W, 0), (I, W, 0)], "is followed by"),
        ([(None, W, 0), (None, W, 0)], "added again"),
        ([(None, W, 0), (W, P, 0)], "attempt 0 became 0"),
        ([(None, W, 0), (W, P, 2)], "attempt 0 became 2"),
        ([(None, W, 0), (W, P, 1), (P, I, 2)], "attempt 1 became 2"),
    ],
)
def test_unsound_move_is_seen(steps: list[tuple[Status | None, Status, int]], wanted: str) -> None:
    found = list(of_steps(_moves(*steps)))
    assert any(wanted in one.message for one in found), found


def test_attempt_that_was_claimed_twice_is_seen() -> None:
    twice = _moves((None, W, 0), (W, P, 1), (P, I, 1), (P, I, 1))
    assert ("doubled", "r.a") in _kinds(of_steps(twice))


def test_gap_in_the_numbers_is_seen() -> None:
    one, other = SOUND[:2]
    assert _kinds(of_steps([one, replace(other, seq=7)])) == [("illegal", "r.a")]


# -- landings and history --------------------------------------------------------------------------


@pytest.fixture
def landed(tmp_path: Path) -> Workspace:
    """A workspace in which the task `r1.done` has landed and everything is committed."""
    return lived_in(tmp_path)


def _landings(workspace: Workspace) -> list[str]:
    return [one.invariant for one in of_landings(workspace, workspace.ledger.run(RUN))]


def test_landed_task_is_sound(landed: Workspace) -> None:
    assert _landings(landed) == []
    assert list(of_history(landed, seen=[git(landed.main, "rev-parse", "wfledger")])) == []
    assert list(of_steps(journal_steps(landed.ledger.journal.records()))) == []


def test_strange_commit_on_the_run_s_branch_is_seen(landed: Workspace) -> None:
    move_branch(landed.main, {"src/b": "strange\n"})
    assert _landings(landed) == ["landing"]


def _rewrite(workspace: Workspace, *, tree: str, count: int = 1) -> None:
    """Put the landed commit's message on commits with another tree."""
    message = git(workspace.main, "log", "-1", "--format=%B", BRANCH)
    tip = git(workspace.main, "rev-parse", f"{BRANCH}~1")
    for _ in range(count):
        tip = git(workspace.main, "commit-tree", tree, "-p", tip, "-m", message)
    git(workspace.main, "update-ref", BRANCH, tip)


def test_landing_with_another_tree_than_the_merge_is_seen(landed: Workspace) -> None:
    _rewrite(landed, tree=git(landed.main, "rev-parse", "main^{tree}"))
    assert _landings(landed) == ["landing"]


def test_task_that_landed_twice_is_seen(landed: Workspace) -> None:
    _rewrite(landed, tree=git(landed.main, "rev-parse", f"{BRANCH}^{{tree}}"), count=2)
    assert "doubled" in _landings(landed)


def test_landing_that_is_lost_is_seen(landed: Workspace) -> None:
    git(landed.main, "update-ref", BRANCH, f"{BRANCH}~1")
    assert _landings(landed) == ["lost"]


def test_landing_of_what_is_not_done_is_seen(landed: Workspace) -> None:
    layout = landed.ledger.layout
    layout.task(D, f"{RUN}.done").rename(layout.task(B, f"{RUN}.done"))
    assert _landings(landed) == ["landing"]
    assert {one.invariant for one in of_history(landed)} == {"history"}


def test_commit_that_the_history_has_lost_is_seen(landed: Workspace) -> None:
    tip = git(landed.main, "rev-parse", "wfledger")
    for ref in ("refs/heads/wfledger", "refs/wfledger/ledger"):
        git(landed.main, "update-ref", ref, "wfledger~1" if ref.startswith("refs/heads") else f"{tip}~1")
    assert ("history", tip) in _kinds(of_history(landed, seen=[tip]))


def test_merge_in_the_history_is_seen(landed: Workspace) -> None:
    tip = git(landed.main, "rev-parse", "wfledger")
    made = git(landed.main, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-p", "main", "-m", "merge")
    for ref in ("refs/heads/wfledger", "refs/wfledger/ledger"):
        git(landed.main, "update-ref", ref, made)
    assert ("history", made) in _kinds(of_history(landed))


# -- what is left ----------------------------------------------------------------------------------


def _leave_worktree(workspace: Workspace) -> None:
    worktrees.make(
        workspace, f"{RUN}.done.9", base=git(workspace.main, "rev-parse", "main"),
        branch=f"refs/heads/wf-try/{RUN}.done/9", purpose="attempt",
    )  # fmt: skip


def test_what_an_attempt_leaves_is_seen(landed: Workspace) -> None:
    assert list(of_remains(landed)) == []
    _leave_worktree(landed)
    assert len(list(of_remains(landed))) == 4  # worktree, record, branch, folder


def test_lock_of_git_that_is_left_is_seen(landed: Workspace) -> None:
    (landed.common_dir / "refs/heads/wf.lock").touch()
    assert [one.invariant for one in of_remains(landed)] == ["leftover"]


def test_process_of_an_attempt_that_lives_on_is_seen(landed: Workspace) -> None:
    own = {**os.environ, TAG_NAME: tag_for(landed, f"{RUN}.a.1")}
    argv = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(argv, env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert [one.invariant for one in of_remains(landed)] == ["orphan"]
        child.kill()


def test_what_cannot_be_looked_at_is_a_violation() -> None:
    def broken() -> Iterator[Violation]:
        yield Violation("lost", "a", "before")
        raise OSError("gone")

    assert _kinds(guarded("part", broken())) == [("lost", "a"), ("damage", "part")]
