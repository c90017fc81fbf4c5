"""A server is tried out on scratch refs, of which none stays."""

import pytest

from tests.support.hubs import Hubs
from wfledger.clock import SystemClock
from wfledger.vcs.probing import probe
from wfledger.vcs.repo import Repository

CLOCK = SystemClock()


@pytest.fixture
def here(hubs: Hubs) -> Repository:
    return Repository.open(hubs.clones(hubs.bare(), 1)[0] / ".git")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-004")
def test_a_server_that_can_all_of_it(hubs: Hubs, here: Repository) -> None:
    hub = hubs.bare("full.git")
    before = hub.refs()
    found = probe(here, hubs.daemon().url(hub.path), clock=CLOCK)
    assert found.trouble is None
    assert found.space == "hidden"
    assert found.reads
    assert found.writes
    assert found.atomic
    assert found.rewrites
    assert found.deletes
    assert found.branches
    assert found.refs == 1
    assert found.write_s > 0
    assert hub.refs() == before


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-004")
def test_branches_are_used_where_other_names_are_refused(hubs: Hubs, here: Repository) -> None:
    hub = hubs.bare("forge.git")
    hub.hides("refs/wfledger")
    hub.git("config", "receive.denyNonFastForwards", "true")
    found = probe(here, hub.url, clock=CLOCK)
    assert found.space == "branches"
    assert "hidden" in found.refused["hidden"]
    assert found.atomic
    assert not found.rewrites
    assert list(hub.refs()) == ["refs/heads/main"]


@pytest.mark.long
def test_a_server_that_moves_refs_one_by_one_is_not_atomic(hubs: Hubs, here: Repository) -> None:
    hub = hubs.bare("plain.git")
    hub.without_atomic()
    found = probe(here, hub.url, clock=CLOCK)
    assert found.trouble is None
    assert not found.atomic
    assert list(hub.refs()) == ["refs/heads/main"]


@pytest.mark.long
def test_a_server_that_takes_nothing_says_so_in_its_words(hubs: Hubs, here: Repository) -> None:
    hub = hubs.bare("closed.git")
    hub.rejects("closed for stocktaking")
    found = probe(here, hub.url, clock=CLOCK)
    assert found.space is None
    assert found.reads
    assert not found.writes
    assert found.trouble is not None
    assert found.trouble.kind == "rule"
    assert "closed for stocktaking" in found.trouble.message
    found = probe(here, hubs.daemon(writable=False).url(hub.path), clock=CLOCK)
    assert found.trouble is not None
    assert found.trouble.kind == "read_only"


@pytest.mark.long
def test_what_cannot_be_deleted_is_named(hubs: Hubs, here: Repository) -> None:
    hub = hubs.bare("keeper.git")
    hub.hides("refs/wfledger")
    hub.git("config", "receive.denyDeletes", "true")
    found = probe(here, hub.url, clock=CLOCK)
    assert not found.deletes
    assert set(found.leftover) == set(hub.refs()) - {"refs/heads/main"}
    assert len(found.leftover) == 2


@pytest.mark.long
def test_what_a_probe_of_long_ago_left_goes(hubs: Hubs, here: Repository) -> None:
    hub = hubs.bare("old.git")
    main = hub.refs()["refs/heads/main"]
    hours = int(CLOCK.now().timestamp()) // 3600
    hub.git("update-ref", f"refs/wfledger/probe/{hours - 100:07d}-{'a' * 12}", main)
    hub.git("update-ref", f"refs/wfledger/probe/{hours:07d}-{'b' * 12}", main)
    probe(here, hub.url, clock=CLOCK)
    assert [ref for ref in hub.refs() if "probe" in ref] == [
        f"refs/wfledger/probe/{hours:07d}-{'b' * 12}"
    ]


def test_a_server_that_is_not_there_is_trouble(hubs: Hubs, here: Repository) -> None:
    found = probe(here, str(hubs.root / "nowhere.git"), clock=CLOCK)
    assert found.trouble is not None
    assert found.trouble.kind == "not_found"
    assert found.as_json()["trouble"]["kind"] == "not_found"
