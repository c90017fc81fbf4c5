"""The real client over real HTTP: every profile and every failure."""

import json
from typing import Any

import pytest

from tests.support.models import KEY, ask, profile
from tests.support.rehearsals import Rehearse
from wfledger.clock import SystemClock
from wfledger.run.config.known import built_in
from wfledger.run.config.providers import Model
from wfledger.run.models.answers import Answer
from wfledger.run.models.client import Client, Request, Server
from wfledger.run.models.troubles import Refused
from wfledger.run.rehearsal.script import FAILURES, Call, Script
from wfledger.run.rehearsal.script import Answer as Says

RULES = {"vllm": "local", "sglang": "local", "ollama": "local"}
#: How a provider shows its reasoning.
FIELDS = {"minimax": "reasoning_details", "vllm": "reasoning", "ollama": "reasoning"}
KINDS = {
    "401": "auth", "402": "quota", "403": "auth", "403-quota": "quota", "429": "rate",
    "429-retry-after": "rate", "429-quota": "quota", "400": "request", "400-context": "request",
    "404": "request", "422": "request", "500": "overload", "503": "overload", "529": "overload",
    "error-in-200": "rate", "minimax-auth": "auth", "minimax-balance": "quota",
    "minimax-rate": "rate", "minimax-request": "request", "cut": "overload",
    "ended-early": "overload", "error-in-stream": "overload", "hang-in-stream": "overload",
    "hang": "overload", "no-choices": "overload", "content-filter": "content",
    "garbage": "overload",
}  # fmt: skip
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "list", "description": "", "parameters": {"type": "object"}},
}


@pytest.mark.long
@pytest.mark.requirement("WFL-MODEL-001")
@pytest.mark.requirement("WFL-MODEL-002")
@pytest.mark.requirement("WFL-MODEL-003")
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", sorted(built_in()))
def test_every_profile_is_answered_by_a_server_as_strict_as_its_provider(
    name: str, stream: bool, rehearse: Rehearse
) -> None:
    said = Says(
        "I look.", (Call("list", {}),), "Let me think about it.", keep_alive=2,
        reasoning_field=FIELDS.get(name, "reasoning_content"),
    )  # fmt: skip
    rules = (RULES.get(name, name),)
    server = rehearse(script=Script((said, Says("Done.")), rules=rules, key=KEY))
    used = profile(name, stream=stream)
    first = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    answer = ask(server, used, messages=first, tools=[TOOL])
    assert isinstance(answer, Answer), answer
    assert (answer.text, answer.calls[0].name, answer.finish) == ("I look.", "list", "tool_calls")
    assert answer.usage is not None
    assert (answer.usage.tokens, answer.usage.output) == (120, 20)
    if used.reasoning:
        kept = answer.message[FIELDS.get(name, "reasoning_content")]
        assert "Let me think about it." in json.dumps(kept)
    result = {"role": "tool", "tool_call_id": answer.calls[0].id, "content": "a"}
    again = ask(server, used, messages=[*first, answer.message, result], tools=[TOOL])
    assert isinstance(again, Answer), again
    assert server.asked[1].body["messages"][2] == answer.message


@pytest.mark.long
@pytest.mark.requirement("WFL-MODEL-010")
@pytest.mark.requirement("WFL-MODEL-011")
@pytest.mark.parametrize(
    ("failure", "stream"),
    [*((name, True) for name in sorted(FAILURES)),
     *((name, False) for name in ("cut", "error-in-200", "garbage", "minimax-rate", "no-choices"))],
)
def test_every_failure_has_its_class(failure: str, stream: bool, rehearse: Rehearse) -> None:
    server = rehearse(FAILURES[failure])
    name = "minimax" if failure.startswith("minimax") else "deepseek"
    quiet = 0.3 if "hang" in failure else 5.0
    found = ask(server, profile(name, stream=stream, quiet_s=quiet))
    assert isinstance(found, Refused), found
    assert found.kind == KINDS[failure]
    assert found.retry_after_s == (1.0 if failure == "429-retry-after" else None)
    assert server.count() == 1, "the client itself must not try again"


@pytest.mark.long
def test_thinking_within_the_content_is_kept_as_it_is(rehearse: Rehearse) -> None:
    said = Says("Hello.", (Call("list", {}),), "Hm.", reasoning_field="think")
    server = rehearse(script=Script((said, Says("Done.")), rules=("minimax",)))
    used = profile("minimax", extra_body={})
    question = {"role": "user", "content": "u"}
    answer = ask(server, used, messages=[question], tools=[TOOL])
    assert isinstance(answer, Answer)
    assert answer.message["content"] == "<think>Hm.</think>Hello."
    result = {"role": "tool", "tool_call_id": answer.calls[0].id, "content": "a"}
    assert isinstance(ask(server, used, messages=[question, answer.message, result]), Answer)


@pytest.mark.long
def test_a_server_that_is_not_there_is_overloaded(rehearse: Rehearse) -> None:
    server = rehearse()
    url = server.chat_url
    server.__exit__(None, None, None)
    client = Client(Server(url, profile(), Model("m"), KEY), SystemClock())
    found = client.complete(Request([{"role": "user", "content": "u"}]))
    client.close()
    assert isinstance(found, Refused)
    assert found.kind == "overload"


def test_a_key_is_not_shown() -> None:
    assert KEY not in repr(Server("http://127.0.0.1:1/v1", profile(), Model("m"), KEY))


@pytest.mark.long
@pytest.mark.requirement("WFL-MODEL-001")
def test_a_tool_is_only_demanded_where_the_profile_allows_it(rehearse: Rehearse) -> None:
    server = rehearse(Says("a"), Says("b"))
    ask(server, profile("openai"), must_call=True)
    ask(server, profile("deepseek"), must_call=True)
    assert [one.body.get("tool_choice") for one in server.asked] == ["required", None]
