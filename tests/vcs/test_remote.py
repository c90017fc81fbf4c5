"""Refs of a server are listed, fetched and moved; each end of a push is told from the others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hubs import Hub, Hubs
from tests.support.repos import git
from wfledger.run.chaos.servers import Server
from wfledger.vcs.remote import (
    Fetched,
    Listing,
    RemoteUpdate,
    fetch,
    listing,
    push,
)
from wfledger.vcs.repo import Repository

LEDGER = "refs/wfledger/ledger"
MINE = "refs/wfledger/hub/ledger"
Reach = Callable[[Hub], str]


def opened(path: Path) -> Repository:
    return Repository.open(path / ".git")


def new_commit(path: Path, parent: str | None = None, words: str = "x") -> str:
    tree = git(path, "rev-parse", "HEAD^{tree}")
    more = ["-p", parent] if parent else []
    return git(path, "commit-tree", "-m", words, *more, tree)


@pytest.fixture(params=["path", "git", "http", "ssh"])
def reach(request: pytest.FixtureRequest, hubs: Hubs, monkeypatch: pytest.MonkeyPatch) -> Reach:
    """Return how a repository is reached by one of the transports."""
    if request.param == "path":
        return lambda hub: hub.url
    server: Server
    if request.param == "ssh":
        server = hubs.ssh(monkeypatch)
    else:
        server = hubs.daemon() if request.param == "git" else hubs.http()
    return lambda hub: server.url(hub.path)


def test_a_ref_is_made_moved_and_deleted_by_compare_and_swap(hubs: Hubs, reach: Reach) -> None:
    hub = hubs.bare()
    url = reach(hub)
    one, two = hubs.clones(hub, 2)
    first = new_commit(one)
    second = new_commit(one, first)
    rival = new_commit(two, words="rival")
    here, there = opened(one), opened(two)

    assert (
        push(here, url, [RemoteUpdate(LEDGER, first, None)], atomic=True, timeout=20).outcome
        == "ok"
    )
    late = push(there, url, [RemoteUpdate(LEDGER, rival, None)], atomic=True, timeout=20)
    assert late.outcome == "lost"
    assert late.per_ref[LEDGER][0] == "lost"
    assert fetch(there, url, [f"+{LEDGER}:{MINE}"], timeout=20) == Fetched({LEDGER: first})
    assert there.tip(MINE) == first
    assert (
        push(here, url, [RemoteUpdate(LEDGER, second, first)], atomic=True, timeout=20).outcome
        == "ok"
    )
    again = push(here, url, [RemoteUpdate(LEDGER, second, first)], atomic=True, timeout=20)
    assert again.outcome == "ok"
    assert (
        push(there, url, [RemoteUpdate(LEDGER, None, first)], atomic=True, timeout=20).outcome
        == "lost"
    )
    assert (
        push(there, url, [RemoteUpdate(LEDGER, None, second)], atomic=True, timeout=20).outcome
        == "ok"
    )
    assert listing(here, url, ["refs/wfledger/*"], timeout=20) == Listing({})
