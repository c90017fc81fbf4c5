"""Many machines come to one end whatever happens to them, and it is seen where they do not."""

import getpass
import json
import os
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hubs import Hubs, needs_git
from tests.support.marks import rarely
from tests.support.processes import run, run_cli
from tests.support.repos import git, make_repo
from wfledger.cli.common import App
from wfledger.clock import SKEW
from wfledger.run.chaos.hubs import Hub
from wfledger.run.chaos.links import why_not
from wfledger.run.chaos.proxy import Proxy

#: What a push says where the hub's hook or its door refuses it.
REFUSALS: dict[str, tuple[Callable[[Hub], None], str]] = {
    "everything": (lambda hub: hub.reject(everything=True), "takes nothing just now"),
    "branch": (lambda hub: hub.reject(branch="refs/heads/x*"), "is protected"),
}


def _push(repo: Path, hub: Hub, ref: str = "refs/heads/x") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["git", "push", hub.url(), f"HEAD:{ref}"], cwd=repo, capture_output=True, text=True,
        check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_hub_refuses_pushes_until_it_does_not(tmp_path: Path, name: str) -> None:
    refuse, words = REFUSALS[name]
    hub, repo = Hub(tmp_path / "hub", "path"), make_repo(tmp_path / "repo", {"a": "a\n"})
    refuse(hub)
    assert words in _push(repo, hub).stderr
    hub.reject()
    assert _push(repo, hub).returncode == 0


def test_hub_that_is_away_is_not_there_and_comes_back_with_what_it_had(tmp_path: Path) -> None:
    hub, repo = Hub(tmp_path / "hub", "path"), make_repo(tmp_path / "repo", {"a": "a\n"})
    assert _push(repo, hub).returncode == 0
    hub.down()
    assert _push(repo, hub).returncode != 0
    hub.up()
    assert hub.refs() == {"refs/heads/x": git(repo, "rev-parse", "HEAD")}


def test_locks_that_were_left_on_a_hub_are_taken_off_once_they_are_old(tmp_path: Path) -> None:
    hub, repo = Hub(tmp_path / "hub", "path"), make_repo(tmp_path / "repo", {"a": "a\n"})
    lock = hub.repo / "refs/heads/x.lock"
    lock.touch()
    hub.tidy()
    assert _push(repo, hub).returncode != 0  # perhaps somebody is at it
    os.utime(lock, (1, 1))
    hub.tidy()
    assert _push(repo, hub).returncode == 0


def test_hub_goes_back_only_from_where_it_is(tmp_path: Path) -> None:
    hub, repo = Hub(tmp_path / "hub", "path"), make_repo(tmp_path / "repo", {"a": "a\n"})
    git(repo, "commit", "--quiet", "--allow-empty", "--message=b")
    first, last = git(repo, "rev-parse", "HEAD~1"), git(repo, "rev-parse", "HEAD")
    _push(repo, hub)
    assert hub.ancestor(last, 1) == first
    assert hub.common([first, last]) == first
    assert not hub.swap("refs/heads/x", first, first)
    assert hub.has("refs/heads/x", last)
    assert hub.swap("refs/heads/x", first, last)
    assert not hub.has("refs/heads/x", last)


def test_wall_clock_is_wrong_by_as_much_as_the_torture_says_and_no_other_clock_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = App(Path()).clock
    monkeypatch.setenv(SKEW, "-86400")
    wrong = App(Path()).clock
    assert 86_390 < (right.now() - wrong.now()).total_seconds() < 86_410
    assert abs(right.elapsed() - wrong.elapsed()) < 10


def test_shell_behind_ssh_reads_nothing_of_the_user_s(
    hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = hubs.ssh(monkeypatch)
    there = [*server.command.split(), "-p", str(server.port), f"{getpass.getuser()}@127.0.0.1"]
    done = run(*there, 'echo "$HOME"; ls -A "$HOME"/.[!.]*', cwd=hubs.root)
    assert done.out.splitlines() == [str(hubs.root / "keys")]


def test_server_hears_of_it_when_a_client_is_gone_without_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, Proxy(listening.getsockname()[1]) as proxy:
        client = socket.create_connection(("127.0.0.1", proxy.port))
        server, _ = listening.accept()
        server.settimeout(20)
        client.sendall(b"x")
        assert server.recv(9) == b"x"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # a reset, as of a process that was killed with something unread
        assert server.recv(9) == b""
        server.close()


@pytest.mark.parametrize("kind", ["git", "http", "ssh"])
def test_door_is_closed_to_everybody_and_opened_again(
    hubs: Hubs, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    server = hubs.daemon() if kind == "git" else hubs.http() if kind == "http" else None
    server = server or hubs.ssh(monkeypatch)
    ask = ["git", "ls-remote", server.url(hubs.bare().path)]
    for everybody, expected in ((True, 128), (False, 0)):
        server.forbid(everybody=everybody)
        asked = run(*ask, cwd=hubs.root, env={"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"})
        assert asked.status == expected, asked


@pytest.mark.long
@pytest.mark.timeout(500)
@pytest.mark.parametrize("partitions", ["netns", "proxy" if why_not() else rarely("proxy")])
@pytest.mark.requirement("WFL-HUB-130", "WFL-HUB-053", "WFL-HUB-056")
def test_machines_survive_a_short_torture_take_over_and_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partitions: str
) -> None:
    needs_git("daemon")
    if partitions == "netns" and why_not():
        pytest.skip(f"needs network namespaces: {why_not()}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    options = ["--clones", "3", "--tasks", "14", "--time", "20s", "--workers", "9", "--seed", "5"]
    options += ["--server", "git", "--partitions", partitions]
    done = run_cli("torture", *options, "--json", cwd=tmp_path, timeout=480)
    assert done.status == 0, done
    found = json.loads(done.out)
    figures = found["figures"]
    assert (found["ok"], found["violations"]) == (True, [])
    assert figures["executions"] >= found["done"] >= 12
    assert sum(found["faults"].values()) > 0
    assert found["faults"]["away beyond a lease: asleep"] > 0
    assert figures["attempts taken over"] > 0
    assert figures["results that came too late"] > 0
    spoken = {"netns": "network namespaces", "proxy": "TCP proxies"}
    assert figures["cut machines off"] == spoken[partitions]
    assert list(tmp_path.glob("wfledger-torture-*")) == []
