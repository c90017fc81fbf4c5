"""Results land whole, once, and what cannot land says why."""

from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.landings import (
    accept,
    assert_landed_once,
    land,
    landed_commits,
    outcomes,
)
from tests.support.repos import files_at, git
from tests.support.workspaces import (
    BRANCH,
    add_task,
    hand_in,
    make_workspace,
    move_branch,
    put_merging,
    start,
)
from wfledger.core.documents import Accepted, Retry, Task
from wfledger.core.statuses import Status
from wfledger.errors import StaleError
from wfledger.run.merger.landing import (
    Blocked,
    Done,
    Retried,
)
from wfledger.run.workspace import Workspace

FILES = {"src/a.py": "A = 1\n", "src/b.py": "B = 1\n", "lib/c.py": "C = 1\n"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, FILES)


def _block_of(workspace: Workspace, task: Task) -> Blocked:
    entry = workspace.ledger.get(task.id)
    block = entry.task.block
    assert entry.status is Status.BLOCKED
    assert block is not None
    return Blocked(block.code, block.reason, block.command, block.facts)


# -- what lands ----------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-LAND-008")
@pytest.mark.requirement("WFL-LAND-013")
@pytest.mark.requirement("WFL-LAND-015")
def test_result_lands_as_one_commit_with_trailers(workspace: Workspace) -> None:
    base = git(workspace.main, "rev-parse", BRANCH)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"}, title="Make A\ntwo")
    landing = land(workspace, task)
    made = assert_landed_once(workspace, task)
    head = git(workspace.main, "rev-parse", f"refs/wfledger/keep/{task.id}/1")
    assert landing == Done("merged", made)
    assert git(workspace.main, "rev-parse", f"{made}^@") == base
    assert git(workspace.main, "log", "-1", "--format=%B", made).strip() == (
        f"Make A two\n\nWfledger-Task: r1.one\nWfledger-Attempt: 1\nWfledger-Run: r1\n"
        f"Wfledger-Base: {base}\nWfledger-Head: {head}"
    )
    assert git(workspace.main, "log", "-1", "--format=%an %cn", made) == "Worker wfledger"


def test_title_cannot_forge_a_trailer(workspace: Workspace) -> None:
    title = "x\n\nWfledger-Task: r1.other\x1b[2J" + "y" * 500
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"}, title=title)
    land(workspace, task)
    made = assert_landed_once(workspace, task)
    message = git(workspace.main, "log", "-1", "--format=%B", made)
    assert message.count("\nWfledger-Task: ") == 1
    assert "\x1b" not in message
    assert len(message.splitlines()[0]) <= 100


@pytest.mark.requirement("WFL-LAND-014")
@pytest.mark.requirement("WFL-LAND-040")
def test_users_checkout_and_branch_are_not_touched(workspace: Workspace) -> None:
    before = git(workspace.main, "rev-parse", "refs/heads/main", "HEAD")
    land(workspace, put_merging(workspace, "one", {"src/a.py": "A = 2\n"}))
    assert git(workspace.main, "rev-parse", "refs/heads/main", "HEAD") == before
    assert git(workspace.main, "status", "--porcelain") == ""
    assert (workspace.main / "src/a.py").read_text() == "A = 1\n"


def test_landing_again_says_what_became_of_it(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    assert land(workspace, task) == land(workspace, task)
    assert_landed_once(workspace, task)


@pytest.mark.requirement("WFL-LAND-003")
def test_task_that_is_not_merging_is_stale(workspace: Workspace) -> None:
    with pytest.raises(StaleError):
        land(workspace, add_task(workspace, "one"))


@pytest.mark.requirement("WFL-LAND-005")
def test_result_lands_on_a_branch_that_moved(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    tip = move_branch(workspace.main, {"src/b.py": "B = 2\n", "lib/c.py": None})
    land(workspace, task)
    made = assert_landed_once(workspace, task)
    assert git(workspace.main, "rev-parse", f"{made}^") == tip
    assert files_at(workspace.main, made) == {"src/a.py": "A = 2", "src/b.py": "B = 2"}


def test_result_that_landed_already_by_other_hands_lands_empty(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    move_branch(workspace.main, {"src/a.py": "A = 2\n"})
    assert isinstance(land(workspace, task), Done)
    made = assert_landed_once(workspace, task)
    assert git(workspace.main, "diff", f"{made}^", made) == ""


@pytest.mark.requirement("WFL-LAND-006")
def test_conflict_blocks_and_picks_no_side(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n", "src/b.py": "B = 2\n"})
    tip = move_branch(workspace.main, {"src/a.py": "A = 3\n"})
    landing = land(workspace, task)
    assert landing == _block_of(workspace, task)
    assert isinstance(landing, Blocked)
    assert (landing.code, landing.command) == ("conflict", "wfledger open r1.one")
    assert "src/a.py" in landing.reason
    assert "src/b.py" not in landing.reason
    sides = [
        git(workspace.main, "rev-parse", f"{commit}:src/a.py")
        for commit in (f"{tip}^", tip, f"refs/wfledger/keep/{task.id}/1")
    ]
    shown = dict(zip(("base", "ours", "theirs"), sides, strict=True))
    assert landing.details["conflicts"] == [{"path": "src/a.py", **shown}]
    assert git(workspace.main, "rev-parse", BRANCH) == tip
    assert outcomes(workspace, task) == ["conflict"]
    result = workspace.ledger.result(task.id, 1)
    assert result is not None
    assert result.failure is not None
    assert (result.failure.failure_class, result.failure.source) == ("conflict", "merge")


@pytest.mark.requirement("WFL-LAND-005")
def test_rename_of_a_folder_on_the_target_conflicts_and_is_not_followed(
    workspace: Workspace,
) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    move_branch(workspace.main, {"src/a.py": None, "lib/a.py": "A = 1\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "conflict"


@pytest.mark.requirement("WFL-RESULT-020")
def test_conflict_is_retried_where_the_plan_says_so(tmp_path: Path) -> None:
    clock = FakeClock()
    workspace = make_workspace(tmp_path, FILES, clock=clock)
    retry = Retry(on=("conflict",), max_attempts=2)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"}, retry=retry)
    move_branch(workspace.main, {"src/a.py": "A = 3\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Retried)
    assert landing.until == "2026-01-05T09:00:05.000Z"
    entry = workspace.ledger.get(task.id)
    assert entry.status is Status.WAITING
    assert entry.task.merger is None
    again = start(workspace, task.id)
    base = git(workspace.main, "rev-parse", BRANCH)
    hand_in(workspace, again, {"src/a.py": "A = 4\n"}, base=base)
    move_branch(workspace.main, {"src/a.py": "A = 5\n"})
    final = land(workspace, again)
    assert isinstance(final, Blocked)
    assert final.code == "exhausted"
    assert final.details["attempt"] == 2
    assert outcomes(workspace, task) == ["conflict", "conflict"]


@pytest.mark.requirement("WFL-LAND-013")
def test_reader_that_changed_nothing_is_done(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {}, write=())
    assert land(workspace, task) == Done("nothing", None)
    landed = workspace.ledger.get(task.id).task.landed
    assert landed is not None
    assert (landed.how, landed.target, landed.commit) == ("nothing", None, None)
    assert git(workspace.main, "for-each-ref", "refs/wfledger/landed") == ""


@pytest.mark.requirement("WFL-RESULT-009")
def test_reader_that_wrote_is_blocked_and_its_work_stays_reachable(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n", "new": ""}, write=())
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "read_only_violation"
    assert "src/a.py" in landing.reason
    assert "new" in landing.reason
    assert git(workspace.main, "show", f"refs/wfledger/keep/{task.id}/1:src/a.py") == "A = 2"


@pytest.mark.requirement("WFL-RESULT-008")
def test_writer_that_changed_nothing_is_blocked_without_a_reason(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert (landing.code, landing.command) == ("no_change", "wfledger accept r1.one")


@pytest.mark.requirement("WFL-RESULT-008")
@pytest.mark.parametrize(
    "given",
    [
        {"result": {"status": "no_change", "summary": "it was so already"}},
        {"allow_no_change": True},
    ],
)
def test_writer_may_change_nothing_with_a_reason_or_by_leave(
    workspace: Workspace, given: dict[str, object]
) -> None:
    task = put_merging(workspace, "one", {}, **given)  # type: ignore[arg-type]
    assert land(workspace, task) == Done("nothing", None)


def test_writer_that_claims_no_change_without_a_word_is_blocked(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {}, result={"status": "no_change", "summary": " "})
    assert isinstance(land(workspace, task), Blocked)


# -- accepted results ----------------------------------------------------------------------------


def test_accepted_result_lands_and_clears_what_was_held_against_it(workspace: Workspace) -> None:
    base = git(workspace.main, "rev-parse", BRANCH)
    task = put_merging(workspace, "one", {})
    land(workspace, task)
    accepted = Accepted(attempt=1, head=base, base=base, waive=("no_change",))
    again = accept(workspace, task, accepted)
    assert land(workspace, again) == Done("nothing", None)
    assert outcomes(workspace, task) == ["succeeded"]
    result = workspace.ledger.result(task.id, 1)
    assert result is not None
    assert result.failure is None


@pytest.mark.requirement("WFL-LAND-001")
def test_mended_result_lands_in_place_of_the_recorded_one(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    tip = move_branch(workspace.main, {"src/a.py": "A = 3\n"})
    land(workspace, task)
    mended = move_branch(
        workspace.main, {"src/a.py": "A = 5\n"}, ref=f"refs/wfledger/keep/{task.id}/1"
    )
    task = accept(workspace, task, Accepted(attempt=1, head=mended, base=tip))
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)  # the mended head does not build on the tip
    assert landing.code == "conflict"
    merged = git(workspace.main, "commit-tree", f"{mended}^{{tree}}", "-p", tip, "-m", "mended")
    git(workspace.main, "update-ref", f"refs/wfledger/keep/{task.id}/1", merged)
    task = accept(workspace, task, Accepted(attempt=1, head=merged, base=tip))
    assert isinstance(land(workspace, task), Done)
    assert git(workspace.main, "show", f"{BRANCH}:src/a.py") == "A = 5"
    assert_landed_once(workspace, task)


def test_accepting_waives_no_scope(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"lib/c.py": "C = 2\n"})
    first = land(workspace, task)
    assert isinstance(first, Blocked)
    head, base = first.details["head"], first.details["base"]
    waived = Accepted(attempt=1, head=head, base=base, waive=("out_of_scope", "verification"))
    again = land(workspace, accept(workspace, task, waived))
    assert isinstance(again, Blocked)
    assert again.code == "out_of_scope"
    assert workspace.ledger.get(task.id).task.accepted is None


# -- what the records must be --------------------------------------------------------------------


@pytest.mark.requirement("WFL-TASK-010")
@pytest.mark.requirement("WFL-TASK-011")
def test_changed_spec_is_blocked(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"lib/c.py": "C = 2\n"})
    with workspace.ledger.transaction("worker") as changes:
        changes.update(task.id, why="tampered", spec=task.spec.but(write=("**",)))
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "spec_changed"
    assert landed_commits(workspace.main, task.id) == []


@pytest.mark.requirement("WFL-LAND-001")
def test_head_that_is_not_what_was_kept_is_blocked(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    move_branch(workspace.main, {"src/b.py": "B = 9\n"}, ref=f"refs/wfledger/keep/{task.id}/1")
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "result_changed"


@pytest.mark.requirement("WFL-LAND-002")
def test_head_beside_its_base_is_a_conflict(workspace: Workspace) -> None:
    old = git(workspace.main, "rev-parse", BRANCH)
    task = start(workspace, add_task(workspace, "one", write=("src",)).id)
    head = hand_in(workspace, task, {"src/a.py": "A = 2\n"}, base=old)
    with workspace.ledger.transaction("test") as changes:
        result = workspace.ledger.result(task.id, 1)
        assert result is not None
        tip = move_branch(workspace.main, {"src/b.py": "B = 2\n"})
        changes.put_result(result.but(base=tip, head=head))
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "conflict"
    assert "does not build on" in landing.reason


def test_handed_in_without_a_result_is_blocked(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    (workspace.ledger.layout.root / workspace.ledger.layout.result(task.id, 1)).unlink()
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert (landing.code, landing.command) == ("task", "wfledger retry r1.one")
