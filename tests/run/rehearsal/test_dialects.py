"""The Responses API and Anthropic's messages of the scripted server, whole and as events."""

import json
import urllib.error
import urllib.request
from typing import Any

import openai
import pytest

from tests.support.rehearsals import Rehearse
from wfledger.run.rehearsal.script import FAILURES, Answer, Call
from wfledger.run.rehearsal.server import Rehearsal

EXEC = {"type": "function", "name": "exec_command",
        "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}},
                       "required": ["cmd"]}}  # fmt: skip
BASH = {"name": "Bash", "input_schema": {
    "type": "object", "required": ["command", "timeout", "mode", "aside"],
    "properties": {"command": {"type": "string"}, "timeout": {"type": "number"},
                   "mode": {"enum": ["plain"]}, "aside": {"type": ["boolean", "null"]}}}}  # fmt: skip
PROMPT = "SCRIPTED_WRITE<<src/a.txt: it's new>>"
WRITE = """mkdir -p src && printf '%s\\n' 'it'"'"'s new' > src/a.txt"""


def _post(server: Rehearsal, path: str, body: dict[str, Any]) -> tuple[int, str]:
    request = urllib.request.Request(
        server.url + path, json.dumps({"model": "m", **body}).encode(),
        {"Content-Type": "application/json", "x-api-key": "k"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def _responses(server: Rehearsal, **extra: Any) -> Any:
    return json.loads(_post(server, "/v1/responses", {"input": PROMPT, **extra})[1])


def _messages(server: Rehearsal, *more: dict[str, Any], **extra: Any) -> Any:
    asked = [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}, *more]
    return json.loads(_post(server, "/v1/messages", {"messages": asked, **extra})[1])


def test_responses_stream_items_and_end_with_the_whole(rehearse: Rehearse) -> None:
    answer = Answer("Look.", (Call("exec_command", {"cmd": "ls"}, "box"),), "Hm.")
    said = _post(rehearse(answer), "/v1/responses", {"input": "Go.", "stream": True})[1]
    told = _events(said)
    items = [one["item"] for one in told if one["type"] == "response.output_item.done"]
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call"]
    assert (items[2]["namespace"], items[2]["arguments"]) == ("box", '{"cmd": "ls"}')
    assert told[0]["type"] == "response.created"
    assert told[-1]["response"]["output"] == items
    assert told[-1]["response"]["usage"]["total_tokens"] == 120


@pytest.mark.long
@pytest.mark.parametrize("base", ["/v1", ""])
def test_the_openai_package_reads_responses(rehearse: Rehearse, base: str) -> None:
    answer = Answer("Look.", (Call("exec_command", {"cmd": "ls"}),), "Hm.")
    server = rehearse(answer, answer)
    with openai.OpenAI(base_url=server.url + base, api_key="k", max_retries=0) as client:
        whole: Any = client.responses.create(model="m", input="Go.")
        with client.responses.stream(model="m", input="Go.") as stream:
            kinds = [event.type for event in stream]
            final: Any = stream.get_final_response()
    assert (whole.output_text, final.output_text) == ("Look.", "Look.")
    assert final.output[-1].arguments == '{"cmd": "ls"}'
    assert final.usage.input_tokens == 100
    assert kinds.count("response.output_text.delta") == 1


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([EXEC], {"type": "function_call", "arguments": json.dumps({"cmd": WRITE})}),
        ([{"type": "namespace", "name": "box", "tools": [EXEC]}],
         {"type": "function_call", "namespace": "box", "name": "exec_command"}),
        ([{"type": "local_shell"}],
         {"type": "local_shell_call",
          "action": {"type": "exec", "env": {}, "command": ["bash", "-lc", WRITE]}}),
        ([{"type": "custom", "name": "exec"}],
         {"type": "custom_tool_call", "name": "exec"}),
    ],
)  # fmt: skip
def test_the_prompts_file_is_written_by_whatever_tool_codex_offers(
    rehearse: Rehearse, tools: list[Any], expected: dict[str, Any]
) -> None:
    server = rehearse()
    (item,) = _responses(server, tools=tools)["output"]
    assert expected.items() <= item.items()
    prompt = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": PROMPT}]}
    result = {"type": f"{item['type']}_output", "call_id": item["call_id"], "output": ""}
    (last,) = _responses(server, input=[prompt, item, result], tools=tools)["output"]
    assert last["content"][0]["text"] == "Done."


def test_messages_stream_blocks(rehearse: Rehearse) -> None:
    answer = Answer("Look.", (Call("Bash", {"command": "ls"}),), "Hm.")
    said = _post(rehearse(answer), "/v1/messages", {"messages": [], "stream": True})[1]
    told = _events(said)
    deltas = [one["delta"] for one in told if one["type"] == "content_block_delta"]
    assert deltas == [
        {"type": "thinking_delta", "thinking": "Hm."},
        {"type": "text_delta", "text": "Look."},
        {"type": "input_json_delta", "partial_json": '{"command": "ls"}'},
    ]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"
    assert told[-1]["type"] == "message_stop"


def test_every_argument_that_must_be_there_is_given_what_its_schema_allows(
    rehearse: Rehearse,
) -> None:
    server = rehearse()
    said = _messages(server, tools=[BASH])
    (call,) = said["content"]
    assert call["input"] == {"command": WRITE, "timeout": 60, "mode": "plain", "aside": False}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"]}]}
    last = _messages(server, {"role": "assistant", "content": said["content"]}, result, tools=[BASH])
    assert (last["content"][0]["text"], last["stop_reason"]) == ("Done.", "end_turn")


@pytest.mark.parametrize(
    ("system", "body"),
    [
        ("Reply with whole files.", "it's new"),
        ("Use SEARCH/REPLACE blocks.", "<<<<<<< SEARCH\n=======\nit's new\n>>>>>>> REPLACE"),
    ],
)
def test_without_tools_a_file_is_written_as_the_agent_asks_for_it(
    rehearse: Rehearse, system: str, body: str
) -> None:
    (block,) = _messages(rehearse(), system=system)["content"]
    assert block["text"] == f"src/a.txt\n```\n{body}\n```"


def test_messages_report_what_a_cache_wrote(rehearse: Rehearse) -> None:
    own = {"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 3}
    chats = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    server = rehearse(Answer(usage=own), Answer(usage=chats))
    assert _messages(server)["usage"] == own
    assert _messages(server)["usage"]["cache_read_input_tokens"] == 4


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("/v1/responses", "429-quota", (429, {"code": "insufficient_quota"})),
        ("/v1/messages", "401", (401, {"type": "authentication_error"})),
        ("/v1/messages", "529", (529, {"type": "overloaded_error"})),
    ],
)
def test_failures_have_the_shape_of_the_dialect(
    rehearse: Rehearse, path: str, name: str, expected: tuple[int, dict[str, str]]
) -> None:
    status, said = _post(rehearse(FAILURES[name]), path, {"messages": []})
    assert status == expected[0]
    assert expected[1].items() <= json.loads(said)["error"].items()


@pytest.mark.parametrize(
    ("path", "kind"), [("/v1/responses", "response.failed"), ("/v1/messages", "error")]
)
def test_an_error_may_come_in_the_midst_of_a_stream(
    rehearse: Rehearse, path: str, kind: str
) -> None:
    said = _post(rehearse(FAILURES["error-in-stream"]), path, {"stream": True, "messages": []})[1]
    assert _events(said)[-1]["type"] == kind


def test_tokens_are_counted_and_other_paths_are_unknown(rehearse: Rehearse) -> None:
    server = rehearse()
    assert json.loads(_post(server, "/v1/messages/count_tokens", {})[1]) == {"input_tokens": 10}
    assert _post(server, "/v1/embeddings", {})[0] == 404
    assert (len(server.requests), server.count()) == (2, 0)
