"""A repository whose model is a scripted server, for goals and drafts."""

from pathlib import Path
from typing import Any

from tests.support.terminal import Terminal, open_terminal
from wfledger.run.rehearsal.script import Answer, Call
from wfledger.run.rehearsal.server import Rehearsal

MODEL = "here/m1"
KEY = "canary-5f3759df-not-to-be-seen"
#: What fleet.toml says of the server: a price, so that money is counted.
FLEET = """
[defaults]
role = "agent"

[provider.here]
profile = "openai"
base_url = "{url}"
key = "HERE_KEY"

[provider.here.models.m1]
capabilities = ["tool_calls", "streaming"]
price = {{ input = 1000.0, cache_read = 1000.0, output = 1000.0 }}

[role.agent]
argv = ["sh", "-c", "{script}"]
{more}
"""
#: An agent: does what its prompt says, as a shell would.
OBEY = "sh {prompt_file}"


def open_scripted(
    folder: Path, server: Rehearsal, *, more: str = "", files: dict[str, str] | None = None
) -> Terminal:
    """Return a prompt in a repository whose fleet has the model `here/m1`."""
    fleet = FLEET.format(url=server.chat_url, script=OBEY, more=more)
    return open_terminal(folder, files or {"README.md": "# sample\n"}, fleet=fleet)


def plan(*tasks: dict[str, Any]) -> Answer:
    """Return an answer that hands a plan in."""
    return Answer(calls=(Call("submit_plan", {"tasks": list(tasks)}),))


def task(name: str, prompt: str = "true", *write: str, after: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a task of a draft."""
    return {"id": name, "prompt": prompt, "write": list(write), "after": list(after)}


def verdict(*missing: str, reached: bool | None = None) -> Answer:
    """Return an answer that judges."""
    is_reached = not missing if reached is None else reached
    return Answer(calls=(Call("verdict", {"reached": is_reached, "missing": list(missing)}),))


def said(server: Rehearsal) -> list[str]:
    """Return what each request said, as one text."""
    return [str(request.body.get("messages")) for request in server.requests]
