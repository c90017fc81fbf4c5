"""The systemd user unit of a daemon, as text."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from wfledger.run.workspace import Workspace

#: What a user's session has set and systemd would not: where programs and our own state are.
_PASSED: Final = ("PATH", "XDG_STATE_HOME")
#: Seconds in which attempts end and their work is kept.
_STOP_S: Final = 120


def program(workspace: Workspace) -> list[str]:
    """Return how this very program is started for the ledger, wherever one stands."""
    return [sys.executable, "-m", "wfledger", "-C", str(workspace.main)]


def unit_name(workspace: Workspace) -> str:
    """Return the file name of the unit; that of another ledger is another one."""
    return f"wfledger-{workspace.state.name}.service"


def unit(workspace: Workspace, arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the unit that runs the daemon with *arguments*, started from *environ*."""
    command = [*program(workspace), "daemon", *arguments]
    passed = [f"{name}={environ[name]}" for name in _PASSED if environ.get(name)]
    main = _unexpanded(str(workspace.main))
    lines = [
        "[Unit]",
        f"Description=wfledger daemon of {main}",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(_quoted(word, dollars=True) for word in command)}",
        f"WorkingDirectory={main}",
        *(f"Environment={_quoted(line)}" for line in passed),
        "# Secrets that roles pass on, as NAME=VALUE lines in a file that only you can read:",
        "# EnvironmentFile=-%h/.config/wfledger/secrets",
        "# SIGTERM goes to the daemon alone, which ends its workers and keeps their work.",
        "KillMode=mixed",
        f"TimeoutStopSec={_STOP_S}",
        "Restart=on-failure",
        "RestartSec=5",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _unexpanded(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str, *, dollars: bool = False) -> str:
    """Return *word* as one word of a unit file; in commands a dollar stands for a variable."""
    text = _unexpanded(word).replace("\\", "\\\\").replace('"', '\\"')
    if dollars:
        text = text.replace("$", "$$")
    return f'"{text}"'
