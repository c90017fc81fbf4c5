"""Remotes for tests: bare repositories, real servers before them, a network that fails, clones.

`hubs` (a fixture of all tests) makes them; whatever it started ends with the test. Ports are
chosen by the system.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import pytest

from tests.support.repos import git, make_repo
from wfledger.run.chaos.proxy import Proxy
from wfledger.run.chaos.servers import GitDaemon, HttpBackend, Server, Sshd, sshd

ServerT = TypeVar("ServerT", bound=Server)
#: What a server does when it has moved the refs and dies before it can say so.
DIE_AFTER: Final = '[ "$1" = committed ] && kill -9 $PPID; exit 0\n'


@dataclass(frozen=True)
class Hub:
    """A bare repository that machines share, as the disk has it."""

    path: Path

    @property
    def url(self) -> str:
        """Its address without a server."""
        return str(self.path)

    def git(self, *args: str) -> str:
        """Run git in it, as its owner would."""
        return git(self.path, *args)

    def refs(self) -> dict[str, str]:
        """Return all that it has: ref -> object."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def hook(self, name: str, body: str) -> None:
        """Put a hook there: a shell script without its first line; it takes effect at once."""
        path = self.path / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + body)
        path.chmod(0o755)

    def unhook(self, name: str) -> None:
        """Take a hook away."""
        (self.path / "hooks" / name).unlink()

    def rejects(self, words: str = "not today") -> None:
        """Let a hook reject every push with *words*."""
        self.hook("pre-receive", f"echo '{words}' >&2; exit 1\n")

    def protects(self, ref: str, words: str = "protected branch") -> None:
        """Let a hook reject what moves *ref*."""
        self.hook("update", f"[ \"$1\" = '{ref}' ] || exit 0; echo '{words}' >&2; exit 1\n")

    def hides(self, prefix: str) -> None:
        """Let pushes to refs below *prefix* be denied, as some hosted servers do."""
        self.git("config", "--add", "receive.hideRefs", prefix)

    def without_atomic(self) -> None:
        """Take away all-or-none pushes."""
        self.git("config", "receive.advertiseAtomic", "false")


def needs_git(program: str) -> None:
    """Skip the test where the system's git comes without `git PROGRAM`, as some packages do."""
    if not (_programs() / f"git-{program}").exists():
        pytest.skip(f"needs git {program}")


@cache
def _programs() -> Path:
    said = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    return Path(said.stdout.strip())


class Hubs:
    """Makes remotes below *root* and ends what it started."""

    def __init__(self, root: Path, stack: contextlib.ExitStack) -> None:
        self.root = root
        self._stack = stack

    def bare(self, name: str = "hub.git", *, seeded: bool = True) -> Hub:
        """Make a bare repository; *seeded*: with one commit on main."""
        path = self.root / "served" / name
        path.parent.mkdir(exist_ok=True)
        git(
            self.root,
            "init",
            "--quiet",
            "--bare",
            "--template=",
            "--initial-branch=main",
            str(path),
        )
        if seeded:
            seed = make_repo(self.root / f"seed-{name}", {"README.md": "# sample\n"})
            git(seed, "push", "--quiet", str(path), "main")
        return Hub(path)

    def daemon(self, *, writable: bool = True) -> GitDaemon:
        """Start `git daemon`; `.url(hub.path)` is an address there. Skips where it is missing."""
        needs_git("daemon")
        return self._begun(GitDaemon(self.root / "served", writable=writable))

    def http(self, *, account: tuple[str, str] | None = None) -> HttpBackend:
        """Start a web server with `git http-backend`. Skips where that or git's http is missing."""
        needs_git("http-backend")
        needs_git("remote-http")
        return self._begun(HttpBackend(self.root / "served", account=account))

    def ssh(self, monkeypatch: pytest.MonkeyPatch) -> Sshd:
        """Start sshd and let this test's git reach it; skips where it is not installed."""
        if sshd() is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
            pytest.skip("needs sshd and ssh (openssh-server, openssh-client)")
        server = self._begun(Sshd(self.root / "served", self.root / "keys"))
        monkeypatch.setenv("GIT_SSH_COMMAND", server.command)
        return server

    def proxy(self, server: Server) -> Proxy:
        """Put a network before *server*: `server.url(path, port=proxy.port)` goes through it."""
        return self._stack.enter_context(Proxy(server.port))

    def clones(self, hub: Hub, n: int, *, url: str | None = None) -> list[Path]:
        """Clone *hub* n times, machine-1 and so on; their origin is *url* (default: the path)."""
        made = []
        for number in range(1, n + 1):
            path = self.root / f"machine-{number}"
            git(self.root, "clone", "--quiet", str(hub.path), str(path))
            git(path, "remote", "set-url", "origin", url or hub.url)
            made.append(path)
        return made

    def _begun(self, server: ServerT) -> ServerT:
        self._stack.enter_context(server)
        return server


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[Hubs]:
    """Remotes, servers and networks that end with the test."""
    with contextlib.ExitStack() as stack:
        yield Hubs(tmp_path, stack)
