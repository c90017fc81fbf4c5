"""A clone takes part in a ledger when its folder shows what the remote has, and not before."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support import crashing
from tests.support.checkups import fix, look
from tests.support.joining import attach, clone, first, join, joined, make_hub
from tests.support.repos import commit, git
from tests.support.sharing import granting, shows_the_tip, statuses, synced
from tests.support.workspaces import add_run, add_task, open_workspace
from wfledger.errors import EnvironmentFailedError, NoLedgerError, RemoteError, RepositoryError
from wfledger.run.attempts.claims import claim
from wfledger.run.hub import joining, reaching
from wfledger.run.hub.state import read_hub
from wfledger.vcs.repo import Repository

POINTS = [f"joining.{one}" for one in ("branch", "attached", "filled", "noted", "pointed")]


def shared(tmp_path: Path) -> tuple[Path, list[str]]:
    """Make a remote with a ledger in which a task is on offer to the machine that made it."""
    hub = make_hub(tmp_path)
    one = first(tmp_path, hub)
    attach(one)
    add_run(one)
    names = [add_task(one, name).id for name in ("a", "b")]
    synced(one, proposers=[granting])
    synced(one)
    assert statuses(one) == dict.fromkeys(names, "pending")
    return hub, names


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-092")
def test_what_is_on_offer_to_others_is_in_progress_here(tmp_path: Path) -> None:
    hub, names = shared(tmp_path)
    other = joined(tmp_path, hub)
    assert statuses(other) == dict.fromkeys(names, "in-progress")
    shows_the_tip(other)
    assert git(other.main, "status", "--short") == ""
    assert joining.taking_part(Repository.discover(other.main)) is not None
    synced(other)
    shows_the_tip(other)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-092")
def test_nothing_is_ever_claimable_that_is_on_offer_to_others_though_we_die_anywhere(
    tmp_path: Path,
) -> None:
    hub, names = shared(tmp_path)
    root = clone(hub, tmp_path / "other")

    def act(folder: Path) -> object:
        assert not list((folder / "other").glob(".wfledger/pending/*.json"))
        repo = Repository.discover(folder / "other")
        return join(root) if joining.taking_part(repo) is None else joining.finish(repo)

    crashing.die_at_each(tmp_path, act, POINTS)
    assert not list(root.glob(".wfledger/pending/*.json"))
    other = open_workspace(root)
    assert statuses(other) == dict.fromkeys(names, "in-progress")
    assert [one.code for one in look(root)] == []
    synced(other)
    shows_the_tip(other)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-100")
def test_a_shallow_project_is_refused_with_what_mends_it(tmp_path: Path) -> None:
    hub = make_hub(tmp_path)
    commit(tmp_path / "seed-hub.git", {"b": "b\n"})
    git(tmp_path / "seed-hub.git", "push", "--quiet", str(hub), "main")
    root = clone(hub, tmp_path / "other", "--depth=1")
    with pytest.raises(RepositoryError) as refused:
        joining.refuse_kind(Repository.discover(root))
    assert (refused.value.facts["kind"], refused.value.hint) == ("shallow", "git fetch --unshallow")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-100")
def test_a_long_history_of_the_ledger_is_fetched_in_part_and_is_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, names = shared(tmp_path)
    monkeypatch.setattr(reaching, "DEPTH", 1)
    other = joined(tmp_path, hub)
    assert len(list(other.repo.walk(other.history.tip() or ""))) == 1
    joining.refuse_kind(Repository.discover(other.main))
    synced(other, open_workspace(tmp_path / "one"), other)
    assert set(statuses(other)) == set(names)
    assert "error" not in {finding.severity for finding in look(other.main)}


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-093")
def test_nothing_of_a_ledger_is_here_before_somebody_has_agreed(tmp_path: Path) -> None:
    hub, _ = shared(tmp_path)
    root = clone(hub, tmp_path / "other")
    repo = Repository.discover(root)
    found = reaching.look(repo, reaching.address(repo, None))
    fetched = reaching.fetch(repo, found, depth=reaching.DEPTH)
    assert fetched.config.id
    reaching.forget(repo)
    assert not root.joinpath(".wfledger").exists()
    assert "wfledger" not in git(root, "for-each-ref")
    with pytest.raises(NoLedgerError) as missing:
        open_workspace(root)
    assert missing.value.hint == "wfledger join, where the remote has a ledger; else: wfledger init"


@pytest.mark.long
def test_a_clone_that_sees_the_ledger_as_a_branch_is_told_to_join(tmp_path: Path) -> None:
    hub, _ = shared(tmp_path)
    git(hub, "update-ref", "refs/heads/wfledger", "refs/wfledger/ledger")
    root = clone(hub, tmp_path / "other")
    for packed in (False, True):
        if packed:
            git(root, "pack-refs", "--all")
        with pytest.raises(NoLedgerError) as missing:
            open_workspace(root)
        assert missing.value.hint == "wfledger join origin"


@pytest.mark.long
def test_what_is_no_ledger_and_what_stands_in_its_place_are_left_alone(tmp_path: Path) -> None:
    hub = make_hub(tmp_path)
    root = clone(hub, tmp_path / "other")
    with pytest.raises(RemoteError, match="has no ledger"):
        join(root)
    git(hub, "update-ref", "refs/wfledger/ledger", "refs/heads/main")
    with pytest.raises(RemoteError, match="no ledger that this version can read"):
        join(root)
    git(hub, "update-ref", "-d", "refs/wfledger/ledger")
    attach(first(tmp_path, hub))
    (root / ".wfledger").mkdir()
    (root / ".wfledger/mine").touch()
    with pytest.raises(EnvironmentFailedError, match="is not a ledger of this repository"):
        join(root)
    assert (root / ".wfledger/mine").exists()
    (root / ".wfledger/mine").unlink()
    git(root, "branch", "wfledger")
    with pytest.raises(EnvironmentFailedError, match="no part of the ledger's history"):
        join(root)
    git(root, "branch", "-D", "wfledger")
    assert join(root).fresh


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-099")
def test_a_copied_clone_becomes_a_machine_of_its_own(tmp_path: Path) -> None:
    _, names = shared(tmp_path)
    one, copy = open_workspace(tmp_path / "one"), tmp_path / "copy"
    shutil.copytree(one.main, copy, symlinks=True)
    fix(copy)
    other = open_workspace(copy)
    assert other.machine.id != one.machine.id
    assert statuses(other) == dict.fromkeys(names, "in-progress")
    synced(one, other, one, other)
    assert claim(open_workspace(one.main), worker="w").task.id in names
    assert json.loads((copy / ".git/wfledger/hub/remote.json").read_text())["name"] == "origin"
    assert read_hub(other.ledger.layout.local) == one.hub
