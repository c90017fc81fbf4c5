"""A choice at the home of a run among candidates that another machine has worked out."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.run.controllers.test_reviewing import REVIEW, SECOND, chosen, plan
from tests.support.controllers import look
from tests.support.landings import land
from tests.support.repos import git
from tests.support.sharing import granted, share, shows_the_tip, statuses
from tests.support.workspaces import BRANCH, RUN, add_run, hand_in
from wfledger.core.documents import Task
from wfledger.core.statuses import Status
from wfledger.run.attempts.claims import claim
from wfledger.run.hub import keeping, landing
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.merger.landing import is_landable
from wfledger.run.workspace import Workspace


def _work(workspace: Workspace, name: str) -> None:
    """Do what is on offer: a try changes the file, a judge picks the second one."""
    task = claim(workspace, worker="w", task_id=name, dispatches=True).task
    base = git(workspace.main, "rev-parse", BRANCH)
    is_try = ".x.try" in name
    files = {"src/a.py": f"{name}\n"} if is_try else {}
    outputs = {} if is_try else {"selected": "try2"}
    head = hand_in(workspace, task, files, base=base, outputs=outputs)
    if files:
        keeping.offer(workspace, f"refs/wfledger/keep/{name}/{task.attempt}", head)


def _land(workspace: Workspace) -> None:
    for task in list(workspace.ledger.tasks(Status.MERGING)):
        if is_landable(workspace, task, now=workspace.clock.now()):
            land(workspace, task)


def _meet(workspace: Workspace) -> None:
    """Let what can land be brought, and ask for all that waits and is no undecided choice."""

    def ask(workspace: Workspace, sight: Sight) -> list[Proposal]:
        waiting = workspace.ledger.tasks(Status.WAITING)
        ready = [task for task in waiting if task.spec.control is None]
        if workspace.machine.id == workspace.ledger.run(RUN).home:
            ready = [task for task in waiting if task.accepted is not None]
        return [*landing.propose(workspace, sight), *(_offered(workspace, one) for one in ready)]

    meet(workspace, (ask,))


def _offered(workspace: Workspace, task: Task) -> Proposal:
    """Grant a task; what was accepted goes on to land without another attempt."""
    proposal = granted(workspace, task)
    if task.accepted is None:
        return proposal
    (move,) = proposal.moves
    task = move.task.but(attempt=task.attempt)
    return replace(proposal, moves=(replace(move, task=task, target=Status.MERGING),))


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-081", "WFL-HUB-085")
def test_a_candidate_of_another_machine_is_fetched_and_lands_when_it_is_chosen(
    tmp_path: Path,
) -> None:
    home, worker = share(tmp_path)
    run = add_run(home)
    with home.ledger.transaction("test") as changes:
        changes.put_run(run.but(seq=2, home=home.machine.id), why="home")
    plan(home, SECOND)
    _meet(home)
    for _ in range(4):
        _meet(worker)
        for name in sorted(worker.ledger.names(Status.PENDING)):
            _work(worker, name)
        _land(worker)
        _meet(worker)
        look(home)
        _meet(home)
    for _ in range(3):
        look(home)
        _meet(home)
        _land(home)
    _meet(worker)
    assert statuses(home)[REVIEW] == "done"
    assert chosen(home)["winner"] == f"{RUN}.x.try2"
    assert git(home.main, "show", f"{BRANCH}:src/a.py") == f"{RUN}.x.try2"
    for workspace in (home, worker):
        shows_the_tip(workspace)
