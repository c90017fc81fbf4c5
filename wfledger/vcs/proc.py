"""Runs the git program: scrubbed environment, hard timeout, no prompt, no hook.

Git is pointed at a repository by `git_dir` only, never by a current directory, so a folder that
was removed and made again cannot lead it elsewhere. What the shared configuration could execute
is switched off here (hooks, fsmonitor, pagers); commands that also read attributes or filters go
through `sealed`, which does not show git that configuration at all.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from wfledger.errors import GitError, RepositoryError

#: The oldest git that is supported.
MINIMUM: Final = (2, 39)
#: Since this version a hook may also be a command in the configuration.
_CONFIGURED_HOOKS: Final = (2, 54)
_KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR")
#: Where the user's own configuration is; only `settings` shows these to git.
_USER: Final = (
    "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
)  # fmt: skip
#: What holds whatever the user's own environment says.
FIXED: Final = {
    "GIT_ASKPASS": "true",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_EDITOR": ":",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_NO_CONFIG: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
#: What is switched off, or on, for every git that is started.
SWITCHES: Final = {
    "advice.addEmbeddedRepo": "false",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.filesRefLockTimeout": "1000",
    "core.fsmonitor": "false",
    # Git's default leaves loose objects unsynced, and a power cut then leaves a branch on an
    # empty object.
    "core.fsync": "all",
    "core.fsyncMethod": "batch",
    "core.hooksPath": os.devnull,
    "core.packedRefsTimeout": "2000",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
}


@dataclass(frozen=True)
class Finished:
    """A git process that has ended; `status` is negative where a signal ended it."""

    args: tuple[str, ...]
    status: int
    out: bytes
    err: bytes

    def text(self) -> str:
        """Return the output without the last newline; bytes that are no UTF-8 are escaped."""
        return self.out.decode("utf-8", "surrogateescape").removesuffix("\n")


@dataclass(frozen=True)
class Setting:
    """One value of git's configuration; *scope* is system, global, local or worktree."""

    scope: str
    key: str
    value: str

    @property
    def of_user(self) -> bool:
        """Whether it stands outside the repository, where no worktree leads to."""
        return self.scope in {"system", "global"}


def environment() -> dict[str, str]:
    """Return the whole environment of a git process; the caller's `GIT_*` are not in it."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | FIXED | _NO_CONFIG


def run_git(
    args: Sequence[str],
    *,
    git_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float = 60,
    check: bool = True,
) -> Finished:
    """Run git with *args* and wait at most *timeout* seconds.

    At the timeout its process group is killed whole and `GitError` is raised with the kind
    `timeout`; with *check* another end than status 0 raises it with the kind `failed`.
    """
    variables = environment() | dict(env or {})
    switches = dict(SWITCHES)
    if git_dir is not None:
        variables["GIT_DIR"] = str(git_dir)
        switches |= _hook_switches(git_dir)
    options = [part for key, value in switches.items() for part in ("-c", f"{key}={value}")]
    done = execute([*options, *args], variables, stdin, timeout=timeout)
    done = Finished(tuple(args), done.status, done.out, done.err)
    if check and done.status != 0:
        raise failure(done)
    return done


def failure(done: Finished) -> GitError:
    """Return the error for a git process that ended badly."""
    said = done.err.decode("utf-8", "replace").strip()
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))]
    why = (lines or said.splitlines() or [f"exit status {done.status}"])[0]
    return GitError(
        f"git {_verb(done.args)}: {why}",
        kind="failed",
        command=list(done.args),
        status=done.status,
        stderr=said[-4000:],
    )


def settings(git_dir: Path) -> tuple[Setting, ...]:
    """Return git's configuration for *git_dir*, the user's own included, in order of precedence.

    Reading it executes nothing, whatever stands in it.
    """
    user = {name: os.environ[name] for name in _USER if name in os.environ}
    variables = {k: v for k, v in environment().items() if k not in _NO_CONFIG} | user
    variables["GIT_DIR"] = str(git_dir)
    done = execute(["config", "--list", "--includes", "--show-scope", "-z"], variables, b"")
    if done.status != 0:
        raise failure(done)
    parts = done.text().split("\0")[:-1]
    found = []
    for scope, entry in zip(parts[::2], parts[1::2], strict=True):
        key, _, value = entry.partition("\n")
        found.append(Setting(scope, key, value))
    return tuple(found)


@cache
def git_version() -> tuple[int, ...]:
    """Return the version of the git program, e.g. (2, 39, 5)."""
    done = execute(["--version"], environment(), b"")
    found = re.search(r"\d+(?:\.\d+)+", done.text())
    return tuple(int(part) for part in found.group().split(".")) if found else (0,)


def _hook_switches(git_dir: Path) -> dict[str, str]:
    """Switch off the hooks that newer versions of git take from the shared configuration."""
    if git_version() < _CONFIGURED_HOOKS:
        return {}
    names = {
        setting.key.removeprefix("hook.").rpartition(".")[0]
        for setting in settings(git_dir)
        if setting.key.startswith("hook.")
    }
    return {f"hook.{name}.enabled": "false" for name in names if name}


def execute(
    args: Sequence[str],
    env: Mapping[str, str],
    stdin: bytes = b"",
    *,
    timeout: float = 60,
    wrapper: Sequence[str] = (),
) -> Finished:
    """Run git with the whole environment *env*, as a group of its own that a timeout kills.

    *wrapper* is a program that becomes git, with its arguments. The error of a timeout holds what
    git had said by then as the facts `out` and `stderr`.
    """
    argv = [*wrapper, "git", *args]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd="/", start_new_session=True
        )
    except FileNotFoundError:
        raise RepositoryError(
            "the git program was not found", hint="install git 2.39 or newer", kind="no_git"
        ) from None
    with process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired as late:
            _kill(process)
            raise GitError(
                f"git {_verb(args)} did not end in {timeout:g} s and was killed",
                kind="timeout",
                command=list(args),
                out=(late.output or b"").decode("utf-8", "replace"),
                stderr=(late.stderr or b"").decode("utf-8", "replace")[-4000:],
            ) from None
        except BaseException:
            _kill(process)
            raise
    return Finished(tuple(args), process.returncode, out, err)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group; the pipes are not read, for an escaped child may hold them open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _verb(args: Sequence[str]) -> str:
    """Return the command's name for a message, past the options of git itself."""
    words = iter(args)
    for word in words:
        if word in {"-c", "-C"}:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return " ".join(args[:1])
