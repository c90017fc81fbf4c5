"""A remote that has lost commits: nothing is overwritten, and a person decides."""

import shutil
from pathlib import Path

import pytest

from tests.support.joining import attach
from tests.support.repos import git
from tests.support.sharing import LEDGER, share, shows_the_tip, statuses, synced
from tests.support.workspaces import add_run, add_task, change
from wfledger.errors import RemoteError
from wfledger.run.hub import keeping, losses, rewinding
from wfledger.run.hub.state import read_state
from wfledger.run.workspace import Workspace


def rewound(tmp_path: Path) -> tuple[Workspace, Workspace]:
    """Return two machines that know of a task that the remote has lost."""
    one, other = share(tmp_path)
    add_run(one)
    add_task(one, "kept")
    synced(one, other)
    hub = tmp_path / "hub.git"
    shutil.copytree(hub, tmp_path / "backup.git")
    add_task(one, "gone")
    synced(one, other)
    shutil.rmtree(hub)
    (tmp_path / "backup.git").rename(hub)
    return one, other


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-030")
def test_a_rewound_remote_stops_every_machine_and_is_not_overwritten(tmp_path: Path) -> None:
    one, other = rewound(tmp_path)
    before = git(tmp_path / "hub.git", "rev-parse", LEDGER)
    add_task(one, "more")
    for workspace in (one, other):
        met = synced(workspace)[0]
        assert (met.outcome, met.hint) == ("stopped", "wfledger remote restore")
        assert "has lost what it had confirmed" in met.said
        assert read_state(workspace.ledger.layout.local).stopped == "rewound"
    assert git(tmp_path / "hub.git", "rev-parse", LEDGER) == before
    assert statuses(one) == dict.fromkeys(["r1.kept", "r1.gone", "r1.more"], "waiting")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-031")
def test_restore_gives_the_remote_back_what_it_had_confirmed(tmp_path: Path) -> None:
    one, other = rewound(tmp_path)
    add_task(one, "more")
    synced(one, other)
    assert "again" in rewinding.restore(one)
    assert all(met.is_well for met in synced(one, other))
    assert "everything" in rewinding.restore(other)
    synced(other)
    for workspace in (one, other):
        shows_the_tip(workspace)
        assert statuses(workspace) == dict.fromkeys(["r1.kept", "r1.gone", "r1.more"], "waiting")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-031")
def test_restore_brings_back_what_runs_had_where_all_of_it_is_gone(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    add_run(one)
    add_task(one, "a")
    synced(one)
    hub, branch = tmp_path / "hub.git", one.ledger.run("r1").branch
    before = git(hub, "rev-parse", LEDGER, branch)
    for ref in (LEDGER, branch):
        git(hub, "update-ref", "-d", ref)
    assert synced(one)[0].outcome == "stopped"
    git(one.main, "remote", "add", "origin", str(hub))
    with pytest.raises(RemoteError, match="no ledger any more") as refused:
        attach(one)
    assert refused.value.hint == "wfledger remote restore"
    assert "the ledger again" in rewinding.restore(one)
    assert git(hub, "rev-parse", LEDGER, branch) == before
    assert synced(one)[0].is_well


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-038")
def test_every_machine_brings_its_kept_work_again_to_a_remote_that_has_lost_it(
    tmp_path: Path,
) -> None:
    one, other = share(tmp_path)
    add_run(one)
    synced(one, other)
    ref = "refs/wfledger/keep/r1.a/1"
    kept = change(other.main, ref, {"a": "A"}, base=other.ledger.run("r1").base)
    keeping.offer(other, ref, kept)
    synced(other)
    hub = tmp_path / "hub.git"
    assert git(hub, "rev-parse", ref) == kept
    for gone in (LEDGER, ref):
        git(hub, "update-ref", "-d", gone)
    assert {met.outcome for met in synced(one, other)} == {"stopped"}
    rewinding.restore(one)
    assert all(met.is_well for met in synced(one, other))
    assert git(hub, "rev-parse", ref) == kept


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-032")
def test_accept_follows_the_remote_and_says_what_is_gone(tmp_path: Path) -> None:
    one, other = rewound(tmp_path)
    rewinding.accept(other)
    add_task(other, "new")
    add_task(one, "more")
    synced(other, one)
    with pytest.raises(RemoteError, match="gone on without"):
        rewinding.restore(one)
    rewinding.accept(one)
    synced(one, other)
    assert statuses(one) == dict.fromkeys(["r1.kept", "r1.new", "r1.more"], "waiting")
    for workspace in (one, other):
        shows_the_tip(workspace)
        assert [lost.task for lost in losses.read(workspace)] == ["r1.gone"]


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-033")
def test_a_ledger_that_begins_otherwise_is_not_followed(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    strange = share(tmp_path / "strange", 1)[0]
    tip = git(strange.main, "rev-parse", "refs/heads/wfledger")
    git(tmp_path / "hub.git", "fetch", "--quiet", str(strange.main), tip)
    git(tmp_path / "hub.git", "update-ref", LEDGER, tip)
    assert [met.outcome for met in synced(one, other)] == ["stopped", "stopped"]
    assert read_state(one.ledger.layout.local).stopped == "foreign"
    for decide in (rewinding.accept, rewinding.restore):
        with pytest.raises(RemoteError, match="somebody else") as refused:
            decide(one)
        assert refused.value.hint == rewinding.hint("foreign") == "wfledger remote unset"
