"""Runs git against another machine: as the user, never asking anything, never longer than said.

What the user has set up for himself is in force: his global configuration (credential helpers,
`url.insteadOf`, `http.proxy`, `core.sshCommand`), ssh agent and keys. What stands in the
repository's own configuration is not, for every worker can write there: git is given a directory
made for this one call, with the repository's objects and refs and nothing else of it.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from wfledger.clock import SystemClock
from wfledger.errors import GitError
from wfledger.vcs.proc import FIXED, SWITCHES, execute
from wfledger.vcs.repo import Repository
from wfledger.vcs.sealed import temporary

#: Git's own variables that say how the user reaches servers; all others of git are dropped.
_OF_USER: Final = re.compile(
    r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|(KEY|VALUE)_\d+)|SSH|SSH_COMMAND|SSH_VARIANT"
    r"|PROXY_COMMAND|PROXY_SSL_.*|HTTP_.*|SSL_.*|EXEC_PATH|ALLOW_PROTOCOL)\Z"
)
_NEVER: Final = ("LANGUAGE", "DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS", "SSH_TTY", "GPG_TTY")
#: An empty answer would be sent to the server as a wrong password; a failure is not.
_ASK_NOBODY: Final = {
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
}
_ALIVE_S: Final = 5
_SWITCHES: Final = SWITCHES | {
    "advice.graftFileDeprecated": "false",
    "core.alternateRefsCommand": "true",
    "fetch.prune": "false",
    "fetch.pruneTags": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.showForcedUpdates": "false",
    "fetch.writeCommitGraph": "false",
    "protocol.version": "2",
    "push.followTags": "false",
    "push.gpgSign": "false",
    "push.negotiate": "false",
    "push.pushOption": "",
    "push.recurseSubmodules": "no",
    "push.useForceIfIncludes": "false",
    "submodule.propagateBranches": "false",
    "transfer.bundleURI": "false",
}
#: Seconds after the caller's own limit when git ends though the caller is gone.
_GRACE_S: Final = 5
_CLOCK: Final = SystemClock()


@dataclass(frozen=True)
class Called:
    """What came of one call; *status* None: it did not end in time and was killed."""

    status: int | None
    out: str
    err: str
    #: Seconds it took.
    took_s: float
    #: Of a call that reads: whether the two sides have agreed on a version of git's protocol. Git
    #: takes an answer over http that was cut in its head for that of a server without any ref, and
    #: calls it success.
    spoke: bool


def call(repo: Repository, args: Sequence[str], *, url: str, timeout: float) -> Called:
    """Run git with *args* against the server at *url*; its whole group ends within *timeout* s.

    Should this process be killed meanwhile, git still ends soon after that.
    """
    begun = _CLOCK.elapsed()
    with _directory(repo) as directory:
        trace = directory / "trace"
        variables = environment() | {
            "GIT_DIR": str(directory),
            "GIT_OBJECT_DIRECTORY": str(repo.common_dir / "objects"),
            "GIT_TRACE2_EVENT": str(trace),
        }
        if not url.startswith("/"):  # what the user's git makes of any other may be reached by ssh
            variables |= _ssh(variables, timeout)
        status, out, err = _run([*_options(), *args], variables, timeout)
        took = _CLOCK.elapsed() - begun
        return Called(status, out, err, took, _has_spoken(trace))


def _run(
    args: Sequence[str], variables: Mapping[str, str], timeout: float
) -> tuple[int | None, str, str]:
    try:
        done = execute(args, variables, timeout=timeout, wrapper=_bounded(timeout))
    except GitError as late:
        if late.facts.get("kind") != "timeout":
            raise
        return None, str(late.facts["out"]), str(late.facts["stderr"])
    return done.status, done.text(), done.err.decode("utf-8", "replace")


def _has_spoken(trace: Path) -> bool:
    try:
        return b'"negotiated-version"' in trace.read_bytes()
    except FileNotFoundError:
        return False


def environment() -> dict[str, str]:
    """Return the user's environment without what belongs to another git, or could ask him."""
    kept = {name: value for name, value in os.environ.items() if _is_kept(name)}
    fixed = {name: value for name, value in FIXED.items() if name != "GIT_ATTR_NOSYSTEM"}
    return kept | fixed | _ASK_NOBODY


def _is_kept(name: str) -> bool:
    if name.startswith("GIT_"):
        return _OF_USER.match(name) is not None
    return name not in _NEVER and not name.startswith("WFLEDGER_")


@contextmanager
def _directory(repo: Repository) -> Iterator[Path]:
    """Make a git directory that leads to the repository's refs and objects, and obeys nothing.

    The refs themselves and not a copy: what is offered in negotiation is what is here, so nothing
    is fetched twice, and git moves refs under their own locks.
    """
    with temporary(None, "hub-") as directory:
        directory.joinpath("objects").mkdir()
        directory.joinpath("HEAD").write_text("ref: refs/heads/none\n", "utf-8")
        directory.joinpath("config").write_text(
            "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tlogallrefupdates = false\n",
            "utf-8",
        )
        for name in ("refs", "packed-refs", "shallow"):
            directory.joinpath(name).symlink_to(repo.common_dir / name)
        yield directory
        if not os.path.lexists(directory / "shallow"):
            # Git has removed the link: every history is whole again.
            repo.common_dir.joinpath("shallow").unlink(missing_ok=True)


def _options() -> list[str]:
    return [part for key, value in _SWITCHES.items() for part in ("-c", f"{key}={value}")]


def _ssh(variables: Mapping[str, str], timeout: float) -> dict[str, str]:
    """Return how ssh is called: as the user calls it, but asking nothing and hanging nowhere."""
    own = variables.get("GIT_SSH_COMMAND") or _configured(variables)
    if own is None and (program := variables.get("GIT_SSH")):
        own = shlex.quote(program)
    words = _words(own or "ssh")
    name = Path(words[0]).name.lower().removesuffix(".exe") if words else ""
    if name == "plink":
        return {"GIT_SSH_COMMAND": f"{own} -batch"}
    if name != "ssh":
        return {}  # a program of the user's; what it takes is not known
    limit = max(1, min(10, int(timeout)))
    return {
        "GIT_SSH_COMMAND": f"{own or 'ssh'} -oBatchMode=yes -oConnectTimeout={limit}"
        f" -oServerAliveInterval={_ALIVE_S} -oServerAliveCountMax=3 -oControlMaster=no"
    }


def _configured(variables: Mapping[str, str]) -> str | None:
    done = execute(["config", "--includes", "--get", "core.sshCommand"], variables)
    return done.text() or None


def _words(command: str) -> list[str]:
    """Return the words of a shell command past its assignments."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    while words and "=" in words[0]:
        words.pop(0)
    return words


def _bounded(timeout: float) -> tuple[str, ...]:
    """Return the program that ends git's whole group though nobody is left to do it."""
    program = _timeout_program()
    return () if program is None else (program, "-s", "KILL", f"{timeout + _GRACE_S:g}")


@cache
def _timeout_program() -> str | None:
    return shutil.which("timeout")
