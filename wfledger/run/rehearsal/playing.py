"""What a prompt asks for by its own commands, turned into calls of the tools that are offered.

`SCRIPTED_CMD<<shell command>>` becomes a call of whatever tool runs commands there, and
`SCRIPTED_WRITE<<path: line>>` writes a file with that one line: by a command too, or in aider's own
forms where no tools are offered. One call for each; when all results have come back, it is done.
"""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

from wfledger.run.rehearsal.asking import Asked, Offer
from wfledger.run.rehearsal.script import Answer, Call

#: The mark ends at the end of a line, or before what may enclose a prompt: `>>` alone is a shell's.
_MARK: Final = re.compile(
    r"SCRIPTED_(CMD|WRITE)<<(.+?)>>(?=\s*(?:$|[\n<\"'`]|SCRIPTED_))", re.DOTALL
)
#: Tools that run commands, as the agents name them, best first.
_RUNNERS: Final = (
    "exec_command", "shell_command", "shell", "bash", "run_shell_command", "run_command",
    "execute_command", "run_commands", "terminal", "execute_bash", "run", "exec",
)  # fmt: skip
_COMMAND_ARGUMENTS: Final = ("command", "cmd", "commands", "script", "input", "code")
#: mini-swe-agent ends only when this is printed by a command.
_SUBMIT: Final = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
_DONE: Final = "Done."


def play(asked: Asked) -> Answer:
    """Return the answer that brings the prompt's commands one further."""
    wanted = dict.fromkeys(
        found.groups() for prompt in asked.prompts for found in _MARK.finditer(prompt)
    )
    tool = runner(asked.offers)
    if tool is None:
        listed = _listed if "SEARCH/REPLACE" not in asked.system else _replaced
        files = [listed(*_file(body)) for kind, body in wanted if kind == "WRITE"]
        return Answer("\n\n".join(files) or _DONE)
    commands = [_command(kind, body) for kind, body in wanted]
    if _SUBMIT in asked.system + "".join(asked.prompts):
        commands.append(f"echo {_SUBMIT}")
    if asked.results < len(commands):
        return Answer(calls=(_call(tool, commands[asked.results]),))
    return Answer(_DONE)


def runner(offers: tuple[Offer, ...]) -> Offer | None:
    """Return the tool that runs commands; None where none does."""
    by_name = {offer.name.lower(): offer for offer in reversed(offers)}
    found = next((by_name[name] for name in _RUNNERS if name in by_name), None)
    return found or next((offer for offer in offers if offer.form == "local_shell"), None)


def _command(kind: str, body: str) -> str:
    if kind == "CMD":
        return body.strip()
    path, line = _file(body)
    folder = shlex.quote(path.rpartition("/")[0] or ".")
    return f"mkdir -p {folder} && printf '%s\\n' {shlex.quote(line)} > {shlex.quote(path)}"


def _file(body: str) -> tuple[str, str]:
    path, _, line = body.partition(":")
    return path.strip(), line.strip()


def _listed(path: str, line: str) -> str:
    """Return a file as aider reads it out of an answer's text: whole."""
    return f"{path}\n```\n{line}\n```"


def _replaced(path: str, line: str) -> str:
    """Return a new file as aider reads it where it has asked for blocks."""
    return _listed(path, f"<<<<<<< SEARCH\n=======\n{line}\n>>>>>>> REPLACE")


def _call(tool: Offer, command: str) -> Call:
    if tool.form == "local_shell":
        return Call(tool.name, {"command": ["bash", "-lc", command]}, form="local_shell")
    if tool.form == "custom":
        return Call(tool.name, _program(command), tool.namespace, form="custom")
    properties = tool.schema.get("properties", {})
    given = {name: _filler(properties.get(name, {})) for name in tool.schema.get("required", ())}
    name = next((name for name in _COMMAND_ARGUMENTS if name in properties), "command")
    given[name] = _as_wanted(properties.get(name, {}), name, command)
    return Call(tool.name, given, tool.namespace)


def _program(command: str) -> str:
    """Return what a tool that takes a program of JavaScript runs the command by."""
    return f"const r = await tools.exec_command({json.dumps({'cmd': command})}); text(r.output);"


def _as_wanted(schema: Mapping[str, Any], name: str, command: str) -> Any:
    if schema.get("type") != "array":
        return command
    return [command] if name == "commands" else ["bash", "-lc", command]


def _filler(schema: Mapping[str, Any]) -> Any:
    """Return some value that *schema* allows, for an argument that must be there."""
    if schema.get("enum"):
        return schema["enum"][0]
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    empty = {"boolean": False, "integer": 60, "number": 60, "array": [], "object": {}}
    return empty.get(str(kind), "as scripted")
