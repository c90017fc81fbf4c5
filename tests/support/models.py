"""Workers that are models, for tests: clients and conversations against a scripted server."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wfledger.clock import SystemClock
from wfledger.core.changes import Rules
from wfledger.core.policy import Policy
from wfledger.core.scopes import parse_all
from wfledger.core.usage import Budget
from wfledger.run.config.known import built_in
from wfledger.run.config.profiles import Profile
from wfledger.run.config.providers import Model
from wfledger.run.models.allowance import Allowance
from wfledger.run.models.answers import Answer
from wfledger.run.models.client import Client, Request, Server
from wfledger.run.models.conversation import Conversation, Finished, Setting
from wfledger.run.models.files import Files
from wfledger.run.models.metering import Meter
from wfledger.run.models.places import Place
from wfledger.run.models.submitting import Subject
from wfledger.run.models.toolbox import Toolbox, granted
from wfledger.run.models.transcript import Transcript
from wfledger.run.models.troubles import Refused
from wfledger.run.rehearsal.script import Answer as Says
from wfledger.run.rehearsal.script import Call
from wfledger.run.rehearsal.server import Rehearsal

KEY = "canary-key-0123456789"
#: Not the least waiting.
AT_ONCE = {"backoff_s": 0.001, "quiet_s": 1.0}


def profile(name: str = "deepseek", **changes: Any) -> Profile:
    """Return a built-in profile that waits for nothing."""
    return replace(built_in()[name], **{**AT_ONCE, **changes})


def ask(server: Rehearsal, used: Profile, *, model: Model | None = None, **request: Any) -> (
    Answer | Refused
):
    """Ask a scripted server once, through the real client."""
    known = model or next(iter(used.models), Model("some-model"))
    client = Client(Server(server.chat_url, used, known, KEY), SystemClock())
    given = {"messages": [{"role": "user", "content": "Say something."}], **request}
    try:
        return client.complete(Request(**given))
    finally:
        client.close()


def submits(**fields: Any) -> Says:
    """Return an answer that submits a result."""
    envelope = {"status": "succeeded", "summary": "It is done.", **fields}
    return Says(calls=(Call("submit_result", envelope),), reasoning="It is done.")


def calls(name: str, **arguments: Any) -> Says:
    """Return an answer that calls a tool."""
    return Says(calls=(Call(name, arguments),), reasoning=f"I call {name}.")


@dataclass
class Held:
    """A conversation that was held, and what was said meanwhile."""

    finished: Finished
    meter: Meter
    transcript: Path
    said: list[str] = field(default_factory=list)
    troubles: list[Refused] = field(default_factory=list)


def toolbox(root: Path, *write: str, policy: Policy | None = None, **of: Any) -> Toolbox:
    """Return the tools of a worker in *root* that writes *write*."""
    files = Files(Place(root), parse_all(write), Rules.of(policy or Policy()))
    names = granted(of.get("tools"), writes=bool(write))
    return Toolbox(names, files, of.get("commands"))


def hold(
    server: Rehearsal, root: Path, *, write: tuple[str, ...] = ("src/**",),
    budget: Mapping[str, Any] | None = None, used: Profile | None = None, **more: Any,
) -> Held:  # fmt: skip
    """Hold a conversation in *root* with a scripted server, through the real client."""
    clock = SystemClock()
    used = used or profile()
    model = next(iter(used.models), Model("some-model"))
    client = Client(Server(server.chat_url, used, model, KEY), clock)
    transcript = Transcript(root.with_name("transcript.jsonl"), (KEY,), clock)
    transcript.begin(anew=True)
    held = Held(Finished(), Meter(), root.with_name("transcript.jsonl"))
    setting = Setting(
        subject=Subject("r1.a", 1, writes=bool(write)), model=client,
        toolbox=toolbox(root, *write), clock=clock, meter=held.meter, transcript=transcript,
        allowance=Allowance(Budget(**budget or {}), clock, clock.now(), **more),
        backoff_s=used.backoff_s, secrets=(KEY,), says=held.said.append,
        answered=lambda model: None, troubled=held.troubles.append,
    )  # fmt: skip
    opening = [
        {"role": "system", "content": "You are a worker."},
        {"role": "user", "content": "Do it."},
    ]
    try:
        held.finished = Conversation(setting, opening).hold()
    finally:
        client.close()
    return held


def told(server: Rehearsal, number: int = -1) -> list[dict[str, Any]]:
    """Return the messages of a request."""
    found: list[dict[str, Any]] = server.asked[number].body["messages"]
    return found
