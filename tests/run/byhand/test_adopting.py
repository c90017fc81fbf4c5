"""What people and file workers do with `mv` and an editor, as the next step finds it."""

import threading
from pathlib import Path

import pytest

from tests.support.byhand import (
    blocked,
    claim_by_files,
    journal,
    mv,
    offered,
    put_result,
    reasons,
    step,
    whole,
)
from tests.support.clock import FakeClock
from tests.support.engines import statuses
from tests.support.repos import git
from tests.support.workspaces import BRANCH, add_task, change, make_workspace, start
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.keeping import kept_head
from wfledger.run.byhand.adopting import Adopter
from wfledger.run.merger.landing import Deferred, Done, land_task
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

W, P, I, M = Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.MERGING  # noqa: E741
D, B, C = Status.DONE, Status.BLOCKED, Status.CANCELLED


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, clock=FakeClock())


# -- handed in by files --------------------------------------------------------------------------


@pytest.mark.requirement("WFL-CLAIM-053", "WFL-CLAIM-055", "WFL-LEDGER-045")
def test_hand_in_between_two_steps_is_recorded_as_claim_and_end_and_its_commit_kept(
    workspace: Workspace,
) -> None:
    task_id = offered(workspace, write=("src",))
    attempt = claim_by_files(workspace, task_id)
    base = git(workspace.main, "rev-parse", BRANCH)
    head = change(workspace.main, f"refs/heads/wf-try/{task_id}/1", {"src/a": "1"}, base=base)
    put_result(workspace, task_id, attempt, head=head, base="0" * 40, exit_status=9, summary="did")
    mv(workspace, task_id, I, M)
    assert (task_id, "handed in by files: merging") in step(workspace)
    task = workspace.ledger.get(task_id).task
    assert [(one.outcome, one.worker, one.kept) for one in task.attempts] == [
        ("succeeded", "ana", head)
    ]
    result = workspace.ledger.result(task_id, attempt)
    assert result is not None
    assert (result.base, result.head, result.exit_status) == (base, head, None)
    assert [one.path for one in result.changed] == ["src/a"]
    assert kept_head(workspace, task_id, attempt) == head
    assert [said[:2] for said in journal(workspace, task_id)][-2:] == [
        ("pending", "in-progress"), ("in-progress", "merging"),
    ]
    assert whole(workspace)


@pytest.mark.requirement("WFL-CLAIM-053")
def test_reader_hands_in_without_a_commit(workspace: Workspace) -> None:
    task_id = offered(workspace)
    put_result(workspace, task_id, claim_by_files(workspace, task_id), outputs={"n": 1})
    mv(workspace, task_id, I, M)
    step(workspace)
    landing = land_task(workspace, task_id, owner="m", stop=threading.Event())
    assert isinstance(landing, Done)


@pytest.mark.requirement("WFL-CLAIM-055")
def test_commit_that_does_not_build_on_the_run_is_refused(workspace: Workspace) -> None:
    task_id = offered(workspace, write=("src",))
    tree = git(workspace.main, "rev-parse", "main^{tree}")
    foreign = git(workspace.main, "commit-tree", "-m", "foreign", tree)
    put_result(workspace, task_id, claim_by_files(workspace, task_id), head=foreign)
    mv(workspace, task_id, I, M)
    step(workspace)
    block = workspace.ledger.get(task_id).task.block
    assert block is not None
    assert "builds on the run's branch" in block.reason


@pytest.mark.requirement("WFL-CLAIM-055", "WFL-RESULT-005")
def test_bad_envelope_blocks_the_task_and_is_kept_in_quarantine(workspace: Workspace) -> None:
    task_id = offered(workspace)
    path = put_result(workspace, task_id, claim_by_files(workspace, task_id))
    path.write_text('{"status": "great"}')
    mv(workspace, task_id, I, M)
    step(workspace)
    entry = workspace.ledger.get(task_id)
    assert entry.status is B
    assert entry.task.block is not None
    assert "result file is invalid" in entry.task.block.reason
    assert [name for name in reasons(workspace) if name.startswith("results")] != []
    assert whole(workspace)


@pytest.mark.requirement("WFL-CLAIM-055")
def test_task_in_merging_without_a_result_goes_back_to_its_claimant(workspace: Workspace) -> None:
    task_id = offered(workspace)
    claim_by_files(workspace, task_id)
    mv(workspace, task_id, I, M)
    assert any("handed in nothing" in said for _, said in step(workspace))
    assert statuses(workspace)[task_id] == "in-progress"
    assert whole(workspace)


@pytest.mark.requirement("WFL-CLAIM-055")
def test_zombie_that_hands_in_after_a_takeover_is_refused_and_its_commit_kept(
    workspace: Workspace,
) -> None:
    task_id = offered(workspace, write=("src",))
    attempt = claim_by_files(workspace, task_id)
    copy = workspace.ledger.layout.task(I, task_id).read_bytes()
    step(workspace)
    with workspace.ledger.transaction("finder") as changes:
        changes.move(task_id, W, actor=Actor.FINDER, why="lost", claim=None)
    step(workspace)
    base = git(workspace.main, "rev-parse", BRANCH)
    head = change(workspace.main, "refs/test/zombie", {"src/a": "late"}, base=base)
    git(workspace.main, "update-ref", "-d", "refs/test/zombie")
    put_result(workspace, task_id, attempt, head=head)
    workspace.ledger.layout.task(M, task_id).write_bytes(copy)
    step(workspace)
    assert statuses(workspace)[task_id] == "pending"
    assert workspace.ledger.get(task_id).task.attempt == attempt + 1
    assert kept_head(workspace, task_id, attempt) == head
    assert any("second file" in reason for reason in reasons(workspace).values())


@pytest.mark.requirement("WFL-CLAIM-057")
def test_task_given_back_by_files_is_released_and_offered_again(workspace: Workspace) -> None:
    task_id = offered(workspace)
    claim_by_files(workspace, task_id)
    mv(workspace, task_id, I, W)
    step(workspace)
    task = workspace.ledger.get(task_id).task
    assert [one.outcome for one in task.attempts] == ["released"]
    assert (statuses(workspace)[task_id], task.attempt) == ("pending", 2)


def test_landing_waits_until_a_hand_in_was_looked_at(workspace: Workspace) -> None:
    task_id = offered(workspace)
    put_result(workspace, task_id, claim_by_files(workspace, task_id))
    mv(workspace, task_id, I, M)
    landing = land_task(workspace, task_id, owner="m", stop=threading.Event())
    assert isinstance(landing, Deferred)


def test_claim_by_mv_without_a_record_is_left_to_its_grace(workspace: Workspace) -> None:
    task_id = offered(workspace)
    mv(workspace, task_id, P, I)
    assert step(workspace) == []
    assert statuses(workspace)[task_id] == "in-progress"


# -- moved by people -----------------------------------------------------------------------------


@pytest.mark.requirement("WFL-STATUS-050")
def test_blocked_task_moved_to_waiting_is_tried_again(workspace: Workspace) -> None:
    task_id = blocked(workspace)
    mv(workspace, task_id, B, W)
    step(workspace)
    task = workspace.ledger.get(task_id).task
    assert (statuses(workspace)[task_id], task.block, task.forgiven) == ("pending", None, 1)
    assert ("blocked", "waiting", "retry by hand") in journal(workspace, task_id)


@pytest.mark.requirement("WFL-STATUS-050")
@pytest.mark.parametrize("source", [W, P, B], ids=lambda status: status.value)
def test_task_moved_to_cancelled_is_given_up(workspace: Workspace, source: Status) -> None:
    task_id = blocked(workspace) if source is B else offered(workspace)
    if source is W:
        task_id = add_task(workspace, "later", after=(task_id,)).id
        step(workspace)
    mv(workspace, task_id, source, C)
    assert (task_id, "cancelled by hand") in step(workspace)
    assert (source.value, "cancelled", "cancelled by hand") in journal(workspace, task_id)
    assert workspace.ledger.get(task_id).task.block is None
    assert whole(workspace)


@pytest.mark.requirement("WFL-STATUS-051")
def test_claimed_task_moved_to_cancelled_is_fenced_and_its_work_kept(workspace: Workspace) -> None:
    task_id = offered(workspace, write=("src",))
    attempt = claim_by_files(workspace, task_id)
    step(workspace)
    mv(workspace, task_id, I, C)
    step(workspace)
    entry = workspace.ledger.get(task_id)
    assert entry.status is C
    assert [one.outcome for one in entry.task.attempts] == ["stopped"]
    put_result(workspace, task_id, attempt)
    mv(workspace, task_id, C, M)
    step(workspace)
    assert statuses(workspace)[task_id] == "cancelled"


@pytest.mark.requirement("WFL-STATUS-051")
def test_task_in_merging_moved_to_cancelled_is_cancelled_as_the_verb_does(
    workspace: Workspace,
) -> None:
    task_id = offered(workspace)
    put_result(workspace, task_id, claim_by_files(workspace, task_id))
    mv(workspace, task_id, I, M)
    step(workspace)
    mv(workspace, task_id, M, C)
    step(workspace)
    assert statuses(workspace)[task_id] == "cancelled"
    assert whole(workspace)


@pytest.mark.requirement("WFL-STATUS-052")
@pytest.mark.parametrize("target", [P, I, M, D, B], ids=lambda status: status.value)
def test_waiting_task_that_nobody_may_move_goes_back(workspace: Workspace, target: Status) -> None:
    first = offered(workspace)
    task_id = add_task(workspace, "later", after=(first,)).id
    step(workspace)
    mv(workspace, task_id, W, target)
    assert any("nobody may move it" in said for _, said in step(workspace))
    assert statuses(workspace)[task_id] == "waiting"
    assert workspace.ledger.get(task_id).task.attempt == 0
    assert whole(workspace)


@pytest.mark.requirement("WFL-STATUS-052")
@pytest.mark.parametrize("target", [W, B, M, D], ids=lambda status: status.value)
def test_offer_that_is_moved_away_is_withdrawn_and_made_again(
    workspace: Workspace, target: Status
) -> None:
    task_id = offered(workspace)
    mv(workspace, task_id, P, target)
    step(workspace)
    assert (statuses(workspace)[task_id], workspace.ledger.get(task_id).task.attempt) == (
        "pending", 2,
    )
    assert whole(workspace)


@pytest.mark.requirement("WFL-STATUS-006", "WFL-STATUS-052")
def test_finished_task_that_is_moved_goes_back(workspace: Workspace) -> None:
    task_id = offered(workspace)
    mv(workspace, task_id, P, C)
    step(workspace)
    mv(workspace, task_id, C, W)
    step(workspace)
    assert statuses(workspace)[task_id] == "cancelled"


def test_attempt_of_a_runtime_is_not_handed_in_by_others(workspace: Workspace) -> None:
    task = start(workspace, add_task(workspace, "a").id)
    workspace.ledger.layout.live(task.id, task.attempt).touch()
    step(workspace)
    put_result(workspace, task.id, task.attempt)
    mv(workspace, task.id, I, M)
    step(workspace)
    assert statuses(workspace)[task.id] == "in-progress"


def test_copy_of_a_task_in_a_second_folder_goes_to_quarantine(workspace: Workspace) -> None:
    task_id = offered(workspace)
    raw = workspace.ledger.layout.task(P, task_id).read_bytes()
    workspace.ledger.layout.task(B, task_id).write_bytes(raw)
    step(workspace)
    assert statuses(workspace)[task_id] == "pending"
    assert "blocked.r1.a.json" in reasons(workspace)


# -- cheap ---------------------------------------------------------------------------------------


def test_step_after_a_step_reads_no_file_again(workspace: Workspace) -> None:
    offered(workspace)
    adopter = Adopter(workspace)
    adopter.step()
    assert adopter._arrivals.look() == []


def test_step_with_everything_compares_what_nobody_touched(workspace: Workspace) -> None:
    task_id = offered(workspace)
    Adopter(workspace).step()
    assert Adopter(workspace).step(everything=True) == []
    assert statuses(workspace)[task_id] == "pending"
