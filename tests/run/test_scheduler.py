"""The scheduler's step: what goes on offer, what stands in the way, what is taken back."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.workspaces import RUN, add_run, add_task, hand_in, make_workspace, start
from wfledger.clock import iso
from wfledger.core import bounds
from wfledger.core.documents import Accepted, Hold, Retry, TaskSpec
from wfledger.core.policy import Policy
from wfledger.core.records import canonical
from wfledger.core.statuses import Actor, Status
from wfledger.run.commit import commit_journal
from wfledger.run.scheduler import Scheduler
from wfledger.run.step import Step
from wfledger.run.submit import new_task
from wfledger.run.workspace import Workspace


def step(workspace: Workspace, *, slots: int = 4) -> Step:
    return Scheduler(workspace).step(slots=slots)


def status_of(workspace: Workspace, node: str, run_id: str = RUN) -> Status:
    return workspace.ledger.get(f"{run_id}.{node}").status


def block(workspace: Workspace, node: str, code: str = "task") -> None:
    from wfledger.core import outcome

    task = start(workspace, add_task(workspace, node).id)
    with workspace.ledger.transaction("test") as changes:
        blocked = outcome.block(task, code, "no")
        changes.move(
            task.id, Status.BLOCKED, actor=Actor.WORKER, why=code, block=blocked, claim=None
        )


def change_run(workspace: Workspace, **changes: Any) -> None:
    with workspace.ledger.transaction("test") as transaction:
        run = workspace.ledger.run(RUN)
        transaction.put_run(run.but(seq=run.seq + 1, **changes), why="test")


@pytest.mark.requirement("WFL-STATUS-022")
def test_window_bounds_what_is_on_offer(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    for number in range(bounds.WINDOW_MIN + 6):
        add_task(workspace, f"t{number:03}")
    step(workspace, slots=1)
    assert len(workspace.ledger.names(Status.PENDING)) == bounds.WINDOW_MIN
    assert len(step(workspace, slots=17).promoted) == 4


def test_promotion_raises_the_attempt_number(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a")
    assert step(workspace).promoted == [f"{RUN}.a"]
    assert workspace.ledger.get(f"{RUN}.a").task.attempt == 1


def test_higher_priority_and_greater_age_go_first(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, clock=FakeClock())
    add_task(workspace, "old", write=("src",))
    add_task(workspace, "urgent", write=("src",), priority=1)
    assert step(workspace).promoted == [f"{RUN}.urgent"]


def test_task_waits_for_who_holds_its_path_and_is_told_the_path(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a", write=("src/**",), priority=1)
    add_task(workspace, "b", write=("src/b.py",))
    assert "src/b.py" in step(workspace).waits[f"{RUN}.b"]
    assert status_of(workspace, "b") is Status.WAITING


@pytest.mark.requirement("WFL-STATUS-021")
def test_blocked_task_holds_nothing(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    task = start(workspace, add_task(workspace, "a", write=("src",)).id)
    add_task(workspace, "b", write=("src",))
    assert step(workspace).promoted == []
    from wfledger.core import outcome

    with workspace.ledger.transaction("test") as changes:
        blocked = outcome.block(task, "task", "no")
        changes.move(task.id, Status.BLOCKED, actor=Actor.WORKER, why="task", block=blocked)
    assert step(workspace).promoted == [f"{RUN}.b"]


@pytest.mark.requirement("WFL-STATUS-023")
def test_offer_that_nobody_takes_is_withdrawn_for_one_in_whose_way_it_is(tmp_path: Path) -> None:
    clock = FakeClock()
    workspace = make_workspace(tmp_path, clock=clock, policy=Policy(offer_ttl_s=60))
    add_task(workspace, "idle", write=("src",))
    add_task(workspace, "alone", write=("docs",))
    step(workspace)
    add_task(workspace, "eager", write=("src",), priority=1)
    step(workspace)
    clock.advance(61)
    step(workspace)
    assert status_of(workspace, "idle") is Status.WAITING
    assert status_of(workspace, "alone") is Status.PENDING
    assert step(workspace).promoted == [f"{RUN}.eager"]
    assert workspace.ledger.get(f"{RUN}.idle").task.attempts == ()


@pytest.mark.requirement("WFL-STATUS-024")
@pytest.mark.parametrize("whole", [True, False], ids=["ledger", "run"])
def test_pausing_withdraws_the_offers(tmp_path: Path, *, whole: bool) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a")
    step(workspace)
    if whole:
        config = workspace.config().but(paused="lunch")
        (workspace.ledger.layout.root / "ledger.json").write_bytes(canonical(config))
    else:
        change_run(workspace, state="paused")
    done = step(workspace)
    assert status_of(workspace, "a") is Status.WAITING
    assert done.on_person == {f"{RUN}.a"}


@pytest.mark.requirement("WFL-STATUS-019")
def test_accepted_result_goes_to_merging_when_its_scope_is_free(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    holder = start(workspace, add_task(workspace, "holder", write=("src",)).id)
    head = workspace.repo.tip(f"refs/heads/wf/{RUN}") or ""
    task = add_task(workspace, "a", write=("src",))
    with workspace.ledger.transaction("test") as changes:
        changes.update(task.id, why="test", accepted=Accepted(attempt=1, head=head, base=head))
    step(workspace)
    assert status_of(workspace, "a") is Status.WAITING
    hand_in(workspace, holder, {}, base=head)
    with workspace.ledger.transaction("test") as changes:
        changes.move(holder.id, Status.CANCELLED, actor=Actor.PERSON, why="test")
    step(workspace)
    found = workspace.ledger.get(task.id)
    assert (found.status, found.task.attempt) == (Status.MERGING, task.attempt)


@pytest.mark.requirement("WFL-TASK-020")
def test_task_whose_run_has_no_document_is_not_promoted(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    made = new_task("lost.a", TaskSpec(command="true"), iso(workspace.clock.now()))
    with workspace.ledger.transaction("test") as changes:
        changes.add(made)
    assert step(workspace).promoted == []


def test_backoff_ends_by_the_clock_and_survives_its_jumps(tmp_path: Path) -> None:
    clock = FakeClock()
    workspace = make_workspace(tmp_path, clock=clock)
    task = add_task(workspace, "a", retry=Retry(backoff_s=5, backoff_max_s=10))
    late = clock.now().timestamp()
    with workspace.ledger.transaction("test") as changes:
        until = iso(clock.now().fromtimestamp(late + 5, clock.now().tzinfo))
        changes.update(task.id, why="test", hold=Hold(code="backoff", until=until))
    assert step(workspace).promoted == []
    clock.jump(-86_400)  # the moment is a day away now, which no backoff can be
    assert step(workspace).promoted == [task.id]


def test_dependents_of_a_cancelled_task_are_blocked_through_the_chain(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    first = add_task(workspace, "a")
    add_task(workspace, "b", after=(first.id,))
    add_task(workspace, "c", after=(f"{RUN}.b",))
    with workspace.ledger.transaction("test") as changes:
        changes.move(first.id, Status.CANCELLED, actor=Actor.PERSON, why="test")
    done = step(workspace)
    assert status_of(workspace, "b") is Status.BLOCKED
    assert f"{RUN}.c" in done.on_person


def test_skipped_failure_lets_its_consumer_start_and_names_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    block(workspace, "plain")
    task = start(workspace, add_task(workspace, "a", on_failure="skip_continue").id)
    from wfledger.core import outcome

    with workspace.ledger.transaction("test") as changes:
        blocked = outcome.block(task, "task", "no")
        changes.move(task.id, Status.BLOCKED, actor=Actor.WORKER, why="task", block=blocked)
    add_task(workspace, "b", after=(task.id,))
    add_task(workspace, "c", after=(f"{RUN}.plain",))
    assert step(workspace).promoted == [f"{RUN}.b"]
    assert workspace.ledger.get(f"{RUN}.b").task.missing == (task.id,)


@pytest.mark.requirement("WFL-STATUS-028")
def test_abort_gives_up_what_is_left_of_the_run_and_of_no_other(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_run(workspace, "r2")
    other = add_task(workspace, "x", run_id="r2")
    task = start(workspace, add_task(workspace, "a", on_failure="abort").id)
    add_task(workspace, "b")
    block(workspace, "stopped", "stopped")
    from wfledger.core import outcome

    with workspace.ledger.transaction("test") as changes:
        blocked = outcome.block(task, "task", "no")
        changes.move(task.id, Status.BLOCKED, actor=Actor.WORKER, why="task", block=blocked)
    assert step(workspace).aborted == {RUN}
    assert status_of(workspace, "b") is Status.CANCELLED
    assert status_of(workspace, "stopped") is Status.CANCELLED
    assert status_of(workspace, "a") is Status.BLOCKED
    assert workspace.ledger.get(other.id).status is Status.PENDING


def test_task_overtaken_often_enough_reserves_its_scope(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, policy=Policy(overtake=2))
    start(workspace, add_task(workspace, "holder", write=("src/a",)).id)
    wide = add_task(workspace, "wide", write=("src",), priority=1)
    for number in range(4):
        add_task(workspace, f"small{number}", write=(f"src/s{number}",))
        step(workspace)
    assert workspace.ledger.get(wide.id).task.overtaken == 2
    assert status_of(workspace, "small3") is Status.WAITING


def test_claim_is_folded_into_the_document(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    task = start(workspace, add_task(workspace, "a").id)
    step(workspace)
    note = workspace.ledger.get(task.id).task.claim
    assert note is not None
    assert (note.worker, note.attempt) == ("worker", 1)


@pytest.mark.requirement("WFL-LEDGER-045")
def test_file_that_a_person_edited_is_taken_into_the_history(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    step(workspace)
    commit_journal(workspace)
    assert workspace.ledger.journal.is_empty()
    step(workspace)
    assert workspace.ledger.journal.is_empty()  # what nobody touched is not recorded again
    fleet = workspace.ledger.layout.root / "fleet.toml"
    fleet.write_text('[env]\npass = ["EDITED"]\n')
    step(workspace)
    commit_journal(workspace)
    assert workspace.history.read("fleet.toml") == fleet.read_bytes()


@pytest.mark.requirement("WFL-STATUS-032")
def test_class_bounds_what_is_on_offer_or_at_work_of_all_runs(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, policy=Policy(classes={"gpu": 2}))
    add_run(workspace, "r2")
    first = start(workspace, add_task(workspace, "a", class_="gpu").id)
    for run_id, node in (("r2", "b"), ("r2", "c"), (RUN, "d")):
        add_task(workspace, node, run_id=run_id, class_="gpu")
    add_task(workspace, "e", class_="cpu")
    done = step(workspace)
    assert set(done.promoted) == {f"{RUN}.e", "r2.b"}
    assert "the class gpu (policy.classes)" in done.waits["r2.c"]
    hand_in(workspace, first, {}, base=workspace.ledger.run(RUN).base)
    assert step(workspace).promoted == ["r2.c"]


@pytest.mark.requirement("WFL-STATUS-033")
def test_role_whose_slots_are_taken_fills_no_window(tmp_path: Path) -> None:
    fleet = '[role.slow]\nargv = ["true", "{prompt}"]\nslots = 1\n'
    workspace = make_workspace(tmp_path, fleet=fleet)
    for number in range(bounds.WINDOW_MIN + 2):
        add_task(workspace, f"p{number:03}", command=None, prompt="x", priority=1)
    add_task(workspace, "quick")
    done = step(workspace, slots=2)
    assert done.promoted == [f"{RUN}.p000", f"{RUN}.quick"]
    assert "the role slow" in done.waits[f"{RUN}.p001"]


@pytest.mark.requirement("WFL-STATUS-016")
@pytest.mark.requirement("WFL-STATUS-022")
def test_task_for_people_takes_no_room_of_a_runtime(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    change_run(workspace, max_concurrent=1)
    for number in range(bounds.WINDOW_MIN + 2):
        add_task(workspace, f"m{number:03}", command=None, manual=True, priority=1)
    add_task(workspace, "a")
    add_task(workspace, "b")
    done = step(workspace)
    assert len(done.promoted) == bounds.WINDOW_MIN + 1
    assert done.promoted[-1] == f"{RUN}.a"
    assert "max_concurrent" in done.waits[f"{RUN}.b"]


@pytest.mark.requirement("WFL-SCOPE-032")
def test_offer_that_no_worker_can_take_any_more_is_withdrawn(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, fleet='[defaults]\noffers = ["gpu"]\n')
    add_task(workspace, "a", needs=("gpu",))
    assert step(workspace).promoted == [f"{RUN}.a"]
    (workspace.ledger.layout.root / "fleet.toml").write_text("")
    step(workspace)
    assert status_of(workspace, "a") is Status.WAITING
    done = step(workspace)
    assert done.waits[f"{RUN}.a"] == "no worker offers gpu"
    assert done.on_person == {f"{RUN}.a"}
