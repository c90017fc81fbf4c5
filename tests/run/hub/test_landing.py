"""Results of many machines land on one branch: each once, one on the other, or with the reason."""

from pathlib import Path

import pytest

from tests.support.landings import land
from tests.support.repos import git
from tests.support.sharing import granting, share, shows_the_tip, statuses, synced
from tests.support.workspaces import BRANCH, Content, add_run, add_task, change, hand_in
from wfledger.core.documents import Task
from wfledger.core.statuses import Status
from wfledger.run.attempts.claims import claim
from wfledger.run.hub import landing
from wfledger.run.hub.meeting import Met
from wfledger.run.merger.landing import is_landable
from wfledger.run.workspace import Workspace


def _hub(workspace: Workspace) -> Path:
    hub = workspace.hub
    assert hub is not None
    return Path(hub.url)


def _finished(workspace: Workspace, node: str, files: dict[str, Content]) -> Task:
    """Add a task, have it granted and worked on here; it is in merging/ then."""
    add_task(workspace, node, write=("src", "lib"))
    synced(workspace, proposers=[granting])
    task = claim(workspace, worker="w", task_id=f"r1.{node}").task
    base = git(workspace.main, "rev-parse", BRANCH)
    hand_in(workspace, task, files, base=base)
    return workspace.ledger.get(task.id).task


def _meet(*machines: Workspace) -> list[Met]:
    return synced(*machines, proposers=[landing.propose])


def _landed(workspace: Workspace) -> list[str]:
    """Return the tasks that the remote's branch has the results of, oldest first."""
    lines = git(_hub(workspace), "log", "--reverse", "--format=%P %(trailers:key=Wfledger-Task,valueonly)", BRANCH)  # noqa: E501
    rows = [line.split() for line in lines.splitlines() if line.strip()]
    assert all(len(row) <= 2 for row in rows), "the branch is not one line"
    return [row[1] for row in rows if len(row) == 2]


def _assert_sound(*machines: Workspace) -> None:
    """Check that all show the same, and that what is done is on the branch, here and there."""
    for workspace in machines:
        shows_the_tip(workspace)
        tip = git(_hub(workspace), "rev-parse", BRANCH)
        assert git(workspace.main, "rev-parse", BRANCH) == tip
        for task in workspace.ledger.tasks(Status.DONE):
            assert task.landed is not None and task.landed.commit is not None
            git(workspace.main, "merge-base", "--is-ancestor", task.landed.commit, tip)
            proof = git(workspace.main, "rev-parse", f"refs/wfledger/landed/{task.id}")
            assert proof == task.landed.commit
        assert not git(workspace.main, "for-each-ref", "refs/wfledger/hub/next")


@pytest.mark.requirement("WFL-HUB-071", "WFL-HUB-072")
def test_a_result_lands_on_the_remote_and_is_done_everywhere(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = _finished(one, "a", {"src/a.py": "A\n"})
    land(one, task)
    assert not is_landable(one, one.ledger.get(task.id).task, now=one.clock.now())
    assert _meet(one)[0].granted == ("land r1.a on wf/r1",)
    assert statuses(one) == {task.id: "done"}
    _meet(other)
    assert _landed(one) == [task.id]
    _assert_sound(one, other)


@pytest.mark.long
@pytest.mark.parametrize("atomic", [True, False])
def test_two_machines_land_on_one_branch_at_once(tmp_path: Path, atomic: bool) -> None:
    machines = share(tmp_path, atomic=atomic)
    add_run(machines[0])
    synced(*machines)
    names = []
    for at, workspace in enumerate(machines):
        for number in range(3):
            task = _finished(workspace, f"t{at}{number}", {f"src/{at}{number}.py": "x\n"})
            names.append(task.id)
    for _ in range(6):
        for workspace in machines:
            for task in workspace.ledger.tasks(Status.MERGING):
                if is_landable(workspace, task, now=workspace.clock.now()):
                    land(workspace, task)
        _meet(*machines)
        if set(statuses(machines[0]).values()) == {"done"}:
            break
    _meet(*machines)
    assert sorted(_landed(machines[0])) == sorted(names)
    assert set(statuses(machines[1]).values()) == {"done"}
    _assert_sound(*machines)
