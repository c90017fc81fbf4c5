"""Names that people use for tasks and runs."""

from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.workspaces import add_run, add_task, make_workspace
from wfledger.errors import NotFoundError
from wfledger.run.looks.naming import find_run, resolve, task_ids
from wfledger.run.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, clock: FakeClock) -> Workspace:
    """A ledger with the runs r1 and, younger, r2, each with a task `build`."""
    found = make_workspace(tmp_path, clock=clock)
    clock.advance(1)
    add_run(found, "r2")
    for run_id in ("r1", "r2"):
        add_task(found, "build", run_id=run_id)
    return found


def named(workspace: Workspace, run_id: str, name: str) -> None:
    """Give a run a name."""
    with workspace.ledger.transaction("test") as changes:
        changes.put_run(workspace.ledger.run(run_id).but(name=name), why="test")


def test_short_name_means_the_newest_run(workspace: Workspace) -> None:
    assert resolve(workspace, "build") == "r2.build"
    assert resolve(workspace, "r1.build") == "r1.build"


def test_what_could_be_a_path_names_nothing(workspace: Workspace) -> None:
    for name in ("", "absent", "../r1.build", "r1.build.json", "*"):
        with pytest.raises(NotFoundError):
            resolve(workspace, name)


def test_run_is_found_by_id_before_name_and_by_its_newest_name(workspace: Workspace) -> None:
    named(workspace, "r1", "nightly")
    named(workspace, "r2", "nightly")
    assert find_run(workspace, "nightly").id == "r2"
    named(workspace, "r2", "r1")
    assert find_run(workspace, "r1").id == "r1"
    with pytest.raises(NotFoundError):
        find_run(workspace, "")


def test_tasks_of_a_run_that_tasks_are_added_to(workspace: Workspace) -> None:
    add_task(workspace, "later")
    assert task_ids(workspace, workspace.ledger.run("r1")) == ("r1.build", "r1.later")


def test_last_is_the_newest_run_of_a_plan_unless_one_is_called_so(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError):
        find_run(workspace, "last")
    with workspace.ledger.transaction("test") as changes:
        changes.put_run(workspace.ledger.run("r1").but(plan="{}"), why="test")
    assert find_run(workspace, "last").id == "r1"
    named(workspace, "r2", "last")
    assert find_run(workspace, "last").id == "r2"
