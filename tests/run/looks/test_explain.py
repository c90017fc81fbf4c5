"""`why`: for every status, the reason, who holds what is waited for, and the command that ends it."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.repos import git
from tests.support.workspaces import add_task, make_workspace, open_workspace, put_merging, start
from wfledger.core import outcome
from wfledger.core.documents import Hold, Task
from wfledger.core.policy import LedgerConfig
from wfledger.core.records import canonical
from wfledger.core.statuses import Actor, Status
from wfledger.errors import NotFoundError
from wfledger.run.looks.explain import Why, explain
from wfledger.run.presence import driving
from wfledger.run.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, clock: FakeClock) -> Workspace:
    """A ledger with the run r1."""
    return make_workspace(tmp_path, clock=clock)


def why(workspace: Workspace, node: str) -> Why:
    """Explain as another process would."""
    return explain(open_workspace(workspace.main, clock=workspace.clock), f"r1.{node}")


def offer(workspace: Workspace, node: str, **spec: Any) -> Task:
    """Put a new task on offer."""
    task = add_task(workspace, node, **spec)
    with workspace.ledger.transaction("test") as changes:
        return changes.move(
            task.id, Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1
        )


def block(workspace: Workspace, task: Task, code: str) -> Task:
    """Let the claimed attempt of *task* end in a block."""
    with workspace.ledger.transaction("test") as changes:
        return changes.move(
            task.id, Status.BLOCKED, actor=Actor.WORKER, why=code,
            block=outcome.block(task, code, f"because of {code}"),
        )  # fmt: skip


def test_task_that_may_start_waits_for_the_next_pass(workspace: Workspace) -> None:
    add_task(workspace, "a")
    found = why(workspace, "a")
    assert (found.code, found.command) == ("ready", "wfledger run r1")
    assert found.since is not None
    with driving(workspace, None, slots=1):  # a daemon: nobody has to start another dispatcher
        assert why(workspace, "a").command is None


@pytest.mark.requirement("WFL-CLI-009")
def test_dependency_names_who_works_on_it(workspace: Workspace) -> None:
    start(workspace, add_task(workspace, "a").id)
    add_task(workspace, "b", after=("r1.a",))
    add_task(workspace, "c", after=("r1.b",))
    found = why(workspace, "c")
    assert [(w.task, w.status) for w in found.waits_for] == [("r1.b", "waiting")]
    assert found.root is not None
    assert (found.root.task, found.root.holder) == ("r1.a", "worker")
    assert found.command == "wfledger stop r1.a"


def test_dependency_that_will_not_be_done(workspace: Workspace) -> None:
    add_task(workspace, "a", after=("r1.absent",))
    found = why(workspace, "a")
    assert (found.code, found.command) == ("dependency_cancelled", "wfledger cancel r1.a")


@pytest.mark.requirement("WFL-CLI-009")
def test_held_scope_is_shown_with_a_witness(workspace: Workspace) -> None:
    start(workspace, add_task(workspace, "a", write=("src/**",)).id)
    add_task(workspace, "b", write=("src/*.py",))
    found = why(workspace, "b")
    assert found.code == "scope"
    assert [(w.task, w.holder) for w in found.waits_for] == [("r1.a", "worker")]
    assert found.facts["witness"].startswith("src/")
    assert found.facts["witness"] in found.reason
    assert found.command == "wfledger stop r1.a"


def test_held_label(workspace: Workspace) -> None:
    offer(workspace, "a", contracts=("database",))
    add_task(workspace, "b", contracts=("database",))
    found = why(workspace, "b")
    assert (found.code, found.command) == ("contract", "wfledger run r1")
    assert "database" in found.reason


def test_limit_of_the_run(workspace: Workspace) -> None:
    run = workspace.ledger.run("r1")
    with workspace.ledger.transaction("test") as changes:
        changes.put_run(run.but(max_concurrent=1), why="test")
    offer(workspace, "a")
    add_task(workspace, "b")
    assert why(workspace, "b").code == "run_limit"


def test_backoff_says_until_when(workspace: Workspace, clock: FakeClock) -> None:
    task = add_task(workspace, "a")
    with workspace.ledger.transaction("test") as changes:
        hold = Hold(code="backoff", reason="reset by peer", until="2026-01-05T09:00:05.000Z")
        changes.update(task.id, why="test", hold=hold)
    found = why(workspace, "a")
    assert (found.code, found.until) == ("backoff", "2026-01-05T09:00:05.000Z")
    clock.advance(6)
    assert why(workspace, "a").code == "ready"


def test_paused_ledger_says_why_and_how_it_goes_on(workspace: Workspace) -> None:
    add_task(workspace, "a")
    config: LedgerConfig = workspace.config()
    (workspace.ledger.layout.root / "ledger.json").write_bytes(
        canonical(config.but(paused="budget"))
    )
    found = why(workspace, "a")
    assert found.code == "paused"
    assert "budget" in found.reason
    assert found.command == "wfledger resume"


def test_stopped_run_goes_on_with_run(workspace: Workspace) -> None:
    add_task(workspace, "a")
    run = workspace.ledger.run("r1")
    with workspace.ledger.transaction("test") as changes:
        changes.put_run(run.but(state="paused", reason="lunch"), why="test")
    found = why(workspace, "a")
    assert (found.code, found.command) == ("run", "wfledger run r1")
    assert "lunch" in found.reason


def test_offer_says_how_to_take_it(workspace: Workspace) -> None:
    offer(workspace, "a")
    offer(workspace, "b", command=None, manual=True)
    assert why(workspace, "a").command == "wfledger run r1"
    assert why(workspace, "b").command == "wfledger claim r1.b"


def test_claim_of_a_runtime_that_died(workspace: Workspace) -> None:
    task = start(workspace, add_task(workspace, "a").id)
    workspace.ledger.layout.live(task.id, task.attempt).touch()
    found = why(workspace, "a")
    assert (found.code, found.facts["owner"], found.command) == ("working", "dead", "wfledger tick")


def test_merging_waits_for_somebody_to_land_it(workspace: Workspace) -> None:
    put_merging(workspace, "a", {"src/x": "1"})
    found = why(workspace, "a")
    assert (found.code, found.command) == ("merging", "wfledger run r1")


def test_block_gives_its_command(workspace: Workspace) -> None:
    block(workspace, start(workspace, add_task(workspace, "a").id), "question")
    found = why(workspace, "a")
    assert (found.code, found.reason) == ("question", "because of question")
    assert found.command == "wfledger answer r1.a 'YOUR ANSWER'"


def test_cancelled_waits_for_nothing(workspace: Workspace) -> None:
    task = add_task(workspace, "a")
    with workspace.ledger.transaction("test") as changes:
        changes.move(task.id, Status.CANCELLED, actor=Actor.PERSON, why="enough")
    found = why(workspace, "a")
    assert (found.code, found.command) == ("cancelled", None)
    assert "enough" in found.reason


@pytest.mark.requirement("WFL-CLI-004")
def test_explaining_changes_nothing(workspace: Workspace) -> None:
    start(workspace, add_task(workspace, "a", write=("src",)).id)
    add_task(workspace, "b", write=("src",))
    local = workspace.ledger.layout.local
    before = sorted((str(p), p.stat().st_mtime_ns) for p in local.rglob("*"))
    why(workspace, "a")
    why(workspace, "b")
    assert sorted((str(p), p.stat().st_mtime_ns) for p in local.rglob("*")) == before
    assert git(workspace.main, "status", "--porcelain") == ""


def test_nothing_of_that_name(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError):
        why(workspace, "absent")
