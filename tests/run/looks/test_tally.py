"""Failed attempts of each run, also of tasks that are done, without opening those."""

from pathlib import Path

import pytest

from tests.support.sharing import granting, share, synced
from tests.support.workspaces import add_run, add_task, hand_in, make_workspace, start
from wfledger.core.documents import Failure
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.claims import claim
from wfledger.run.commit import commit_journal
from wfledger.run.looks.tally import failures, note_failures
from wfledger.run.workspace import Workspace

_AGAIN = {"on": ("transport",), "backoff_s": 0.01, "backoff_max_s": 0.01}


def fails(workspace: Workspace, task_id: str, kind: str, source: str) -> None:
    """Let the next attempt of a task fail."""
    is_offered = task_id in workspace.ledger.names(Status.PENDING)
    task = claim(workspace, worker="worker").task if is_offered else start(workspace, task_id)
    base = workspace.ledger.run(task.run).base
    failed = Failure(failure_class=kind, source=source)
    hand_in(workspace, task, {}, base=base, status="failed", failure=failed)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A ledger whose task `a` failed once and is done, and whose task `b` has failed."""
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a", retry=_AGAIN)
    fails(workspace, "r1.a", "transport", "transport")
    task = start(workspace, "r1.a")
    hand_in(workspace, task, {}, base=workspace.ledger.run("r1").base)
    with workspace.ledger.transaction("test") as changes:
        changes.move("r1.a", Status.DONE, actor=Actor.MERGER, why="landed")
    add_task(workspace, "b")
    fails(workspace, "r1.b", "task", "task")
    commit_journal(workspace)
    return workspace


def blocked(workspace: Workspace) -> dict[str, dict[str, int]]:
    """Return what is counted when only blocked tasks are read."""
    return failures(workspace, workspace.ledger.tasks(Status.BLOCKED))


@pytest.mark.requirement("WFL-STATUS-043")
def test_failures_of_done_tasks_count(workspace: Workspace) -> None:
    assert blocked(workspace) == {"r1": {"transport": 1, "task": 1}}


def test_what_is_not_committed_yet_counts_where_it_is_read(workspace: Workspace) -> None:
    add_task(workspace, "c")
    fails(workspace, "r1.c", "task", "task")
    assert blocked(workspace) == {"r1": {"transport": 1, "task": 2}}


def test_lost_index_is_made_anew(workspace: Workspace) -> None:
    path = workspace.ledger.layout.local / "index" / "failures.json"
    for damaged in (b"{", b"[1]"):
        path.write_bytes(damaged)
        add_run(workspace, f"r{len(damaged) + 5}")
        commit_journal(workspace)
        assert blocked(workspace) == {"r1": {"transport": 1, "task": 1}}


def test_landed_run_is_forgotten(workspace: Workspace) -> None:
    with workspace.ledger.transaction("test") as changes:
        run = workspace.ledger.run("r1")
        changes.put_run(run.but(seq=run.seq + 1, state="landed"), why="landed")
    commit_journal(workspace)
    assert failures(workspace, ()) == {}


def test_record_that_is_noted_twice_counts_once(workspace: Workspace) -> None:
    attempt = {"number": 1, "worker": "w", "outcome": "gate", "ended": "now"}
    record = {"kind": "task", "task": "r1.z", "content": {"attempts": [attempt]}}
    note_failures(workspace, [record])
    note_failures(workspace, [record])
    assert failures(workspace, ())["r1"]["merge"] == 1


@pytest.mark.requirement("WFL-HUB-161")
@pytest.mark.long
def test_failures_of_tasks_that_other_machines_have_done_count_here(tmp_path: Path) -> None:
    one, other, newcomer = share(tmp_path, 3)
    add_run(one)
    add_task(one, "a", retry=_AGAIN)
    for ends in (False, True):
        synced(one, other, proposers=[granting])
        if ends:
            hand_in(one, claim(one, worker="worker").task, {}, base=one.ledger.run("r1").base)
        else:
            fails(one, "r1.a", "transport", "transport")
    with one.ledger.transaction("test") as changes:
        changes.move("r1.a", Status.DONE, actor=Actor.MERGER, why="landed")
    synced(one, other, newcomer)
    assert [failures(machine, ()) for machine in (one, other, newcomer)] == [
        {"r1": {"transport": 1}}
    ] * 3
