"""No call to a server outlives its limit, asks anybody, or obeys what workers can write."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import waiting
from tests.support.hubs import Hub, Hubs
from tests.support.repos import git
from wfledger.vcs import network
from wfledger.vcs.remote import Fetched, Listing, RemoteUpdate, Trouble, fetch, listing, push
from wfledger.vcs.repo import Repository

HELPER = "!printf 'username=me\\npassword=geheim\\n'"


@pytest.fixture
def hub(hubs: Hubs) -> Hub:
    return hubs.bare()


@pytest.fixture
def clone(hubs: Hubs, hub: Hub) -> Path:
    return hubs.clones(hub, 1)[0]


@pytest.fixture
def here(clone: Path) -> Repository:
    return Repository.open(clone / ".git")


def running(words: str) -> list[str]:
    """Return the command lines of processes that name *words*, dead ones aside."""
    return [line for line in _command_lines() if words in line]


def _command_lines() -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            yield line


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-042")
@pytest.mark.parametrize("kind", ["git", "http", "ssh"])
def test_a_network_that_swallows_everything_ends_in_time(
    hubs: Hubs, hub: Hub, here: Repository, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = {"git": hubs.daemon, "http": hubs.http, "ssh": lambda: hubs.ssh(monkeypatch)}[kind]()
    proxy = hubs.proxy(server)
    proxy.mode = "hole"
    url = server.url(hub.path, port=proxy.port)
    found = listing(here, url, timeout=0.6)
    ended = push(here, url, [RemoteUpdate("refs/x/y", here.tip("refs/heads/main"), None)],
                 atomic=True, timeout=0.6)  # fmt: skip
    assert isinstance(found, Trouble)
    assert found.kind == "timeout"
    assert ended.outcome == "unknown"
    assert ended.trouble is not None
    assert ended.trouble.kind == "timeout"
    waiting.until(lambda: not running(str(proxy.port)))


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-042")
def test_what_a_call_started_ends_though_its_caller_was_killed(
    hubs: Hubs, hub: Hub, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if network._timeout_program() is None:
        pytest.skip("needs timeout(1)")
    server = hubs.daemon()
    proxy = hubs.proxy(server)
    proxy.mode = "hole"
    monkeypatch.setattr(network, "_GRACE_S", 0.2)
    url = server.url(hub.path, port=proxy.port)
    child = os.fork()
    if child == 0:
        try:
            listing(Repository.open(clone / ".git"), url, timeout=1.0)
        finally:
            os._exit(0)
    waiting.until(lambda: len(running(url)) > 0)
    os.kill(child, 9)
    os.waitpid(child, 0)
    waiting.until(lambda: not running(url))


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-043")
def test_a_server_that_asks_who_we_are_is_told_nothing(
    hubs: Hubs, hub: Hub, here: Repository, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = home / "asked"
    asking = home / "ask"
    asking.write_text(f"#!/bin/sh\necho x >>{asked}\n")
    asking.chmod(0o755)
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(asking))
    git(here.common_dir, "config", "--global", "core.askPass", str(asking))
    url = hubs.http(account=("me", "geheim")).url(hub.path)
    found = listing(here, url, timeout=60)
    ended = push(here, url, [RemoteUpdate("refs/x/y", here.tip("refs/heads/main"), None)],
                 atomic=True, timeout=60)  # fmt: skip
    assert isinstance(found, Trouble)
    assert found.kind == "auth"
    assert "git config --global credential.helper" in found.hint
    assert ended.outcome == "refused"
    assert ended.trouble is not None
    assert ended.trouble.kind == "auth"
    assert not asked.exists()


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-043")
def test_a_server_that_ssh_does_not_know_is_not_asked_about(
    hubs: Hubs, hub: Hub, here: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = hubs.ssh(monkeypatch)
    monkeypatch.setenv("GIT_SSH_COMMAND", server.command.replace("/known", "/nobody"))
    found = listing(here, server.url(hub.path), timeout=60)
    assert isinstance(found, Trouble)
    assert found.kind == "auth"
    assert "ssh HOST" in found.hint


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-044")
def test_the_users_helpers_and_rewrites_are_in_force(
    hubs: Hubs, hub: Hub, here: Repository
) -> None:
    server = hubs.http(account=("me", "geheim"))
    anywhere = Path(here.common_dir)
    git(anywhere, "config", "--global", "credential.helper", HELPER)
    git(
        anywhere, "config", "--global", f"url.http://127.0.0.1:{server.port}/.insteadOf", "hub://h/"
    )
    git(anywhere, "config", "--global", "--add", f"url.http://127.0.0.1:{server.port}/.insteadOf",
        "https://hub.example/")  # fmt: skip
    found = listing(here, f"https://hub.example/{hub.path.name}", timeout=60)
    assert found == Listing(hub.refs())


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-044")
@pytest.mark.parametrize("kind", ["path", "http", "ssh"])
def test_what_a_worker_plants_in_the_repository_is_not_obeyed(
    hubs: Hubs, hub: Hub, here: Repository, clone: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = hubs.root / "canary"
    run = hubs.root / "run"
    run.write_text(f'#!/bin/sh\necho "$0 $*" >>{canary}\nexec "$@"\n')
    run.chmod(0o755)
    if kind == "path":
        url = hub.url
    else:
        server = hubs.http() if kind == "http" else hubs.ssh(monkeypatch)
        url = server.url(hub.path)
    elsewhere = hubs.bare("evil.git")
    for key in ("core.sshCommand", "core.gitProxy", "core.askPass", "core.fsmonitor",
                "core.alternateRefsCommand", "core.hooksPath", "credential.helper", "core.pager",
                "uploadpack.packObjectsHook", "gpg.program"):  # fmt: skip
        git(clone, "config", key, str(run))
    for key in ("uploadpack", "receivepack", "vcs", "proxy"):
        git(clone, "config", f"remote.{url}.{key}", str(run))
        git(clone, "config", f"remote.origin.{key}", str(run))
    git(clone, "config", f"url.{elsewhere.url}.insteadOf", url)
    git(clone, "config", f"url.{elsewhere.url}.pushInsteadOf", url)
    git(clone, "config", "http.proxy", "http://127.0.0.1:1")
    git(clone, "config", "protocol.allow", "always")
    for hook in ("pre-push", "reference-transaction", "post-checkout", "pre-auto-gc"):
        planted = clone / ".git/hooks" / hook
        planted.parent.mkdir(exist_ok=True)
        planted.write_text(run.read_text())
        planted.chmod(0o755)
    main = here.tip("refs/heads/main")
    assert push(here, url, [RemoteUpdate("refs/wfledger/x", main, None)], atomic=True,
                timeout=60).outcome == "ok"  # fmt: skip
    assert hub.refs()["refs/wfledger/x"] == main
    assert listing(here, url, ["refs/wfledger/*"], timeout=60) == Listing({"refs/wfledger/x": main})
    got = fetch(here, url, ["+refs/wfledger/*:refs/wfledger/hub/*"], timeout=60)
    assert got == Fetched({"refs/wfledger/x": main})
    assert not canary.exists()
    assert "refs/wfledger/x" not in elsewhere.refs()


def test_git_learns_of_the_user_what_reaches_servers_and_nothing_of_another_git(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_TRACE", "WFLEDGER_TOKEN", "DISPLAY"):
        monkeypatch.setenv(name, "/nowhere")
    for name in ("SSH_AUTH_SOCK", "HTTPS_PROXY", "GIT_SSL_CAINFO", "GH_TOKEN"):
        monkeypatch.setenv(name, "kept")
    found = network.environment()
    assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_TRACE", "WFLEDGER_TOKEN", "DISPLAY"} & set(found)
    assert {"SSH_AUTH_SOCK", "HTTPS_PROXY", "GIT_SSL_CAINFO", "GH_TOKEN"} <= set(found)
    assert found["GIT_TERMINAL_PROMPT"] == "0"


@pytest.mark.parametrize(
    ("own", "called"),
    [
        ({}, "ssh -oBatchMode=yes"),
        ({"GIT_SSH_COMMAND": "X=1 /usr/bin/ssh -i key"}, "X=1 /usr/bin/ssh -i key -oBatchMode=yes"),
        ({"GIT_SSH": "/opt/my tools/ssh"}, "'/opt/my tools/ssh' -oBatchMode=yes"),
        ({"GIT_SSH_COMMAND": "plink"}, "plink -batch"),
    ],
)
def test_ssh_is_called_as_the_user_does_but_asks_nothing(own: dict[str, str], called: str) -> None:
    found = network._ssh(network.environment() | own, 5.0)
    assert found["GIT_SSH_COMMAND"].startswith(called)


def test_a_program_of_the_users_in_the_place_of_ssh_is_left_as_it_is(home: Path) -> None:
    variables = network.environment() | {"GIT_SSH_COMMAND": "/opt/wrapper --fast"}
    assert network._ssh(variables, 5.0) == {}
    git(home, "config", "--global", "core.sshCommand", "ssh -p 2222")
    assert network._ssh(network.environment(), 5.0)["GIT_SSH_COMMAND"].startswith("ssh -p 2222 -oB")
