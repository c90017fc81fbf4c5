"""What people write into files of tasks, and new files, as the next step finds them."""

import json
import os
from pathlib import Path

import pytest

from tests.support.byhand import (
    blocked,
    claim_by_files,
    edit,
    mv,
    offered,
    put_file,
    put_result,
    reasons,
    settle,
    step,
    whole,
)
from tests.support.checkups import fix, look
from tests.support.clock import FakeClock
from tests.support.engines import statuses
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core import outcome
from wfledger.core.statuses import Actor, Status
from wfledger.errors import UsageError
from wfledger.run import people
from wfledger.run.byhand.adopting import Adopter
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

W, P, I, M = Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.MERGING  # noqa: E741
D, B, C = Status.DONE, Status.BLOCKED, Status.CANCELLED


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, clock=FakeClock())


def waiting(workspace: Workspace, **spec: object) -> str:
    first = offered(workspace)
    task_id = add_task(workspace, "later", after=(first,), write=("docs",), **spec).id
    step(workspace)
    return task_id


@pytest.mark.requirement("WFL-TASK-030")
def test_free_members_are_taken_in_and_recorded(workspace: Workspace) -> None:
    task_id = waiting(workspace)
    edit(workspace, task_id, W, spec={"title": "new", "priority": 5}, note="mine", seq=40)
    step(workspace)
    task = workspace.ledger.get(task_id).task
    assert (task.spec.title, task.spec.priority, task.seq) == ("new", 5, 2)
    assert task.spec_sha256 == task.spec.digest()
    assert task.model_extra == {"note": "mine"}
    assert whole(workspace)


@pytest.mark.requirement("WFL-TASK-031", "WFL-TASK-010")
def test_frozen_member_blocks_with_its_name_and_retry_puts_it_back(workspace: Workspace) -> None:
    task_id = waiting(workspace)
    before = workspace.ledger.get(task_id).task.spec
    edit(workspace, task_id, W, spec={"write": ["**"]}, spec_sha256="f" * 64)
    step(workspace)
    entry = workspace.ledger.get(task_id)
    assert entry.status is B
    assert entry.task.block is not None
    assert 'write was ["docs"] and is ["**"]' in entry.task.block.reason
    assert entry.task.block.command == f"wfledger retry --edited {task_id}"
    people.retry(workspace, task_id)
    assert workspace.ledger.get(task_id).task.spec == before


@pytest.mark.requirement("WFL-TASK-031")
def test_edit_of_a_frozen_member_counts_once_it_is_accepted(workspace: Workspace) -> None:
    task_id = waiting(workspace)
    edit(workspace, task_id, W, spec={"command": "false"})
    step(workspace)
    people.retry(workspace, task_id, edited=True)
    task = workspace.ledger.get(task_id).task
    assert (task.spec.command, task.spec_sha256) == ("false", task.spec.digest())
    step(workspace)
    assert statuses(workspace)[task_id] == "waiting"
    with pytest.raises(UsageError):
        people.retry(workspace, blocked_again(workspace, task_id), edited=True)


def blocked_again(workspace: Workspace, task_id: str) -> str:
    with workspace.ledger.transaction("test") as changes:
        block = outcome.block(changes.get(task_id).task, "task", "no")
        changes.move(task_id, B, actor=Actor.SCHEDULER, why="test", block=block)
    return task_id


@pytest.mark.requirement("WFL-TASK-032")
def test_members_that_programs_write_stay_as_recorded(workspace: Workspace) -> None:
    task_id = waiting(workspace)
    accepted = {"attempt": 1, "head": "0" * 40, "base": "1" * 40, "waive": ["verification"]}
    edit(workspace, task_id, W, attempt=7, accepted=accepted, spec={"title": "t"})
    step(workspace)
    task = workspace.ledger.get(task_id).task
    assert (task.attempt, task.accepted, task.spec.title) == (0, None, "t")
    assert len(reasons(workspace)) == 1
    assert whole(workspace)


@pytest.mark.requirement("WFL-TASK-030")
def test_edit_of_a_blocked_task_keeps_its_block(workspace: Workspace) -> None:
    task_id = blocked(workspace)
    before = workspace.ledger.get(task_id).task.block
    edit(workspace, task_id, B, spec={"title": "better"})
    step(workspace)
    task = workspace.ledger.get(task_id).task
    assert (task.block, task.spec.title) == (before, "better")


@pytest.mark.requirement("WFL-TASK-031")
def test_edit_that_is_undone_lifts_no_block_but_names_the_old_one(workspace: Workspace) -> None:
    task_id = blocked(workspace, write=("src",))
    edit(workspace, task_id, B, spec={"write": ["lib"]})
    step(workspace)
    edit(workspace, task_id, B, spec={"write": ["src"]})
    step(workspace)
    block = workspace.ledger.get(task_id).task.block
    assert block is not None
    assert block.code == "task"


@pytest.mark.requirement("WFL-TASK-032")
@pytest.mark.parametrize("status", [P, I], ids=lambda status: status.value)
def test_edit_where_nobody_edits_is_kept_aside_and_put_back(
    workspace: Workspace, status: Status
) -> None:
    task_id = offered(workspace, write=("src",))
    if status is I:
        claim_by_files(workspace, task_id)
        step(workspace)
    edit(workspace, task_id, status, spec={"write": ["**"]}, spec_sha256="0" * 64)
    step(workspace)
    task = workspace.ledger.get(task_id).task
    assert task.spec.write == ("src",)
    assert task.spec_sha256 == task.spec.digest()
    assert len(reasons(workspace)) == 1
    assert statuses(workspace)[task_id] == status.value


def test_dependency_that_is_no_task_is_not_taken_in(workspace: Workspace) -> None:
    task_id = waiting(workspace)
    edit(workspace, task_id, W, spec={"after": ["nobody"]})
    step(workspace)
    assert workspace.ledger.get(task_id).task.spec.after == ("r1.a",)
    assert len(reasons(workspace)) == 1


# -- new files -----------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-TASK-033")
def test_bare_task_in_waiting_joins_the_standing_run_and_goes_on_offer(
    workspace: Workspace,
) -> None:
    put_file(workspace, "one.json", {"command": "true", "write": ["docs/"]})
    put_file(workspace, "two.json", {"command": "true", "after": ["one"], "verify": "true"})
    step(workspace)
    step(workspace)
    assert statuses(workspace) == {"main.one": "pending", "main.two": "waiting"}
    task = workspace.ledger.get("main.two").task
    assert (task.spec.after, task.spec.title) == (("main.one",), "two")
    assert workspace.ledger.run("main").target == "refs/heads/main"
    assert whole(workspace)


@pytest.mark.requirement("WFL-TASK-033")
def test_bare_task_in_the_folder_of_a_run_belongs_to_it(workspace: Workspace) -> None:
    put_file(workspace, f"{RUN}/x.json", {"command": "true"})
    put_file(workspace, f"{RUN}.y.json", {"command": "true"})
    step(workspace)
    assert set(statuses(workspace)) == {"r1.x", "r1.y"}


@pytest.mark.requirement("WFL-TASK-033")
def test_whole_document_enters_with_nothing_done(workspace: Workspace) -> None:
    task_id = offered(workspace)
    data = json.loads(workspace.ledger.layout.task(P, task_id).read_text())
    data |= {"id": "r1.copy", "attempt": 5, "seq": 9, "forgiven": 3}
    put_file(workspace, "r1.copy.json", data)
    step(workspace)
    task = workspace.ledger.get("r1.copy").task
    assert (task.attempt, task.forgiven, task.spec.command) == (1, 0, "true")


@pytest.mark.requirement("WFL-TASK-034", "WFL-LEDGER-024")
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("typo.json", {"comand": "true"}, "comand"),
        ("scope.json", {"command": "true", "write": ["../up"]}, "write"),
        ("edge.json", {"command": "true", "after": ["nobody"]}, "nobody"),
        ("Upper.json", {"command": "true"}, "case"),
        ("list.json", [], "object"),
        ("nowhere/x.json", {"command": "true"}, "no run"),
        ("half.json", '{"command": "tr', "JSON"),
    ],
)
def test_file_that_is_no_task_goes_to_quarantine_and_harms_no_other(
    workspace: Workspace, name: str, content: object, reason: str
) -> None:
    put_file(workspace, name, content)  # type: ignore[arg-type]
    put_file(workspace, "good.json", {"command": "true"})
    settle(workspace)
    assert list(statuses(workspace)) == ["main.good"]
    (said,) = reasons(workspace).values()
    assert reason in said


@pytest.mark.requirement("WFL-TASK-034")
def test_file_that_is_being_written_is_left_alone(workspace: Workspace) -> None:
    adopter = Adopter(workspace)
    path = put_file(workspace, "slow.json", '{"comm')
    for part in ('{"command": "t', '{"command": "true'):
        adopter.step()
        workspace.clock.wait(1.5)
        path.write_text(part)
    adopter.step()
    assert reasons(workspace) == {}
    path.write_text('{"command": "true"}')
    adopter.step()
    assert list(statuses(workspace)) == ["main.slow"]


def test_fifo_in_waiting_blocks_nobody(workspace: Workspace) -> None:
    os.mkfifo(workspace.ledger.layout.root / "waiting" / "pipe.json")
    settle(workspace)
    assert "waiting.pipe.json" in reasons(workspace)


def test_new_file_elsewhere_is_no_task(workspace: Workspace) -> None:
    task_id = offered(workspace)
    data = json.loads(workspace.ledger.layout.task(P, task_id).read_text()) | {"id": "r1.b"}
    (workspace.ledger.layout.root / "merging" / "r1.b.json").write_text(json.dumps(data))
    settle(workspace)
    assert list(statuses(workspace)) == [task_id]


def test_id_that_was_used_is_refused(workspace: Workspace) -> None:
    task_id = blocked(workspace)
    workspace.ledger.layout.task(B, task_id).unlink()
    put_file(workspace, f"{task_id}.json", {"command": "true"})
    settle(workspace)
    assert statuses(workspace) == {}
    assert ["used before" in reason for reason in reasons(workspace).values()] == [True]


def test_file_that_garbles_a_known_task_is_replaced_by_what_was_recorded(
    workspace: Workspace,
) -> None:
    task_id = waiting(workspace)
    before = workspace.ledger.get(task_id).task
    put_file(workspace, f"{RUN}/{task_id}.json", "garbage")
    settle(workspace)
    assert workspace.ledger.get(task_id).task == before
    assert len(reasons(workspace)) == 1
    assert whole(workspace)


# -- and the doctor ------------------------------------------------------------------------------


def test_doctor_takes_a_new_task_in_and_names_what_is_in_quarantine(workspace: Workspace) -> None:
    put_file(workspace, "new.json", {"command": "true"})
    bad = put_file(workspace, "bad.json", {"comand": "true"})
    assert {(f.code, f.subject) for f in look(workspace.main)} >= {
        ("new-task", "waiting/new.json"), ("unreadable", "waiting/bad.json"),
    }
    repaired = fix(workspace.main)
    assert {finding.code for finding in repaired.left} == {"quarantined"}
    assert statuses(workspace) == {"main.new": "waiting"}
    assert not bad.exists()


def test_doctor_takes_in_what_a_claimant_handed_in_as_a_step_does(workspace: Workspace) -> None:
    task_id = offered(workspace)
    put_result(workspace, task_id, claim_by_files(workspace, task_id))
    mv(workspace, task_id, Status.IN_PROGRESS, Status.MERGING)
    fix(workspace.main)
    task = workspace.ledger.get(task_id).task
    assert [one.outcome for one in task.attempts] == ["succeeded"]
