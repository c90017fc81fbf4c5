"""The tools of a model worker: what is offered, and what a call of one comes to.

Which tools there are follows from the task: one that writes nothing gets no tool that writes, and
`run` is there only where the task or its role lists it. No call of a tool raises: what cannot be
done is said to the model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core.authority import TOOLS, WRITING
from wfledger.run.models.answers import ToolCall
from wfledger.run.models.files import Files
from wfledger.run.models.places import ToolError
from wfledger.run.models.running import Commands

SUBMIT: Final = "submit_result"
_TEXT: Final = {"type": "string"}
_PATH: Final = {"type": "string", "description": "relative to the worktree"}


@dataclass(frozen=True)
class _Tool:
    description: str
    properties: Mapping[str, Any]
    required: tuple[str, ...] = ()


_KNOWN: Final[Mapping[str, _Tool]] = {
    "list": _Tool("List a folder.", {"path": _PATH, "recursive": {"type": "boolean"}}),
    "read": _Tool(
        "Read a text file, from line `offset` at most `limit` lines.",
        {"path": _PATH, "offset": {"type": "integer"}, "limit": {"type": "integer"}}, ("path",),
    ),
    "search": _Tool(
        "Search lines of files by a regular expression of Python.",
        {"pattern": _TEXT, "path": _PATH,
         "glob": {"type": "string", "description": "such as *.py or src/**"}},
        ("pattern",),
    ),
    "edit": _Tool(
        "Replace `old`, which must occur exactly once unless `all` is true, by `new` in a file.",
        {"path": _PATH, "old": _TEXT, "new": _TEXT, "all": {"type": "boolean"}},
        ("path", "old", "new"),
    ),
    "write": _Tool(
        "Write a whole text file; folders are made.", {"path": _PATH, "content": _TEXT},
        ("path", "content"),
    ),
    "run": _Tool(
        "Run a line of /bin/sh in the worktree; returns status and output.",
        {"command": _TEXT, "timeout_s": {"type": "number"}}, ("command",),
    ),
    SUBMIT: _Tool(
        "Hand in your result and end your work. The only way to finish.",
        {
            "status": {"type": "string", "enum": ["succeeded", "no_change", "blocked", "failed"]},
            "summary": {"type": "string", "description": "what you did, at most 1200 characters"},
            "outputs": {"type": "object", "description": "values for the tasks that follow"},
            "findings": {"type": "array", "items": {"type": "object"}},
            "handoffs": {
                "type": "array", "items": {"type": "object"},
                "description": "what you leave for a role: {to_role, kind, payload}",
            },
            "open_questions": {"type": "array", "items": _TEXT},
            "confidence": {"type": "number"},
        },
        ("status", "summary"),
    ),
}  # fmt: skip


def granted(wanted: tuple[str, ...] | None, *, writes: bool) -> tuple[str, ...]:
    """Return the tools that a worker gets; None wants all but `run` (WFL-MODEL-030)."""
    names = tuple(name for name in TOOLS if name != "run") if wanted is None else wanted
    return tuple(name for name in TOOLS if name in names and (writes or name not in WRITING))


def schemas(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the tools as a request names them, with the one that ends the work."""
    return [_schema(name, _KNOWN[name]) for name in (*names, SUBMIT)]


def _schema(name: str, tool: _Tool) -> dict[str, Any]:
    parameters = {
        "type": "object", "properties": dict(tool.properties), "required": list(tool.required)
    }
    function = {"name": name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


@dataclass(frozen=True)
class Done:
    """What a call of a tool has come to."""

    #: For the model, not yet redacted.
    text: str
    #: For people: one line.
    note: str


class Toolbox:
    """The tools of one worker, but for the one that ends its work."""

    def __init__(
        self, names: tuple[str, ...], files: Files, commands: Commands | None, *,
        goes_on: bool = False,
    ) -> None:  # fmt: skip
        self.names = names
        #: Whether an earlier process of the attempt had them already.
        self._goes_on = goes_on
        self._files, self._commands = files, commands
        self._tools: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "list": files.listing, "read": files.read, "search": files.search,
            "edit": files.edit, "write": files.write,
        }  # fmt: skip

    @property
    def has_changed(self) -> bool:
        """Whether something in the worktree may have changed by it."""
        ran = self._commands is not None and self._commands.count > 0
        return self._goes_on or bool(self._files.written) or ran

    def call(self, call: ToolCall, *, at_most_s: float) -> Done:
        """Do what is called; *at_most_s* is what is left of the time."""
        about = _about(call)
        try:
            text = self._do(call, at_most_s)
        except ToolError as error:
            return Done(f"error: {error}", f"{about}: refused: {error}")
        except OSError as error:
            said = f"error: the system refused: {error.strerror or error}"
            return Done(said, f"{about}: {said}")
        return Done(text, about)

    def _do(self, call: ToolCall, at_most_s: float) -> str:
        if call.name not in self.names:
            known = ", ".join((*self.names, SUBMIT))
            raise ToolError(f"there is no tool {call.name!r} for you; there are: {known}")
        if call.problem is not None:
            raise ToolError(call.problem)
        if call.name == "run" and self._commands is not None:
            return self._commands.run(call.arguments, at_most_s=at_most_s)
        return self._tools[call.name](call.arguments)


def _about(call: ToolCall) -> str:
    """Return a call in one line: what it is about, and not what is written."""
    keys = ("path", "pattern", "command")
    facts = (str(call.arguments[key]) for key in keys if key in call.arguments)
    return " ".join((call.name or "(no name)", *facts))[:200]
