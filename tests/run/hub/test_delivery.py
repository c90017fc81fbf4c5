"""What has landed on one machine is seen on the others, and comes to everybody's branch."""

from pathlib import Path

import pytest

from tests.support.landings import land
from tests.support.repos import commit, git
from tests.support.sharing import granting, reopened, share, synced
from tests.support.workspaces import BRANCH, add_run, add_task, hand_in
from wfledger.core.documents import Bringing
from wfledger.errors import BusyError, PausedError, StaleError, TransitionError, UsageError
from wfledger.run.attempts.claims import claim
from wfledger.run.doctor.proofs import Proofs
from wfledger.run.hub import delivery, keeping, landing
from wfledger.run.looks.changed import difference
from wfledger.run.merger.bringing import bring, prepare_landing, undo
from wfledger.run.workspace import Workspace

MAIN = "refs/heads/main"


@pytest.fixture
def machines(tmp_path: Path) -> list[Workspace]:
    """Two machines and a run of which one result has landed, done by the first."""
    one, other = share(tmp_path)
    add_run(one)
    add_task(one, "a", write=("src",))
    synced(one, proposers=[granting])
    task = claim(one, worker="w", task_id="r1.a").task
    base = git(one.main, "rev-parse", BRANCH)
    head = hand_in(one, task, {"src/a.py": "A\n"}, base=base)
    keeping.offer(one, f"refs/wfledger/keep/{task.id}/1", head)
    land(one, task)
    synced(one, other, proposers=[landing.propose])
    return [one, other]


def _hub(workspace: Workspace) -> Path:
    hub = workspace.hub
    assert hub is not None
    return Path(hub.url)


def _land(workspace: Workspace, *, push: bool) -> bool:
    """Do what the verb `land` does."""
    run = workspace.ledger.run("r1")
    beyond = delivery.look(workspace, run)
    if push:
        beyond = delivery.require_pushable(beyond, run)
    done = bring(workspace, prepare_landing(workspace, run.id))
    return beyond is not None and push and delivery.deliver(workspace, done, beyond)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-082")
def test_a_run_that_one_machine_brings_home_is_landed_on_all(machines: list[Workspace]) -> None:
    one, other = machines
    assert _land(other, push=True)  # the machine that did not work on it
    assert git(_hub(one), "rev-parse", MAIN) == git(other.main, "rev-parse", BRANCH)
    synced(other, one)
    assert one.ledger.run("r1").landed == other.ledger.run("r1").landed
    assert list(Proofs(one).troubles()) == []
    with pytest.raises(TransitionError, match="already"):
        delivery.require_undelivered(other, other.ledger.run("r1"))
    assert not _land(other, push=True)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-082")
def test_a_target_that_moved_on_the_remote_is_pulled_first(machines: list[Workspace]) -> None:
    one, other = machines
    commit(other.main, {"more.txt": "x\n"})
    git(other.main, "push", "--quiet", str(_hub(one)), "main")
    before = git(one.main, "rev-parse", MAIN)
    with pytest.raises(StaleError, match="main of origin has 1 commit that main here lacks"):
        _land(one, push=True)
    assert git(one.main, "rev-parse", MAIN) == before
    git(one.main, "pull", "--quiet", str(_hub(one)), "main")
    assert _land(one, push=True)
    assert git(_hub(one), "rev-parse", MAIN) == git(one.main, "rev-parse", MAIN)


@pytest.mark.long
def test_a_protected_target_is_said_and_the_run_is_landed_here(machines: list[Workspace]) -> None:
    one, _ = machines
    hook = _hub(one) / "hooks" / "update"
    hook.write_text(f'#!/bin/sh\n[ "$1" = {MAIN} ] || exit 0\necho pull requests only >&2; exit 1\n')
    hook.chmod(0o755)
    with pytest.raises(PausedError, match="refuses main"):
        _land(one, push=True)
    assert one.ledger.run("r1").landed is not None
    undo(one, "r1")


@pytest.mark.long
def test_a_remote_that_is_away_keeps_nobody_from_landing_here(machines: list[Workspace]) -> None:
    one, _ = machines
    _hub(one).rename(_hub(one).with_name("away"))
    with pytest.raises(BusyError, match="was not asked"):
        _land(one, push=True)
    assert not _land(one, push=False)
    assert git(one.main, "rev-parse", MAIN) == git(one.main, "rev-parse", BRANCH)


def test_without_a_remote_there_is_nowhere_to_push(tmp_path: Path) -> None:
    one, _ = share(tmp_path)
    run = add_run(one)
    with pytest.raises(UsageError, match="no remote"):
        delivery.require_pushable(None, run)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-083")
def test_what_another_machine_began_to_bring_home_is_left_to_it(
    machines: list[Workspace],
) -> None:
    one, other = machines
    run = one.ledger.run("r1")
    tip = git(one.main, "rev-parse", BRANCH)
    begun = Bringing(target=MAIN, before=run.base, after=tip, machine=one.machine.id)
    with one.ledger.transaction("test") as changes:
        changes.put_run(run.but(seq=run.seq + 1, bringing=begun), why="about to land")
    synced(one, other)
    assert other.ledger.run("r1").bringing == begun
    assert list(Proofs(reopened(other)).troubles()) == []
    prepare_landing(other, "r1")
    assert other.ledger.run("r1").bringing == begun


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-080")
def test_work_of_another_machine_can_be_looked_at(machines: list[Workspace]) -> None:
    one, other = machines
    here, there = (difference(each, "r1.a") for each in machines)
    assert here == there
    assert keeping.retire(one, older_s=0.0) == 1
    add_task(one, "b")
    synced(one, other)
    git(other.main, "update-ref", "-d", "refs/wfledger/keep/r1.a/1")
    (other.common_dir / "FETCH_HEAD").unlink(missing_ok=True)
    git(other.main, "reflog", "expire", "--expire=now", "--all")
    git(other.main, "gc", "--quiet", "--prune=now")
    again = difference(other, "r1.a")
    assert again.changed == here.changed
    assert list(Proofs(reopened(other)).troubles()) == []


