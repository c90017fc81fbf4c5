"""Which files each coding agent reads, and what it is told there.

Facts of the agents themselves, as their documentation and their programs say (2026): file names,
keys, names of events and tools. An agent that lacks something gets a note that says so.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

from wfledger.run.equipping.blocks import Marks
from wfledger.run.equipping.pieces import Block, Entry, Piece, Whole

Reach = Literal["project", "user"]

_COMMAND: Final = "wfledger"
_SERVER: Final = {"command": _COMMAND, "args": ["mcp"]}
#: Seconds that completing a task may take: it verifies and lands.
_LONG_S: Final = 3600
_HOOK_S: Final = 30
#: For a client with one limit for starting a server and for each call, which answers within 45 s
#: (WFL-MCP-023); by itself it gives a server up that has not started after 5 s.
_ANSWER_MS: Final = 60_000
_HASHES: Final = Marks(
    "# >>> wfledger: written by `wfledger setup`, taken out by `--remove`", "# <<< wfledger"
)
_ANGLES: Final = Marks(
    "<!-- wfledger: written by `wfledger setup`, taken out by `--remove` -->",
    "<!-- wfledger: end -->",
)
#: Variables that a server has to see; codex passes on none that it is not told of.
_PASSED: Final = [
    "WFLEDGER_TASK", "WFLEDGER_TOKEN", "WFLEDGER_DIR", "WFLEDGER_DEPTH", "WFLEDGER_BUDGET",
    "XDG_STATE_HOME", "XDG_CONFIG_HOME",
]  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """A piece and the file that it goes into."""

    path: Path
    piece: Piece


@dataclass(frozen=True)
class Outfit:
    """Everything that an agent is given, in the order in which it is put in."""

    placed: tuple[Placed, ...]
    #: What has to be known or done besides.
    notes: tuple[str, ...] = ()

    @property
    def sign(self) -> Placed:
        """The piece by which it is known whether the agent was set up: the first."""
        return self.placed[0]


@dataclass(frozen=True)
class Homes:
    """Where the user's own configuration lies; read from the environment by the command line."""

    home: Path
    environ: Mapping[str, str]

    def of(self, variable: str, default: str) -> Path:
        """Return the folder that *variable* names, else *default* below the home."""
        given = Path(self.environ.get(variable, ""))
        return given if given.is_absolute() else self.home / default


def names() -> tuple[str, ...]:
    """Return the agents that are known."""
    return tuple(_OUTFITS)


def outfit(agent: str, reach: Reach, root: Path, homes: Homes) -> Outfit:
    """Return what *agent* is given; *root* is the project, which only its own reach needs."""
    return _OUTFITS[agent](reach, root, homes)


def _claude(reach: Reach, root: Path, homes: Homes) -> Outfit:
    base = homes.of("CLAUDE_CONFIG_DIR", ".claude") if reach == "user" else root / ".claude"
    events: dict[str, str | None] = {
        "PreToolUse": "Edit|MultiEdit|Write|NotebookEdit|Bash", "PostToolUse": "*", "Stop": None,
        "SubagentStop": None, "TaskCompleted": None, "TeammateIdle": None,
    }  # fmt: skip
    hooks = _hooks("claude", base / "settings.json", events, timeout=_HOOK_S)
    text = base / "CLAUDE.md" if reach == "user" else root / "CLAUDE.md"
    rest = (*hooks, _skill(base / "skills"), Placed(text, _stanza()))
    if reach == "user":
        # Claude writes ~/.claude.json all the time itself; an edit of ours would race with it.
        add = "claude mcp add --scope user wfledger -- wfledger mcp"
        note = f"Claude keeps the list of a user's servers itself; add this one by: {add}"
        return Outfit(rest, (note,))
    server = Entry(("mcpServers", "wfledger"), _SERVER)
    note = "Claude asks once, in each checkout, whether it may use the server of .mcp.json."
    return Outfit((Placed(root / ".mcp.json", server), *rest), (note,))


def _codex(reach: Reach, root: Path, homes: Homes) -> Outfit:
    own = homes.of("CODEX_HOME", ".codex")
    base = own if reach == "user" else root / ".codex"
    server = {
        **_SERVER, "env_vars": _PASSED, "startup_timeout_sec": _HOOK_S,
        "tool_timeout_sec": _LONG_S,
    }  # fmt: skip
    events = {
        "PreToolUse": "^(Bash|apply_patch)$", "PostToolUse": None, "Stop": None,
        "SubagentStop": None,
    }  # fmt: skip
    hooks = {name: [_group("codex", name, match, _HOOK_S)] for name, match in events.items()}
    adds = {"mcp_servers": {"wfledger": server}, "hooks": hooks}
    skills = homes.home / ".agents/skills" if reach == "user" else root / ".agents/skills"
    text = own / "AGENTS.md" if reach == "user" else root / "AGENTS.md"
    placed = (
        Placed(base / "config.toml", _toml_block(adds)), _skill(skills),
        Placed(text, _stanza()),
    )  # fmt: skip
    notes = ["Codex runs new hooks only when you have trusted them: /hooks in a session of it."]
    if reach == "project":
        notes.append("Codex reads .codex/config.toml only in a project that it was told to trust.")
    return Outfit(placed, tuple(notes))


def _kimi(reach: Reach, root: Path, homes: Homes) -> Outfit:
    own = homes.of("KIMI_CODE_HOME", ".kimi-code")
    base = own if reach == "user" else root / ".kimi-code"
    server = {**_SERVER, "toolTimeoutMs": _LONG_S * 1000}
    text = own / "AGENTS.md" if reach == "user" else root / "AGENTS.md"
    placed = [
        Placed(base / "mcp.json", Entry(("mcpServers", "wfledger"), server)),
        _skill(base / "skills"), Placed(text, _stanza()),
    ]  # fmt: skip
    if reach == "project":
        notes = (
            "Kimi reads hooks from its home only, for every project: wfledger setup kimi --user",
            "Kimi starts a project's servers only in a folder that it was told to trust.",
        )
        return Outfit(tuple(placed), notes)
    events = {"PreToolUse": "^(Write|Edit|Bash)$", "PostToolUse": None, "Stop": None}
    hooks = [
        {"event": name} | ({"matcher": match} if match else {})
        | {"command": _call("kimi", name), "timeout": _HOOK_S}
        for name, match in events.items()
    ]  # fmt: skip
    placed.append(Placed(base / "config.toml", _toml_block({"hooks": hooks})))
    note = (
        "Kimi holds a turn once and a sub-agent never. A session whose claim was taken away hears "
        "of it when it next writes."
    )
    return Outfit(tuple(placed), (note,))


def _qwen(reach: Reach, root: Path, homes: Homes) -> Outfit:
    base = homes.of("QWEN_HOME", ".qwen") if reach == "user" else root / ".qwen"
    settings = base / "settings.json"
    server = {**_SERVER, "timeout": _LONG_S * 1000}
    events = {
        "PreToolUse": "^(edit|write_file|notebook_edit|run_shell_command)$", "PostToolUse": "*",
        "Stop": None, "SubagentStop": None,
    }  # fmt: skip
    text = base / "QWEN.md" if reach == "user" else root / "AGENTS.md"
    placed = (
        Placed(settings, Entry(("mcpServers", "wfledger"), server)),
        # Qwen took the limit for milliseconds once; a number this large it still does.
        *_hooks("qwen", settings, events, timeout=_HOOK_S * 1000),
        _skill(base / "skills"), Placed(text, _stanza()),
    )  # fmt: skip
    note = f"Qwen adds its own version to {settings.name}, and leaves a copy beside it (.orig)."
    return Outfit(placed, (note,))


def _opencode(reach: Reach, root: Path, homes: Homes) -> Outfit:
    own = homes.of("XDG_CONFIG_HOME", ".config") / "opencode"
    top, inner = (own, own) if reach == "user" else (root, root / ".opencode")
    config = top / "opencode.json"
    if not config.exists() and (top / "opencode.jsonc").exists():
        config = top / "opencode.jsonc"
    server = {
        "type": "local", "command": [_COMMAND, "mcp"], "enabled": True, "timeout": _ANSWER_MS,
    }  # fmt: skip
    placed = (
        Placed(config, Entry(("mcp", "wfledger"), server)),
        Placed(inner / "plugins/wfledger.js", Whole(_text("opencode.js"))),
        _skill(inner / "skills"),
        Placed(top / "AGENTS.md", _stanza()),
    )
    note = (
        "OpenCode has no hook that holds a stop: the plugin writes to a session that went idle. "
        "`opencode run` ends at that moment, so it is not held."
    )
    return Outfit(placed, (note,))


_OUTFITS: Final[Mapping[str, Callable[[Reach, Path, Homes], Outfit]]] = {
    "claude": _claude, "codex": _codex, "kimi": _kimi, "opencode": _opencode, "qwen": _qwen,
}  # fmt: skip


def _call(agent: str, event: str) -> str:
    """Return the command of a hook; who has no wfledger is not bothered by it."""
    return f"command -v wfledger >/dev/null || exit 0; exec wfledger hook {agent} {event}"


def _group(agent: str, event: str, match: str | None, timeout: int) -> dict[str, Any]:
    command = {"type": "command", "command": _call(agent, event), "timeout": timeout}
    return ({"matcher": match} if match else {}) | {"hooks": [command]}


def _hooks(
    agent: str, path: Path, events: Mapping[str, str | None], *, timeout: int
) -> tuple[Placed, ...]:
    sign = f"wfledger hook {agent}"
    return tuple(
        Placed(path, Entry(("hooks", name), _group(agent, name, match, timeout), True, sign))
        for name, match in events.items()
    )


def _skill(folder: Path) -> Placed:
    return Placed(folder / "wfledger/SKILL.md", Whole(_text("SKILL.md")))


def _stanza() -> Block:
    return Block(_ANGLES, _text("stanza.md"))


def _text(name: str) -> str:
    return (files("wfledger.run.equipping") / "files" / name).read_text("utf-8")


def _toml_block(adds: Mapping[str, Any]) -> Block:
    return Block(_HASHES, "\n".join(_toml_tables(adds, ())) + "\n", adds)


def _toml_tables(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Return *table* as lines of TOML: tables and lists of tables under headings of their own."""
    lines: list[str] = []
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, Mapping):
            plain = any(not _is_table(one) for one in value.values())
            lines += [f"[{'.'.join(here)}]"] * plain + _toml_tables(value, here)
        elif _is_table(value):
            for one in value:
                lines += [f"[[{'.'.join(here)}]]", *_toml_tables(one, here)]
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(one, Mapping) for one in value)
    )
