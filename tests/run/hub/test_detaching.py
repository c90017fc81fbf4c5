"""A machine that leaves its remote has a ledger that works, and pushes nothing more."""

from pathlib import Path

import pytest

from tests.support import crashing
from tests.support.checkups import look
from tests.support.joining import attach, first, joined, make_hub
from tests.support.repos import git
from tests.support.sharing import granting, statuses, synced
from tests.support.workspaces import add_run, add_task, open_workspace
from wfledger.core.statuses import Status
from wfledger.errors import BusyError
from wfledger.run.attempts.claims import claim
from wfledger.run.hub import detaching, poking
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

POINTS = [f"detaching.{name}" for name in ("left", "cleared", "committed")]


def two(tmp_path: Path) -> tuple[Path, Workspace, Workspace]:
    """Make two machines; the first works on `r1.a` and is to do `r1.b`, as both know."""
    hub = make_hub(tmp_path)
    one = first(tmp_path, hub)
    attach(one)
    add_run(one)
    for name in ("a", "b"):
        add_task(one, name)
    synced(one, proposers=[granting])
    claim(open_workspace(one.main), worker="w", task_id="r1.a")
    synced(one)
    return hub, one, joined(tmp_path, hub)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-098")
def test_what_others_hold_waits_or_was_lost_and_what_was_not_confirmed_is_kept(
    tmp_path: Path,
) -> None:
    hub, _, other = two(tmp_path)
    there = git(hub, "rev-parse", "refs/wfledger/ledger")
    add_task(other, "mine")
    done = detaching.detach(other)
    assert done is not None
    assert done.taken_back == ("r1.a", "r1.b")
    assert statuses(other) == dict.fromkeys(("r1.a", "r1.b", "r1.mine"), "waiting")
    lost = other.ledger.load(Status.WAITING, "r1.a").task
    assert [attempt.outcome for attempt in lost.attempts] == ["lost"]
    assert all(task.grant is None for task in other.ledger.tasks(Status.WAITING))
    assert other.ledger.journal.is_empty()
    assert [(f.code, f.message) for f in look(other.main) if f.severity == "error"] == []
    assert git(hub, "rev-parse", "refs/wfledger/ledger") == there
    assert detaching.detach(other) is None


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-098")
def test_what_runs_here_goes_on_without_a_grant(tmp_path: Path) -> None:
    _, one, _ = two(tmp_path)
    assert detaching.held_elsewhere(one) == ()
    detaching.detach(one)
    assert statuses(one) == {"r1.a": "in-progress", "r1.b": "waiting"}
    assert one.ledger.load(Status.IN_PROGRESS, "r1.a").task.grant is None


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-092")
def test_a_death_anywhere_leaves_what_doing_it_again_finishes(tmp_path: Path) -> None:
    _, _, other = two(tmp_path)

    def act(folder: Path) -> object:
        return detaching.detach(open_workspace(folder / "other"))

    crashing.die_at_each(tmp_path, act, POINTS)
    assert statuses(other) == dict.fromkeys(("r1.a", "r1.b"), "waiting")
    assert [one.code for one in look(other.main) if one.severity == "error"] == []
    assert not list(other.ledger.layout.local.glob("hub"))


@pytest.mark.long
def test_who_syncs_is_not_cut_off(tmp_path: Path) -> None:
    hub = make_hub(tmp_path)
    one = first(tmp_path, hub)
    attach(one)
    lock = LiveLock(poking.lock_path(one))
    with pytest.raises(BusyError):
        detaching.detach(one)
    lock.release()
    assert one.is_shared
