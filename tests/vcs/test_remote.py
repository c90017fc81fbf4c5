"""Refs of a server are listed, fetched and moved; each end of a push is told from the others."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hubs import DIE_AFTER, Hub, Hubs
from tests.support.processes import race
from tests.support.repos import commit, git, make_repo
from wfledger.errors import GitError
from wfledger.run.chaos.proxy import Mode
from wfledger.run.chaos.servers import Server
from wfledger.vcs.remote import (
    ANY,
    Fetched,
    Listing,
    Pushed,
    RemoteUpdate,
    Trouble,
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


def move(
    repo: Repository, url: str, *updates: RemoteUpdate, atomic: bool = True, timeout: float = 60
) -> Pushed:
    return push(repo, url, updates, atomic=atomic, timeout=timeout)


def ledger(new: str | None, old: str | None) -> RemoteUpdate:
    return RemoteUpdate(LEDGER, new, old)


def served(kind: str, hubs: Hubs, monkeypatch: pytest.MonkeyPatch) -> Server:
    if kind == "ssh":
        return hubs.ssh(monkeypatch)
    return hubs.daemon() if kind == "git" else hubs.http()


@pytest.fixture(params=["path", "git", "http", "ssh"])
def reach(request: pytest.FixtureRequest, hubs: Hubs, monkeypatch: pytest.MonkeyPatch) -> Reach:
    """Return how a repository is reached by one of the transports."""
    if request.param == "path":
        return lambda hub: hub.url
    server = served(request.param, hubs, monkeypatch)
    return lambda hub: server.url(hub.path)


@pytest.fixture
def hub(hubs: Hubs) -> Hub:
    return hubs.bare()


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-002")
def test_a_ref_is_made_moved_and_deleted_by_compare_and_swap(
    hubs: Hubs, hub: Hub, reach: Reach
) -> None:
    url = reach(hub)
    one, two = hubs.clones(hub, 2)
    first = new_commit(one)
    second = new_commit(one, first)
    rival = new_commit(two, words="rival")
    here, there = opened(one), opened(two)
    assert move(here, url, ledger(first, None)).outcome == "ok"
    late = move(there, url, ledger(rival, None))
    assert late.outcome == "lost"
    assert late.per_ref[LEDGER][0] == "lost"
    assert fetch(there, url, [f"+{LEDGER}:{MINE}"], timeout=60) == Fetched({LEDGER: first})
    assert there.tip(MINE) == first
    assert move(here, url, ledger(second, first)).outcome == "ok"
    assert move(there, url, ledger(None, first)).outcome == "lost"
    assert move(there, url, ledger(None, second)).outcome == "ok"
    assert listing(here, url, ["refs/wfledger/*"], timeout=60) == Listing({})


@pytest.mark.requirement("WFL-HUB-003")
def test_the_same_commit_pushed_twice_is_one_push(hubs: Hubs, hub: Hub) -> None:
    one = hubs.clones(hub, 1)[0]
    here, first = opened(one), new_commit(one)
    for _ in range(2):
        assert move(here, hub.url, ledger(first, None)).outcome == "ok"


def _rival(path: str, url: str, oid: str, old: str | None) -> str:
    return move(opened(Path(path)), url, ledger(oid, old)).outcome


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-002")
def test_of_rivals_from_the_same_tip_one_comes_through(hubs: Hubs, hub: Hub) -> None:
    url = hubs.daemon().url(hub.path)
    clones = hubs.clones(hub, 4)
    start = new_commit(clones[0])
    assert move(opened(clones[0]), url, ledger(start, None)).outcome == "ok"
    for path in clones[1:]:
        fetch(opened(path), url, [f"+{LEDGER}:{MINE}"], timeout=60)
    rivals = [new_commit(path, start, path.name) for path in clones]
    calls = [(str(path), url, oid, start) for path, oid in zip(clones, rivals, strict=True)]
    ends = race(_rival, calls)
    assert sorted(ends) == ["lost", "lost", "lost", "ok"]
    assert hub.refs()[LEDGER] == rivals[ends.index("ok")]


@pytest.mark.requirement("WFL-HUB-002")
def test_of_an_atomic_push_nothing_happens_where_one_ref_cannot_move(hubs: Hubs, hub: Hub) -> None:
    one = hubs.clones(hub, 1)[0]
    here, first = opened(one), new_commit(one)
    hub.protects("refs/heads/main", "main is protected")
    main = here.tip("refs/remotes/origin/main")
    both = (ledger(first, None), RemoteUpdate("refs/heads/main", new_commit(one, main), main))
    ended = move(here, hub.url, *both)
    assert ended.outcome == "refused"
    assert ended.per_ref[LEDGER][0] == "waits"
    assert ended.per_ref["refs/heads/main"][0] == "refused"
    assert ended.trouble is not None
    assert "main is protected" in ended.trouble.message
    assert list(hub.refs()) == ["refs/heads/main"]


@pytest.mark.long
def test_one_by_one_each_ref_has_its_own_end(hubs: Hubs, hub: Hub) -> None:
    one = hubs.clones(hub, 1)[0]
    here, first = opened(one), new_commit(one)
    hub.protects("refs/heads/main")
    hub.without_atomic()
    main = here.tip("refs/remotes/origin/main")
    both = (ledger(first, None), RemoteUpdate("refs/heads/main", new_commit(one, main), main))
    refused = move(here, hub.url, *both)
    assert refused.outcome == "refused"
    assert refused.trouble is not None
    assert refused.trouble.kind == "atomic"
    ended = move(here, hub.url, *both, atomic=False)
    assert ended.outcome == "refused"
    assert {ref: end for ref, (end, _) in ended.per_ref.items()} == {
        LEDGER: "ok",
        "refs/heads/main": "refused",
    }


@pytest.mark.long
def test_a_ref_moves_from_anything_where_that_is_said(hubs: Hubs, hub: Hub) -> None:
    one = hubs.clones(hub, 1)[0]
    here = opened(one)
    for _ in range(2):
        assert move(here, hub.url, ledger(new_commit(one, words="other"), ANY)).outcome == "ok"
    assert move(here, hub.url, ledger(None, ANY)).outcome == "ok"
    assert LEDGER not in hub.refs()


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-003")
def test_a_push_that_was_applied_and_never_answered_is_unknown(
    hubs: Hubs, hub: Hub, reach: Reach
) -> None:
    url = reach(hub)
    one = hubs.clones(hub, 1)[0]
    here, first = opened(one), new_commit(one)
    hub.hook("reference-transaction", DIE_AFTER)
    ended = move(here, url, ledger(first, None))
    assert ended.outcome == "unknown"
    assert ended.per_ref[LEDGER][0] == "unknown"
    assert hub.refs()[LEDGER] == first


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-003")
@pytest.mark.parametrize(
    ("mode", "after", "applied"),
    [("mute", 0, True), ("cut", 150, False), ("short", 0, False), ("refuse", 0, False)],
)
@pytest.mark.parametrize("kind", ["git", "http"])
def test_a_push_that_a_network_cut_is_unknown(
    hubs: Hubs, hub: Hub, kind: str, mode: Mode, after: int, applied: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server = served(kind, hubs, monkeypatch)
    proxy = hubs.proxy(server)
    one = hubs.clones(hub, 1)[0]
    here, first = opened(one), new_commit(one)
    proxy.mode, proxy.after = mode, after
    ended = move(here, server.url(hub.path, port=proxy.port), ledger(first, None))
    assert ended.outcome == "unknown"
    assert ended.trouble is not None
    assert ended.trouble.passes
    assert (LEDGER in hub.refs()) == applied
    proxy.mode = "pass"
    assert move(here, server.url(hub.path, port=proxy.port), ledger(first, None)).outcome == "ok"


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-003")
def test_what_a_server_prints_does_not_decide_what_became_of_a_push(hubs: Hubs, hub: Hub) -> None:
    one = hubs.clones(hub, 1)[0]
    here, first = opened(one), new_commit(one)
    hub.hook("pre-receive", "echo 'rate limit exceeded; Permission denied (x)' >&2\n")
    hub.hook("reference-transaction", DIE_AFTER)
    assert move(here, hub.url, ledger(first, None)).outcome == "unknown"
    assert hub.refs()[LEDGER] == first


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-005")
def test_an_answer_that_was_cut_is_no_server_without_refs(hubs: Hubs, hub: Hub) -> None:
    server = hubs.http()
    proxy = hubs.proxy(server)
    here = opened(hubs.clones(hub, 1)[0])
    url = server.url(hub.path, port=proxy.port)
    proxy.mode = "short"
    for proxy.after in (20, 60, 120, 180, 300, 400):
        assert isinstance(listing(here, url, timeout=60), Trouble)
        found = fetch(here, url, ["+refs/heads/none:refs/wfledger/hub/none"], timeout=60)
        assert isinstance(found, Trouble)
    proxy.mode = "pass"
    assert listing(here, url, ["refs/none/*"], timeout=60) == Listing({})


@pytest.mark.long
def test_a_ref_that_a_dead_server_left_locked_is_lost_in_its_words(hubs: Hubs, hub: Hub) -> None:
    one = hubs.clones(hub, 1)[0]
    here, first = opened(one), new_commit(one)
    assert move(here, hub.url, ledger(first, None)).outcome == "ok"
    hub.path.joinpath(f"{LEDGER}.lock").touch()
    ended = move(here, hub.url, ledger(new_commit(one, first), first))
    assert ended.outcome == "lost"
    assert "Unable to create" in ended.per_ref[LEDGER][1]


@pytest.mark.long
@pytest.mark.parametrize(
    ("key", "kind"), [("receive.denyNonFastForwards", "rule"), ("receive.denyDeletes", "rule")]
)
def test_a_rule_of_the_server_is_a_refusal(hubs: Hubs, hub: Hub, key: str, kind: str) -> None:
    one = hubs.clones(hub, 1)[0]
    here, first = opened(one), new_commit(one)
    assert move(here, hub.url, RemoteUpdate("refs/heads/b", first, None)).outcome == "ok"
    hub.git("config", key, "true")
    new = None if "Deletes" in key else new_commit(one, words="other")
    ended = move(here, hub.url, RemoteUpdate("refs/heads/b", new, first))
    assert ended.outcome == "refused"
    assert ended.trouble is not None
    assert ended.trouble.kind == kind


@pytest.mark.long
@pytest.mark.parametrize(
    ("answer", "outcome", "kind"),
    [(403, "refused", "auth"), (429, "refused", "quota"), (503, "unknown", "hung_up")],
)
def test_what_a_web_server_answers_to_a_push(
    hubs: Hubs, hub: Hub, answer: int, outcome: str, kind: str
) -> None:
    server = hubs.http()
    one = hubs.clones(hub, 1)[0]
    server.answer_posts = answer
    ended = move(opened(one), server.url(hub.path), ledger(new_commit(one), None))
    assert ended.outcome == outcome
    assert ended.trouble is not None
    assert ended.trouble.kind == kind


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-047")
def test_a_server_with_other_object_names_is_refused(hubs: Hubs, hub: Hub) -> None:
    here = opened(hubs.clones(hub, 1)[0])
    other = hubs.root / "sha256"
    git(hubs.root, "init", "--quiet", "--object-format=sha256", str(other))
    commit(other, {"a": "b"})
    url = str(other / ".git")
    main = here.tip("refs/heads/main")
    ends = [
        listing(here, url, timeout=60),
        fetch(here, url, ["+refs/heads/*:refs/wfledger/hub/h/*"], timeout=60),
        move(here, url, RemoteUpdate("refs/x/y", main, None)).trouble,
    ]
    for end in ends:
        assert isinstance(end, Trouble)
        assert end.kind == "format"


@pytest.mark.requirement("WFL-HUB-046")
def test_what_is_fetched_is_named_below_a_folder_of_ours_alone(hubs: Hubs, hub: Hub) -> None:
    here = opened(hubs.clones(hub, 1)[0])
    for spec in ("+refs/heads/main:refs/heads/main", "+refs/heads/*:refs/wfledger/hub/x", "main",
                 "+refs/heads/main:", "+--upload-pack=x:refs/wfledger/hub/x"):  # fmt: skip
        with pytest.raises(GitError):
            fetch(here, hub.url, [spec], timeout=60)
    with pytest.raises(GitError):
        move(here, hub.url, RemoteUpdate("refs/heads/a b", None, None))
    with pytest.raises(GitError):
        move(here, hub.url, ledger(None, "0" * 40), ledger(None, ANY))


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-046")
def test_of_what_is_fetched_the_missing_is_left_out_and_the_gone_goes(hubs: Hubs, hub: Hub) -> None:
    here = opened(hubs.clones(hub, 1)[0])
    main = hub.refs()["refs/heads/main"]
    beats = "+refs/wfledger/beat/*:refs/wfledger/hub/beat/*"
    wanted = [f"+{LEDGER}:{MINE}", "+refs/wfledger/none:refs/wfledger/hub/none", beats]
    assert fetch(here, hub.url, wanted, timeout=60) == Fetched({})
    for ref in (LEDGER, "refs/wfledger/beat/a", "refs/wfledger/beat/b"):
        hub.git("update-ref", ref, main)
    got = fetch(here, hub.url, wanted, timeout=60)
    assert got == Fetched(dict.fromkeys([LEDGER, *_beats("ab")], main))
    hub.git("update-ref", "-d", "refs/wfledger/beat/b")
    git(here.common_dir, "pack-refs", "--all")
    got = fetch(here, hub.url, wanted, timeout=60)
    assert got == Fetched(dict.fromkeys([LEDGER, *_beats("a")], main))
    assert here.tip("refs/wfledger/hub/beat/b") is None
    assert here.tip("refs/heads/main") == main


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-022")
@pytest.mark.parametrize("left", [f"{MINE}.lock", "refs/wfledger/hub/beat/b.lock", "packed-refs.lock"])
def test_what_a_fetch_left_locked_that_was_killed_keeps_nobody_out_for_long(
    hubs: Hubs, hub: Hub, left: str
) -> None:
    here = opened(hubs.clones(hub, 1)[0])
    main = hub.refs()["refs/heads/main"]
    for ref in (LEDGER, "refs/wfledger/beat/a", "refs/wfledger/beat/b"):
        hub.git("update-ref", ref, main)
    wanted = [f"+{LEDGER}:{MINE}", "+refs/wfledger/beat/*:refs/wfledger/hub/beat/*"]
    assert isinstance(fetch(here, hub.url, wanted, timeout=60), Fetched)
    git(here.common_dir, "pack-refs", "--all")
    _go_on(hub)
    hub.git("update-ref", "-d", "refs/wfledger/beat/b")
    lock = here.common_dir / left
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_bytes(b"")
    assert isinstance(fetch(here, hub.url, wanted, timeout=60), Trouble)  # perhaps it lives
    os.utime(lock, (1, 1))
    there = hub.refs()[LEDGER]
    found = fetch(here, hub.url, wanted, timeout=60)
    assert found == Fetched({LEDGER: there, "refs/wfledger/beat/a": main})


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-022")
def test_what_a_newcomer_left_locked_that_was_killed_keeps_nobody_out_for_long(
    hubs: Hubs, hub: Hub
) -> None:
    here = opened(hubs.clones(hub, 1)[0])
    hub.git("update-ref", LEDGER, hub.refs()["refs/heads/main"])
    _go_on(hub)
    lock, wanted, url = here.common_dir / "shallow.lock", [f"+{LEDGER}:{MINE}"], f"file://{hub.path}"
    lock.write_bytes(b"")
    found = fetch(here, url, wanted, timeout=60, depth=1)
    assert isinstance(found, Trouble)  # perhaps it lives
    assert (found.kind, found.passes) == ("busy", True)
    os.utime(lock, (1, 1))
    assert fetch(here, url, wanted, timeout=60, depth=1) == Fetched({LEDGER: hub.refs()[LEDGER]})


def _go_on(hub: Hub) -> None:
    """Let the ledger of *hub* move on."""
    tree = hub.git("rev-parse", "refs/heads/main^{tree}")
    said = ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit-tree", "-m", "on", tree]
    hub.git("update-ref", LEDGER, hub.git(*said, "-p", LEDGER))


def _beats(names: str) -> list[str]:
    return [f"refs/wfledger/beat/{name}" for name in names]


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-046")
def test_objects_arrive_in_the_repository_and_only_those_that_it_lacks(
    hubs: Hubs, hub: Hub
) -> None:
    one, two = hubs.clones(hub, 2)
    first = commit(one, {f"big/{n}": "x" * 1000 + str(n) for n in range(150)})
    assert move(opened(one), hub.url, ledger(first, None)).outcome == "ok"
    there = opened(two)
    fetch(there, hub.url, [f"+{LEDGER}:{MINE}"], timeout=60)
    assert there.has_commit(first)
    assert there.read_blob(first, "big/7") is not None
    before = _objects(two)
    second = commit(one, {"small": "y"})
    assert move(opened(one), hub.url, ledger(second, first)).outcome == "ok"
    fetch(there, hub.url, [f"+{LEDGER}:{MINE}"], timeout=60)
    assert _objects(two) - before == 3
    git(two, "fsck", "--strict", "--connectivity-only")


def _objects(path: Path) -> int:
    lines = git(path, "count-objects", "-v").splitlines()
    found = dict(line.split(": ") for line in lines)
    return int(found["count"]) + int(found["in-pack"])


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-006")
def test_a_ledger_is_fetched_from_its_last_commits_on_and_the_project_stays_whole(
    hubs: Hubs, hub: Hub
) -> None:
    one, two = hubs.clones(hub, 2)
    chain = [new_commit(one)]
    for number in range(20):
        chain.append(new_commit(one, chain[-1], str(number)))
    assert move(opened(one), hub.url, ledger(chain[-1], None)).outcome == "ok"
    there = opened(two)
    assert not there.shallow
    url = hubs.daemon().url(hub.path)
    fetch(there, url, [f"+{LEDGER}:{MINE}"], timeout=60, depth=5)
    assert there.shallow
    assert [info.oid for info in there.walk(chain[-1])] == chain[:-6:-1]
    assert there.is_ancestor(chain[-3], chain[-1])
    assert git(two, "rev-list", "--count", "main") == "1"
    newer = new_commit(one, chain[-1], "newer")
    assert move(opened(one), url, ledger(newer, chain[-1])).outcome == "ok"
    fetch(there, url, [f"+{LEDGER}:{MINE}"], timeout=60)
    mine = new_commit(two, newer, "mine")
    assert move(there, url, ledger(mine, newer)).outcome == "ok"
    fetch(there, url, [f"+{LEDGER}:{MINE}"], timeout=60, depth=2**31 - 1)
    assert not there.shallow
    assert len(list(there.walk(mine))) == 23


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-047")
def test_a_server_whose_history_is_cut_says_so(hubs: Hubs, hub: Hub) -> None:
    source = make_repo(hubs.root / "source")
    for number in range(3):
        commit(source, {"n": str(number)})
    shallow = hubs.root / "shallow"
    git(hubs.root, "clone", "--quiet", "--bare", "--depth=1", f"file://{source}", str(shallow))
    here = opened(hubs.clones(hub, 1)[0])
    found = fetch(here, str(shallow), ["+refs/heads/*:refs/wfledger/hub/h/*"], timeout=60)
    assert isinstance(found, Trouble)
    assert found.kind == "format"
    assert not here.shallow
