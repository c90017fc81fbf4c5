"""What a script gives with `task()`, read strictly: a task of the short form, and how it answers.

Pure, and the same for the same options wherever it is asked: a refusal is thrown into the script
as part of its course (spec 94, section 5).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.core import bounds
from wfledger.plans.problems import quote

#: What `task()` resolves to where no schema is given.
RETURNS: Final = ("text", "outputs", "envelope")
_ROOTS: Final = 32
_CONTRACTS: Final = 16
_FACTS: Final = 8
_ENTRY_CHARS: Final = 512
_READERS: Final = frozenset({"explore", "plan", "review", "verifier"})
_TYPES: Final[Mapping[str, str]] = {
    "general": "general", "worker": "general",
    "explore": "explore", "explorer": "explore", "scout": "explore",
    "plan": "plan", "planner": "plan",
    "review": "review", "reviewer": "review",
    "verify": "verifier", "verifier": "verifier",
    "implement": "implementer", "implementer": "implementer", "builder": "implementer",
}  # fmt: skip
_AUTHORITIES: Final = ("read_only", "workspace_write", "worktree_write")
_TOKEN: Final = re.compile(r"[^\s\"'`=]+\Z")
_CAMEL: Final = re.compile(r"_([a-z])")
_ALIASES: Final[Mapping[str, str]] = {
    "type": "subagentType", "agentType": "subagentType", "title": "description",
}


class OptionError(Exception):
    """Options that are refused; the message is thrown into the script."""


@dataclass(frozen=True)
class Asked:
    """One `task()`, as it is to be started and answered."""

    #: A task of the short form, without id.
    task: dict[str, Any]
    #: What it resolves to; with a schema, what of the result fits it.
    returns: str = "text"
    schema: Any = None
    #: How many more generations it may start.
    depth: int | None = None
    #: For its id, and for people.
    label: str = ""
    #: The role that it has in the plan.
    plays: str | None = None


@dataclass
class _Reading:
    """Options by their one spelling, taken out as they are read."""

    values: dict[str, Any]
    task: dict[str, Any] = field(default_factory=dict)

    def take(self, name: str, kind: str) -> Any:
        value = self.values.pop(name, None)
        if value is None:
            return None
        if not _KINDS[kind](value):
            raise OptionError(f"task(): {name} must be {kind}, not {_shown(value)}")
        return value

    def words(self, name: str, most: int) -> list[str]:
        listed = self.take(name, "a list of texts") or []
        if len(listed) > most:
            raise OptionError(f"task(): {name} has {len(listed)} entries; at most {most}")
        cleaned = [entry.strip() for entry in listed]
        if any(not 1 <= len(entry) <= _ENTRY_CHARS for entry in cleaned):
            raise OptionError(f"task(): an entry of {name} has 1 to {_ENTRY_CHARS} characters")
        return list(dict.fromkeys(cleaned))


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "a text": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "a whole number": _is_number,
    "a list of texts": lambda v: isinstance(v, list) and all(isinstance(one, str) for one in v),
    "a text or a list of texts": lambda v: isinstance(v, str)
    or (isinstance(v, list) and bool(v) and all(isinstance(one, str) for one in v)),
    "a list": lambda value: isinstance(value, list),
    "an object or true or false": lambda value: isinstance(value, dict | bool),
}  # fmt: skip


def read(given: object, *, phase: str = "") -> Asked:
    """Return what the options *given* ask for; raises `OptionError` with what is wrong first.

    *phase* is the one that the script is in.
    """
    if not isinstance(given, dict):
        raise OptionError("task(): takes a prompt, or an object of options")
    reading = _Reading(_one_spelling(given))
    _refuse_unsupported(reading)
    phase = (reading.take("phase", "a text") or phase).strip()
    label = (reading.take("label", "a text") or "").strip()
    agent_type, role = _identity(reading)
    _scope(reading, agent_type)
    schema = reading.take("responseSchema", "an object or true or false")
    _work(reading, schema)
    _limits(reading)
    depth = reading.take("maxDepth", "a whole number")
    if depth is not None and depth > bounds.MAX_DEPTH:
        raise OptionError(f"task(): maxDepth is at most {bounds.MAX_DEPTH}")
    returns = reading.take("returns", "a text") or "text"
    if returns not in RETURNS:
        raise OptionError(f"task(): returns is one of {', '.join(RETURNS)}, not {quote(returns)}")
    if reading.values:
        raise OptionError(f"task(): unknown option {quote(next(iter(reading.values)))}")
    title = " / ".join(part for part in (phase, label) if part)
    if title:
        reading.task["title"] = title[:200]
    return Asked(reading.task, returns, schema, depth, label, role)


def _one_spelling(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options by their camel-case names; one given twice is refused."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        known = _CAMEL.sub(lambda part: part.group(1).upper(), name)
        known = _ALIASES.get(known, known)
        if known in found and known != "description":
            raise OptionError(f"task(): {name} is given twice")
        if value is not None:
            found[known] = found.get(known, value)
    return found


def _refuse_unsupported(reading: _Reading) -> None:
    cwd = reading.take("cwd", "a text")
    if cwd is not None and _path("cwd", cwd) != ".":
        raise OptionError("task(): cwd is not supported: a task begins at the root of its worktree")
    for name, harmless in (("modelStrength", ("same", "inherit")), ("thinking", ("inherit",))):
        wanted = reading.take(name, "a text")
        if wanted is not None and wanted.strip().lower() not in harmless:
            raise OptionError(
                f"task(): {name} is not supported; name a model, or a role of fleet.toml that has "
                "these settings"
            )


def _identity(reading: _Reading) -> tuple[str, str | None]:
    """Read who does it; returns the agent type, and the role in the plan."""
    task = reading.task
    wanted = reading.take("subagentType", "a text")
    kind = _TYPES.get(wanted.strip().lower()) if wanted is not None else None
    if wanted is not None and kind is None:
        raise OptionError(f"task(): type {quote(wanted)} is none of {', '.join(sorted(_TYPES))}")
    role, profile = (_token(reading, name) for name in ("role", "profile"))
    by_role = _TYPES.get(role or "")
    if kind is not None and by_role is not None and (kind in _READERS) != (by_role in _READERS):
        raise OptionError("task(): role and type contradict each other: one only reads")
    agent_type = kind or by_role or "general"
    task["agent_type"] = agent_type
    if profile is not None:
        task["role"] = profile
    model = reading.take("model", "a text")
    if model is not None:
        task["model"] = model
    tools = reading.take("allowedTools", "a list of texts")
    if tools is not None:
        task["tools"] = list(dict.fromkeys(tools))
    return agent_type, role


def _token(reading: _Reading, name: str) -> str | None:
    value = reading.take(name, "a text")
    if value is None:
        return None
    token: str = value.strip().lower()
    if not _TOKEN.match(token):
        raise OptionError(
            f"task(): {name} is one word without white space, quotes, back-ticks and `=`"
        )
    return token


def _scope(reading: _Reading, agent_type: str) -> None:
    """Read what it may write; a task that names nothing reads only."""
    _workspace(reading)
    authority = reading.take("writeAuthority", "a text")
    if authority is not None and authority.strip().lower() not in _AUTHORITIES:
        raise OptionError(f"task(): writeAuthority is one of {', '.join(_AUTHORITIES)}")
    writes = authority is not None and authority.strip().lower() != "read_only"
    roots = [_path("writeRoots", one) for one in reading.words("writeRoots", _ROOTS)]
    files = [_path("exactFiles", one) for one in reading.words("exactFiles", _ROOTS)]
    scope = list(dict.fromkeys((*roots, *files)))
    if writes and not scope:
        raise OptionError("task(): who may write says where: writeRoots or exactFiles")
    if scope and authority is not None and not writes:
        raise OptionError("task(): writeAuthority read_only contradicts writeRoots and exactFiles")
    if scope and agent_type in _READERS:
        raise OptionError(f"task(): {agent_type} only reads; it has no writeRoots and exactFiles")
    if "." in scope:
        raise OptionError("task(): the whole repository is no bounded scope; name folders")
    if scope:
        reading.task["write"] = scope
    contracts = reading.words("coordinationContracts", _CONTRACTS)
    if contracts:
        reading.task["contracts"] = contracts


def _workspace(reading: _Reading) -> None:
    """Read where it works: always in a worktree of its own, so `shared` asks for less."""
    own = reading.take("worktree", "true or false")
    policy = reading.take("workspacePolicy", "a text")
    if policy is not None and policy.strip().lower() not in {"shared", "worktree"}:
        raise OptionError("task(): workspacePolicy is shared or worktree")
    if own and policy is not None and policy.strip().lower() == "shared":
        raise OptionError("task(): workspacePolicy shared contradicts worktree: true")


def _path(name: str, given: str) -> str:
    """Return a path below the root of the repository, normalised (WFL-FRONT-058)."""
    path = given.strip().replace("\\", "/")
    drive = len(path) > 1 and path[1] == ":" and path[0].isalpha()
    if not path or path.startswith("/") or drive or any(c in path for c in "\0\r\n"):
        raise OptionError(f"task(): {name} holds paths below the repository, not {quote(given)}")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise OptionError(f"task(): {name} may not leave the repository: {quote(given)}")
    return "/".join(parts) or "."


def _work(reading: _Reading, schema: Any) -> None:
    """Read what is done: a prompt and what belongs to it, or a command."""
    text = reading.take("prompt", "a text")
    described = reading.take("description", "a text")
    text = text if text is not None else described
    facts = reading.words("dependencies", _FACTS)
    accepted = reading.words("acceptance", _FACTS)
    command = reading.take("command", "a text or a list of texts")
    for name in ("verify", "deliverables", "env", "needs"):
        value = reading.take(name, "a list")
        if value is not None:
            reading.task[name] = value
    if command is not None:
        if text is not None or facts or accepted:
            raise OptionError("task(): a command has no prompt, dependencies or acceptance")
        reading.task["command"] = command
        return
    if text is None or not text.strip():
        raise OptionError("task(): a prompt (or description, or command) is missing")
    parts = [text]
    parts += [_section("What you rest on", facts)] if facts else []
    parts += [_section("It is done when", accepted)] if accepted else []
    if schema is not None:
        parts.append(_answer(schema))
    reading.task["prompt"] = "\n\n".join(parts)


def _section(title: str, lines: list[str]) -> str:
    return "\n".join((f"## {title}", "", *(f"- {line}" for line in lines)))


def _answer(schema: Any) -> str:
    import json

    shown = json.dumps(schema, sort_keys=True, ensure_ascii=False)
    return f"## Your answer\n\nYour `outputs` must fit this JSON Schema:\n\n```json\n{shown}\n```"


def _limits(reading: _Reading) -> None:
    budget: dict[str, Any] = {}
    for option, name in (("tokenBudget", "tokens"), ("maxSteps", "steps")):
        value = reading.take(option, "a whole number")
        if value is not None:
            if value < 1:
                raise OptionError(f"task(): {option} is at least 1")
            budget[name] = value
    if budget:
        reading.task["budget"] = budget
    wall = reading.take("wallTimeSecs", "a whole number")
    if wall is not None:
        if not 1 <= wall <= bounds.MAX_SECONDS:
            raise OptionError(f"task(): wallTimeSecs is 1 to {bounds.MAX_SECONDS:.0f}")
        reading.task["timeout"] = wall


def _shown(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text",
             list: "a list", dict: "an object"}  # fmt: skip
    return names.get(type(value), "this")
