"""A person's verdict on a result: bound to what was shown, recorded, and nobody's work done twice."""

from pathlib import Path

import pytest

from tests.support.cli import wf, wf_json
from tests.support.clock import FakeClock
from tests.support.engines import drive, note, noted, outcomes
from tests.support.landings import assert_landed_once, land
from tests.support.repos import git
from tests.support.workspaces import add_task, make_workspace, put_merging, start
from wfledger.core.documents import Approval, Check, Result, Retry, Task
from wfledger.core.graph import Standing
from wfledger.core.policy import GatePolicy
from wfledger.core.records import canonical
from wfledger.core.statuses import Status
from wfledger.errors import StaleError, TransitionError, UsageError
from wfledger.run import people
from wfledger.run.attempts.closing import close
from wfledger.run.attempts.mending import open_worktree
from wfledger.run.merger.approving import give_verdict, is_asked
from wfledger.run.merger.landing import Blocked, Done
from wfledger.run.workspace import Workspace

CHANGE = {"src/a.py": "A = 2\n"}
ASK = Check(kind="manual", prompt="look at the figures")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, {"src/a.py": "A = 1\n"})


def _asked(workspace: Workspace, *checks: Check, **spec: object) -> Task:
    task = put_merging(workspace, "one", CHANGE, verify=(ASK, *checks), **spec)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked), landing
    assert (landing.code, landing.command) == ("approval", f"wfledger answer {task.id} yes")
    shown, ways = landing.reason.splitlines()
    assert shown == "it waits for a verdict: look at the figures"
    assert "wfledger answer r1.one no --reason WHY" in ways
    return workspace.ledger.get(task.id).task


@pytest.mark.requirement("WFL-RESULT-041")
@pytest.mark.requirement("WFL-RESULT-043")
def test_yes_lands_what_was_shown_and_runs_nothing_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    task = _asked(workspace, Check(kind="command", command=note(tmp_path, "checked")))
    assert is_asked(task)
    assert Standing.of(task, Status.BLOCKED).failed_for_good is False  # an answer is expected
    assert outcomes(workspace, task.id) == ["succeeded"]
    give_verdict(workspace, task.id, "yes", who="Ada")
    assert drive(workspace).verdict.state == "succeeded"
    done = workspace.ledger.get(task.id).task
    assert_landed_once(workspace, done)
    (said,) = done.approvals
    head = git(workspace.main, "rev-parse", f"refs/wfledger/keep/{task.id}/1")
    assert (said.verdict, said.by, said.attempt, said.head) == ("yes", "Ada", 1, head)
    assert said.at.endswith("Z")
    assert noted(tmp_path) == ["checked"]
    assert len(done.attempts) == 1


@pytest.mark.requirement("WFL-RESULT-041")
def test_person_is_asked_only_when_all_other_checks_have_passed(workspace: Workspace) -> None:
    checks = (ASK, Check(kind="file_exists", path="src/b.py"))
    landing = land(workspace, put_merging(workspace, "one", CHANGE, verify=checks))
    assert isinstance(landing, Blocked)
    assert (landing.code, landing.reason) == ("verification", "src/b.py is missing")


@pytest.mark.requirement("WFL-RESULT-044")
@pytest.mark.long
def test_no_is_a_failure_of_verification_that_the_next_attempt_is_told(
    workspace: Workspace,
) -> None:
    task = _asked(workspace)
    give_verdict(workspace, task.id, "no", who="Ada", reason="two is odd")
    entry = workspace.ledger.get(task.id)
    block = entry.task.block
    assert block is not None
    assert (entry.status, block.code) == (Status.BLOCKED, "verification")
    assert (block.reason, block.command) == ("Ada said no: two is odd", f"wfledger retry {task.id}")
    assert outcomes(workspace, task.id) == ["verification"]
    result = workspace.ledger.result(task.id, 1)
    assert result is not None
    assert result.failure is not None
    assert result.failure.source == "verification"
    retried = people.retry(workspace, task.id)
    assert retried.answers == ("Ada said no: two is odd",)
    with pytest.raises(TransitionError, match="waits for no verdict"):
        give_verdict(workspace, task.id, "yes", who="Ada")


@pytest.mark.requirement("WFL-RESULT-044")
@pytest.mark.long
def test_no_is_followed_by_another_attempt_where_the_plan_retries_that(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"}, clock=FakeClock())
    task = _asked(workspace, retry=Retry(on=("verification",)))
    give_verdict(workspace, task.id, "no", who="Ada")
    entry = workspace.ledger.get(task.id)
    assert (entry.status, entry.task.answers) == (Status.WAITING, ("Ada said no",))
    assert entry.task.hold is not None
    assert entry.task.hold.until == "2026-01-05T09:00:05.000Z"


@pytest.mark.requirement("WFL-RESULT-042")
@pytest.mark.long
def test_mended_result_and_another_attempt_are_asked_about_anew(workspace: Workspace) -> None:
    task = _asked(workspace)
    give_verdict(workspace, task.id, "no", who="Ada")
    place = open_worktree(workspace, task.id).place
    (place.folder / "src/a.py").write_text("A = 3\n")
    people.accept(workspace, task.id)
    assert drive(workspace).verdict.state == "waits"
    mended = workspace.ledger.get(task.id).task
    assert is_asked(mended)
    give_verdict(workspace, task.id, "yes", who="Ada")
    assert isinstance(_land_accepted(workspace, task.id), Done)
    first, second = workspace.ledger.get(task.id).task.approvals
    assert first.head != second.head


def _land_accepted(workspace: Workspace, task_id: str) -> object:
    drive(workspace)
    return land(workspace, workspace.ledger.get(task_id).task)


@pytest.mark.requirement("WFL-RESULT-042")
@pytest.mark.long
def test_yes_to_another_head_lets_nothing_land(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", CHANGE, verify=(ASK,))
    other = git(workspace.main, "rev-parse", "main")
    with workspace.ledger.transaction("test") as changes:
        said = Approval(attempt=1, head=other, verdict="yes", by="Eve", at="now")
        changes.update(task.id, why="planted", approvals=(said,))
    assert isinstance(land(workspace, task), Blocked)


@pytest.mark.requirement("WFL-RESULT-043")
@pytest.mark.long
def test_yes_waives_no_other_check(workspace: Workspace) -> None:
    task = _asked(workspace, Check(kind="exit_code", expect=0))
    give_verdict(workspace, task.id, "yes", who="Ada")
    config = workspace.config()
    with workspace.ledger.transaction("test") as changes:
        gated = config.but(policy=config.policy.but(gate=GatePolicy(command="false")))
        changes.put_file("ledger.json", canonical(gated), why="gate")
    drive(workspace)
    block = workspace.ledger.get(task.id).task.block
    assert block is not None
    assert block.code == "gate"


@pytest.mark.long
def test_reader_without_a_commit_is_approved_too(workspace: Workspace) -> None:
    task = start(workspace, add_task(workspace, "one", verify=(ASK,)).id)
    close(workspace, Result(task=task.id, attempt=1, status="succeeded"), by="test")
    assert isinstance(land(workspace, task), Blocked)
    give_verdict(workspace, task.id, "yes", who="Ada")
    assert drive(workspace).verdict.state == "succeeded"


def test_verdict_is_refused_where_nobody_asks(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", CHANGE)
    with pytest.raises(TransitionError, match="it is merging"):
        give_verdict(workspace, task.id, "yes", who="Ada")
    asked = _asked_two(workspace)
    with pytest.raises(UsageError, match="yes or no"):
        people.answer(workspace, asked.id, "perhaps")
    with pytest.raises(UsageError, match="not for another landing"):
        people.accept(workspace, asked.id)
    with pytest.raises(UsageError, match="for a no"):
        give_verdict(workspace, asked.id, "yes", who="Ada", reason="fine")
    spec = asked.spec.but(verify=())
    with workspace.ledger.transaction("test") as changes:
        changes.update(asked.id, why="past the verbs", spec=spec)
    with pytest.raises(StaleError, match="changed past the verbs"):
        give_verdict(workspace, asked.id, "yes", who="Ada")


def _asked_two(workspace: Workspace) -> Task:
    task = put_merging(workspace, "two", {"src/b.py": "B\n"}, verify=(ASK,))
    land(workspace, task)
    return workspace.ledger.get(task.id).task


@pytest.mark.long
def test_complete_says_that_a_person_is_asked_and_answer_decides(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"})
    root = workspace.main
    wf(root, "add", "Figures", "--id", "fig", "--write", "src", "--approval")
    wf(root, "tick")
    claimed = wf_json(root, "claim", "--worker", "ada", "--worktree")
    Path(claimed["worktree"], "src/a.py").write_text("A = 2\n")
    done = wf_json(root, "complete", claimed["task"]["id"], "--token", claimed["token"], status=10)
    assert (done["landing"], done["code"]) == ("blocked", "approval")
    assert done["command"] == f"wfledger answer {claimed['task']['id']} yes"
    wf_json(root, "answer", claimed["task"]["id"], "yes")
    wf(root, "tick")
    wf(root, "tick")
    assert workspace.ledger.get(claimed["task"]["id"]).status is Status.DONE
