"""The hub of a torture: a bare repository that can refuse, be away and be rewound; its server."""

import subprocess
from pathlib import Path
from typing import Final, Literal

from wfledger.errors import EnvironmentFailedError
from wfledger.run.chaos.servers import (
    HERE,
    GitDaemon,
    HttpBackend,
    Server,
    Sshd,
    server_environment,
    sshd,
)
from wfledger.vcs.stale import is_stale

Kind = Literal["path", "git", "http", "ssh"]
KINDS: Final[tuple[Kind, ...]] = ("path", "git", "http", "ssh")
_USER: Final = "torture"
_PASSWORD: Final = "scratch"  # noqa: S105 - of a server that lives for minutes on the loopback
#: Refuses everything while the file `rejecting` lies in the repository, and a branch that is
#: protected while `protected` names it.
_HOOK: Final = """\
#!/bin/sh
# Run by receive-pack in the repository; old, new and name of each ref on standard input.
[ ! -e rejecting ] || { echo "torture: this server takes nothing just now" >&2; exit 1; }
[ -e protected ] || exit 0
while read -r old new ref; do
    case "$ref" in
        $(cat protected)) echo "torture: $ref is protected" >&2; exit 1 ;;
    esac
done
"""


class Hub:
    """A bare repository, and the server in front of it."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        folder.mkdir(parents=True)
        self.kind = kind
        #: The bare repository.
        self.repo = folder / "hub.git"
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(self.repo))
        for key, value in {
            "http.receivepack": "true", "receive.denyDeletes": "false", "gc.auto": "0",
            "receive.autogc": "false",
        }.items():  # fmt: skip
            self._git("-C", str(self.repo), "config", key, value)
        hook = self.repo / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(_HOOK)
        hook.chmod(0o755)
        #: None for a path.
        self.server = _serve(kind, folder)
        self.is_up = True

    @property
    def port(self) -> int | None:
        """Where the server listens; None for a path."""
        return None if self.server is None else self.server.port

    def url(self, port: int | None = None, host: str = HERE) -> str:
        """Return where it is; *port*, *host*: of a proxy before the server."""
        if self.server is None:
            return str(self.repo)
        return self.server.url(self.repo, port=port, host=host)

    def credentials(self) -> str:
        """Return a credential helper for git: a shell script."""
        said = f'printf "username=%s\\npassword=%s\\n" {_USER} {_PASSWORD}'
        return f'#!/bin/sh\n[ "$1" != get ] || {said}\n'

    def forbid(self, *, everybody: bool) -> None:
        """Let nobody in, whatever he says, or all again who may come; a path has no door."""
        if self.server is not None:
            self.server.forbid(everybody=everybody)

    def client(self) -> dict[str, str]:
        """Return what the environment of its clients needs."""
        server = self.server
        return {"GIT_SSH_COMMAND": server.command} if isinstance(server, Sshd) else {}

    def down(self) -> None:
        """Be away for everybody, as a computer without power."""
        self.is_up = False
        if self.server is not None:
            self.server.down()
        else:
            self.repo.rename(self.repo.with_suffix(".away"))

    def up(self) -> None:
        """Be back where it was."""
        self.is_up = True
        away = self.repo.with_suffix(".away")
        if self.server is not None:
            self.server.up()
        elif away.exists():
            away.rename(self.repo)

    # -- the repository --------------------------------------------------------------------------

    def reject(self, *, everything: bool = False, branch: str | None = None) -> None:
        """Take nothing, or nothing that moves refs like *branch*, a pattern; or all again."""
        rejecting, protected = self.repo / "rejecting", self.repo / "protected"
        rejecting.touch() if everything else rejecting.unlink(missing_ok=True)
        protected.write_text(branch) if branch else protected.unlink(missing_ok=True)

    def tip(self, ref: str) -> str | None:
        """Return what *ref* names here."""
        done = self._git("-C", str(self.repo), "rev-parse", "--verify", "--quiet", ref, check=False)
        return done.strip() or None

    def tidy(self) -> None:
        """Do what only who runs a server can: take off locks of a git that was killed there."""
        for lock in [*(self.repo / "refs").rglob("*.lock"), *self.repo.glob("*.lock")]:
            if is_stale(lock):
                lock.unlink(missing_ok=True)

    def has_text(self, ref: str, folder: str, text: str) -> bool:
        """Whether a file in *folder* of the tree that *ref* names has *text* in it."""
        args = ("grep", "--quiet", "--fixed-strings", "-e", text, ref, "--", folder)
        argv = ["git", "-C", str(self.repo), *args]
        done = subprocess.run(argv, env=server_environment(), capture_output=True, check=False)
        return done.returncode == 0

    def refs(self) -> dict[str, str]:
        """Return every ref and what it names."""
        said = self._git("-C", str(self.repo), "for-each-ref", "--format=%(refname) %(objectname)")
        pairs = (line.split(" ", 1) for line in said.splitlines())
        return dict(pairs)

    def swap(self, ref: str, new: str, old: str) -> bool:
        """Move *ref* where it is still at *old*."""
        self._git("-C", str(self.repo), "update-ref", ref, new, old, check=False)
        return self.tip(ref) == new

    def common(self, commits: list[str]) -> str | None:
        """Return the newest commit that all of *commits* come from."""
        said = self._git(
            "-C", str(self.repo), "merge-base", "--octopus", *commits, check=False
        )  # fmt: skip
        return said.strip() or None

    def has(self, ref: str, oid: str) -> bool:
        """Whether *ref* is at *oid* or beyond."""
        at = self.tip(ref)
        return at is not None and self.common([at, oid]) == oid

    def ancestor(self, oid: str, back: int) -> str | None:
        """Return the commit *back* before *oid*."""
        at = f"{oid}~{back}"
        done = self._git("-C", str(self.repo), "rev-parse", "--verify", "--quiet", at, check=False)
        return done.strip() or None

    def _git(self, *args: str, check: bool = True) -> str:
        argv = ["git", *args]
        done = subprocess.run(
            argv, env=server_environment(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise EnvironmentFailedError(f"{' '.join(argv[:3])}: {done.stderr.strip()[-300:]}")
        return done.stdout


def _serve(kind: Kind, folder: Path) -> Server | None:
    if kind == "git":
        return GitDaemon(folder)
    if kind == "http":
        return HttpBackend(folder, account=(_USER, _PASSWORD))
    if kind == "ssh":
        if sshd() is None:
            raise EnvironmentFailedError("there is no sshd on this system")
        return Sshd(folder, folder / "keys")
    return None
