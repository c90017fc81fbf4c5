"""A ledger is put on a remote when nothing of it is at work, and never over another one."""

from pathlib import Path

import pytest

from tests.support import crashing
from tests.support.checkups import codes, look
from tests.support.joining import attach, first, joined, make_hub
from tests.support.repos import git
from tests.support.sharing import statuses, synced
from tests.support.workspaces import add_run, add_task, open_workspace, start
from wfledger.core.statuses import Actor, Status
from wfledger.errors import BusyError, RemoteError
from wfledger.run.hub import detaching
from wfledger.run.hub.state import read_hub, read_state
from wfledger.run.refnames import keep_ref

POINTS = [f"attaching.{name}" for name in ("committed", "pushed", "stated")]


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-090")
def test_history_branches_and_kept_work_go_to_the_remote(tmp_path: Path) -> None:
    hub = make_hub(tmp_path)
    one = first(tmp_path, hub)
    run = add_run(one)
    task = add_task(one, "a", write=("src",))
    with one.ledger.transaction("test") as changes:
        changes.move(task.id, Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1)
    git(one.main, "update-ref", keep_ref(task.id, 1), "HEAD")
    done = attach(one)
    assert (done.fresh, done.pushed, done.hub.name) == (True, True, "origin")
    assert git(hub, "rev-parse", "refs/wfledger/ledger") == one.history.tip()
    assert git(hub, "rev-parse", run.branch, f"refs/wfledger/keep/{task.id}/1")
    assert statuses(one) == {task.id: "waiting"}  # its offer was withdrawn
    assert one.ledger.journal.is_empty()
    assert read_state(one.ledger.layout.local).applied == one.history.tip()
    assert not attach(one).fresh


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-090")
def test_work_that_goes_on_is_refused_and_nothing_is_pushed(tmp_path: Path) -> None:
    hub = make_hub(tmp_path)
    one = first(tmp_path, hub)
    add_run(one)
    task = start(one, add_task(one, "a").id)
    with pytest.raises(BusyError, match=r"r1\.a is at work") as refused:
        attach(one)
    assert refused.value.hint == f"wait for it, or: wfledger stop {task.id}"
    assert not one.is_shared
    assert "wfledger" not in git(hub, "for-each-ref")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-091")
def test_another_ledger_is_never_replaced(tmp_path: Path) -> None:
    hub = make_hub(tmp_path)
    attach(first(tmp_path, hub))
    there = git(hub, "for-each-ref")
    other = first(tmp_path, hub, "other")
    with pytest.raises(RemoteError) as refused:
        attach(other)
    assert refused.value.facts["kind"] == "other_ledger"
    assert (git(hub, "for-each-ref"), other.is_shared) == (there, False)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-001")
@pytest.mark.requirement("WFL-HUB-091")
def test_a_ledger_that_went_its_own_way_is_refused_and_one_that_did_not_comes_back(
    tmp_path: Path,
) -> None:
    hub = make_hub(tmp_path)
    one = first(tmp_path, hub)
    attach(one)
    other = joined(tmp_path, hub)
    detaching.detach(one)
    add_run(other)
    synced(other)
    assert attach(one).pushed is False  # it had nothing of its own
    synced(one)
    assert [run.id for run in one.ledger.runs()] == ["r1"]
    detaching.detach(one)
    add_task(one, "mine")
    add_task(other, "theirs")
    synced(other)
    with pytest.raises(RemoteError, match="gone different ways"):
        attach(open_workspace(one.main))


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-092")
def test_a_death_anywhere_leaves_what_doing_it_again_finishes(tmp_path: Path) -> None:
    hub = make_hub(tmp_path)
    one = first(tmp_path, hub)
    add_run(one)
    add_task(one, "a")

    def act(folder: Path) -> object:
        return attach(open_workspace(folder / "one"))

    crashing.die_at_each(tmp_path, act, POINTS)
    one = open_workspace(one.main)
    assert statuses(joined(tmp_path, hub)) == statuses(one) == {"r1.a": "waiting"}
    assert "error" not in {finding.severity for finding in look(one.main)}, codes(one.main)


@pytest.mark.long
def test_the_same_ledger_at_another_address_is_followed_there(tmp_path: Path) -> None:
    hub = make_hub(tmp_path)
    one = first(tmp_path, hub)
    attach(one)
    moved = hub.with_name("moved.git")
    hub.rename(moved)
    git(one.main, "remote", "set-url", "origin", str(moved))
    assert attach(one).fresh
    found = read_hub(one.ledger.layout.local)
    assert found is not None
    assert found.url == str(moved)
    assert synced(one)[0].outcome in {"ok", "quiet"}
    git(one.main, "remote", "set-url", "origin", str(make_hub(tmp_path, "empty.git")))
    with pytest.raises(RemoteError, match="has no ledger"):
        attach(one)
