"""What an agent's hook is about: read from the JSON that the agent writes, whichever agent it is.

The agents send the same members under the same names; their tools have names and arguments of their
own. What is missing or of another form says nothing: a hook never fails for an agent's news.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wfledger.run.hooks.shell import written

#: Tools that write one file, in lower case without underscores.
_WRITERS: Final = frozenset({"edit", "multiedit", "write", "writefile", "notebookedit", "replace"})
_PATCHERS: Final = frozenset({"applypatch", "patch"})
_SHELLS: Final = frozenset(
    {"bash", "shell", "localshell", "runshellcommand", "execcommand", "powershell"}
)
_PATHS: Final = ("file_path", "filePath", "notebook_path", "path", "absolute_path")
_FOLDERS: Final = ("workdir", "directory", "cwd")
_PATCHED: Final = re.compile(
    r"^\*\*\* (?:Add File|Update File|Delete File|Move to): (.+?)\s*$", re.MULTILINE
)
#: Sub-agents that only look; holding them would gain nothing.
_LOOKERS: Final = frozenset({"explore", "plan", "explorer"})


@dataclass(frozen=True)
class Event:
    """One call of a hook."""

    #: `PreToolUse`, `PostToolUse`, `Stop` and so on, as the configuration names it.
    name: str
    #: The agent's own name of its session, and after a slash of the sub-agent in it.
    session: str
    cwd: Path
    #: What the tool is about to write, as named; absolute.
    writes: tuple[Path, ...] = ()
    #: Whether that was read out of a command, which is only likely.
    by_shell: bool = False
    #: Whether it is about a sub-agent that only looks around.
    is_looker: bool = False

    @property
    def whole_session(self) -> str:
        """The session without the name of a sub-agent."""
        return self.session.partition("/")[0]


def read(raw: bytes, name: str, *, cwd: Path) -> Event:
    """Return the event in *raw*; *cwd* is where the hook was started."""
    said = _object(raw)
    place = said.get("cwd")
    folder = Path(place) if isinstance(place, str) and Path(place).is_absolute() else cwd
    who = (said.get("session_id"), said.get("agent_id"))
    session = "/".join(part for part in who if isinstance(part, str))
    kind = said.get("agent_type", said.get("agent_name"))
    looks = isinstance(kind, str) and kind.lower() in _LOOKERS
    writes, by_shell = _writes(said.get("tool_name"), said.get("tool_input"), folder)
    return Event(name, session, folder, writes, by_shell, is_looker=looks)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _writes(tool: object, given: object, cwd: Path) -> tuple[tuple[Path, ...], bool]:
    """Return what a tool writes with the arguments *given*, and whether a shell does it."""
    if not isinstance(tool, str):
        return (), False
    name = tool.lower().replace("_", "")
    arguments: dict[str, Any] = given if isinstance(given, dict) else {}
    if name in _SHELLS:
        folder = next((cwd / one for one in _texts(arguments, _FOLDERS)), cwd)
        return written(_command(arguments.get("command", arguments.get("cmd"))), folder), True
    if name in _WRITERS:
        return tuple(cwd / path for path in _texts(arguments, _PATHS)), False
    if name in _PATCHERS:
        patches = _texts(arguments, ("command", "patchText", "patch", "input"))
        return tuple(cwd / path for text in patches for path in _PATCHED.findall(text)), False
    return (), False


def _texts(arguments: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    return [value for name in names if isinstance(value := arguments.get(name), str) and value]


def _command(given: object) -> str:
    """Return a shell command as text; where it is a vector, its last part is what a shell runs."""
    if isinstance(given, list) and given:
        given = given[-1]
    return given if isinstance(given, str) else ""
