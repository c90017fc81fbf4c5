"""Real agents that drive themselves: how each is started, and a model that works by the ledger.

The model takes a task, writes outside of it, then within it, stops too early, and hands in.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wfledger.run.rehearsal.script import Answer, Call
from wfledger.run.rehearsal.server import Rehearsal

PROMPT: Final = "Do a task of the ledger."
SECRET: Final = "driving-secret-0c41fb6a"
MODEL: Final = "scripted"
_WORKTREE: Final = re.compile(r'worktree\\*"+: ?\\*"+(/[^"\\]+)')
#: Said while the server of the tools starts; agents ask their model before it has.
_EARLY: Final = ("till connecting", "ready: true", "waited for the tools")
_WAIT: Final = "sleep 1; echo waited for the tools"
#: How often a model that has done its work says so before it hands in.
_STOPS: Final = 2
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Driven:
    """How an agent is driven from a prompt, its model being a server of ours."""

    #: Of its adapter.
    adapter: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    #: Its tool that writes a file, and what that calls the path; None: the shell.
    writes: tuple[str, str] | None
    #: What stands before the names of our tools, and the namespace that they are in.
    prefix: str = "mcp__wfledger__"
    namespace: str | None = None
    #: Whether a session is held that stops too early, and how often.
    holds: int = 2
    #: How `setup` is called besides.
    reach: tuple[str, ...] = ()
    #: What its model does while our tools are not offered yet; None: they always are, or hidden.
    waits: Call | None = None


def driven(name: str, server: Rehearsal) -> Driven:
    """Return how the agent that `setup` calls *name* is driven."""
    return {
        "claude": _claude, "codex": _codex, "kimi": _kimi, "qwen": _qwen, "opencode": _opencode,
    }[name](server)  # fmt: skip


def _claude(server: Rehearsal) -> Driven:
    trusted = json.dumps({"enableAllProjectMcpServers": True})
    return Driven(
        "claude",
        ("claude", "-p", PROMPT, "--output-format", "stream-json", "--verbose", "--model", MODEL,
         "--dangerously-skip-permissions", "--settings", trusted),
        {"ANTHROPIC_BASE_URL": server.anthropic_url, "ANTHROPIC_API_KEY": SECRET,
         "IS_SANDBOX": "1", "ENABLE_TOOL_SEARCH": "false", "DISABLE_AUTOUPDATER": "1",
         "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
        ("Write", "file_path"), waits=Call("WaitForMcpServers"),
    )  # fmt: skip


def _codex(server: Rehearsal) -> Driven:
    provider = (
        f'model_providers.w={{name="w",base_url="{server.chat_url}",env_key="W",'
        'wire_api="responses"}'
    )
    return Driven(
        "codex",
        ("codex", "exec", "--json", "--trust", "--dangerously-bypass-hook-trust",
         "--dangerously-bypass-approvals-and-sandbox", "-c", 'model_provider="w"', "-c", provider,
         "-m", MODEL, PROMPT),
        {"W": SECRET}, None, prefix="", namespace="mcp__wfledger",
        waits=Call("exec_command", {"cmd": _WAIT}),
    )  # fmt: skip


def _kimi(server: Rehearsal) -> Driven:
    return Driven(
        "kimi-code", ("kimi", "-p", PROMPT, "--output-format", "stream-json"),
        {"KIMI_MODEL_API_KEY": SECRET, "KIMI_MODEL_NAME": MODEL,
         "KIMI_MODEL_PROVIDER_TYPE": "openai", "KIMI_MODEL_BASE_URL": server.chat_url,
         "KIMI_DISABLE_TELEMETRY": "1", "KIMI_CODE_NO_AUTO_UPDATE": "1"},
        ("Write", "path"), holds=1, reach=("--user",),
    )  # fmt: skip


def _qwen(server: Rehearsal) -> Driven:
    return Driven(
        "qwen-code",
        ("qwen", "--auth-type", "openai", "--approval-mode", "yolo", "-m", MODEL, "-p", PROMPT),
        {"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": server.chat_url, "OPENAI_MODEL": MODEL},
        ("write_file", "file_path"),
    )  # fmt: skip


def _opencode(server: Rehearsal) -> Driven:
    options = {"baseURL": server.chat_url, "apiKey": "{env:W}"}
    models = {MODEL: {"name": MODEL, "tool_call": True}}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": models}
    allowed = dict.fromkeys(("edit", "bash", "external_directory"), "allow")
    config = {"provider": {"w": provider}, "permission": allowed}
    return Driven(
        "opencode", ("opencode", "run", "--format", "json", "--auto", "-m", f"w/{MODEL}", PROMPT),
        {"W": SECRET, "OPENCODE_CONFIG_CONTENT": json.dumps(config),
         "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"},
        ("write", "filePath"), prefix="wfledger_", holds=0,
        waits=Call("bash", {"command": _WAIT, "description": "waits"}),
    )  # fmt: skip


@dataclass
class Model:
    """What the model of one session says; a turn of a script."""

    agent: Driven
    checkout: Path
    #: What each of its tools answered, the last question's.
    heard: list[str] = field(default_factory=list)
    stopped: int = 0

    def __call__(self, body: Body) -> Answer:
        """Return the next step of somebody who works by the ledger."""
        if not body.get("tools"):
            return Answer("{}")  # a title, or the like
        answers = list(_answers(body))
        heard = [one for one in answers if not any(early in one for early in _EARLY)]
        self.heard = max(self.heard, heard, key=len)
        if not heard:
            waits = self._wait(body)
            return waits if waits is not None else self._tool("wf_claim")
        if len(heard) == 1:
            return self._write(self.checkout / "outside.md")
        if len(heard) == 2:
            found = _WORKTREE.search(heard[0])
            assert found is not None, heard[0]
            return self._write(Path(found[1]) / "notes/made.md")
        if len(heard) == 3:
            self.stopped += 1
            if self.stopped > min(self.agent.holds, _STOPS):
                return self._tool("wf_complete", summary="wrote the note")
        return Answer("That is all.")

    def _wait(self, body: Body) -> Answer | None:
        """Return a call that waits while the tools are not there yet; None where they may be."""
        names = {str((tool.get("function") or tool).get("name")) for tool in body["tools"]}
        is_there = (self.agent.namespace or f"{self.agent.prefix}wf_claim") in names
        waits = self.agent.waits
        return None if waits is None or is_there else Answer(calls=(waits,))

    def _tool(self, name: str, **args: Any) -> Answer:
        return Answer(calls=(Call(self.agent.prefix + name, args, self.agent.namespace),))

    def _write(self, path: Path) -> Answer:
        if self.agent.writes is None:
            command = f"mkdir -p {path.parent} && echo a note > {path}"
            return Answer(calls=(Call("exec_command", {"cmd": command}),))
        name, argument = self.agent.writes
        return Answer(calls=(Call(name, {argument: str(path), "content": "a note\n"}),))


def _answers(body: Body) -> Iterator[str]:
    """Yield what tools answered, in whatever dialect."""
    for item in [*(body.get("messages") or ()), *(body.get("input") or ())]:
        if item.get("role") == "tool":
            yield json.dumps(item.get("content"))
        elif str(item.get("type", "")).endswith("_output"):
            yield json.dumps(item.get("output"))
        elif isinstance(item.get("content"), list):
            for part in item["content"]:
                if part.get("type") == "tool_result":
                    yield json.dumps(part.get("content"))
