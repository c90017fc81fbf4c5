"""Chat completions of the scripted server, as the real `openai` package reads them."""

import json
from typing import Any

import openai
import pytest

from tests.support.rehearsals import Rehearse
from wfledger.run.rehearsal.script import FAILURES, Answer, Call, Script, Turn
from wfledger.run.rehearsal.server import Rehearsal

ASK: Any = [{"role": "user", "content": "Do it."}]
TOOLS: Any = [{
    "type": "function",
    "function": {"name": "bash", "parameters": {
        "type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}},
}]  # fmt: skip
DEEPSEEK = {
    "prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57,
    "prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 10,
    "completion_tokens_details": {"reasoning_tokens": 3},
}  # fmt: skip


def _client(server: Rehearsal, key: str = "k") -> openai.OpenAI:
    return openai.OpenAI(base_url=server.chat_url, api_key=key, max_retries=0, timeout=20)


def _ask(server: Rehearsal, **extra: Any) -> Any:
    with _client(server) as client:
        return client.chat.completions.create(model="m", messages=ASK, **extra)


def _stream(server: Rehearsal, **extra: Any) -> list[Any]:
    with _client(server) as client:
        return list(client.chat.completions.create(model="m", messages=ASK, stream=True, **extra))


def test_an_answer_comes_whole_with_calls_reasoning_and_the_providers_own_usage(
    rehearse: Rehearse,
) -> None:
    call = Call("bash", {"command": "ls"})
    server = rehearse(Answer("Look.", (call,), "Hm.", usage=DEEPSEEK))
    said = _ask(server)
    message = said.choices[0].message
    assert (message.content, message.reasoning_content) == ("Look.", "Hm.")
    assert json.loads(message.tool_calls[0].function.arguments) == {"command": "ls"}
    assert said.choices[0].finish_reason == "tool_calls"
    assert said.usage.prompt_cache_hit_tokens == 40


def test_a_stream_says_the_same_in_pieces_and_usage_in_a_chunk_without_choices(
    rehearse: Rehearse,
) -> None:
    answer = Answer("Look here.", (Call("bash", {"command": "ls -l"}),), "Hm, well.",
                    usage=DEEPSEEK, keep_alive=2)  # fmt: skip
    chunks = _stream(rehearse(answer), stream_options={"include_usage": True})
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    arguments = "".join(
        call.function.arguments or "" for delta in deltas for call in delta.tool_calls or []
    )
    assert "".join(delta.content or "" for delta in deltas) == "Look here."
    assert json.loads(arguments) == {"command": "ls -l"}
    assert "".join(getattr(delta, "reasoning_content", "") or "" for delta in deltas) == "Hm, well."
    assert (chunks[-1].choices, chunks[-1].usage.prompt_cache_hit_tokens) == ([], 40)


@pytest.mark.long
def test_usage_comes_in_no_stream_that_did_not_ask_for_it(rehearse: Rehearse) -> None:
    server = rehearse(Answer("a"), Answer("b", usage_at="last"), Answer("c", usage=None))
    assert [chunk.usage for chunk in _stream(server)] == [None] * 3
    assert _stream(server)[-1].usage.total_tokens == 120
    assert _ask(server).usage is None


@pytest.mark.sampled(3)
@pytest.mark.parametrize("arguments", ['{"command": ', '"{\\"command\\": \\"ls\\"}"', ""])
def test_broken_arguments_are_sent_as_they_stand(rehearse: Rehearse, arguments: str) -> None:
    server = rehearse(Answer(calls=(Call("bash", arguments),)))
    assert _ask(server).choices[0].message.tool_calls[0].function.arguments == arguments


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("reasoning", {"content": "b", "reasoning": "a"}),
        ("think", {"content": "<think>a</think>b"}),
        ("reasoning_details",
         {"content": "b", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]}),
    ],
)  # fmt: skip
def test_reasoning_comes_under_the_name_that_the_provider_uses(
    rehearse: Rehearse, field: str, found: dict[str, Any]
) -> None:
    server = rehearse(Answer("b", reasoning="a", reasoning_field=field))
    said = _ask(server).choices[0].message.model_dump(exclude_none=True)
    assert said == {"role": "assistant", **found}


@pytest.mark.sampled(8)
@pytest.mark.parametrize(
    ("name", "status"),
    [(name, int(name[:3])) for name in FAILURES if name[:3].isdigit()],
)
@pytest.mark.parametrize("stream", [False, True])
def test_failures_arrive_with_their_status_and_words(
    rehearse: Rehearse, name: str, status: int, stream: bool
) -> None:
    failure: Any = FAILURES[name]
    server = rehearse(failure)
    with pytest.raises(openai.APIStatusError) as raised:
        _stream(server) if stream else _ask(server)
    assert (raised.value.status_code, raised.value.code) == (status, failure.code)
    assert failure.message in raised.value.message
    wait = raised.value.response.headers.get("retry-after")
    assert wait == ("1" if name == "429-retry-after" else None)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_cut_off_is_no_answer(rehearse: Rehearse, stream: bool) -> None:
    server = rehearse(FAILURES["cut"])
    with pytest.raises(Exception, match=r"(?i)connection|closed|peer"):
        _stream(server) if stream else _ask(server)


@pytest.mark.long
def test_a_stream_that_ends_early_never_says_why_it_ended(rehearse: Rehearse) -> None:
    chunks = _stream(rehearse(FAILURES["ended-early"]))
    assert chunks
    assert {chunk.choices[0].finish_reason for chunk in chunks} == {None}


def test_an_error_may_come_in_the_midst_of_a_stream(rehearse: Rehearse) -> None:
    with pytest.raises(openai.APIError, match="server had an error"):
        _stream(rehearse(FAILURES["error-in-stream"]))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ["hang", "hang-in-stream"])
def test_who_hangs_goes_when_the_server_is_released(name: str) -> None:
    with Rehearsal(Script((FAILURES[name],))) as server:
        server.released.set()
        with pytest.raises(Exception, match=r"(?i)connection|disconnected|closed|peer"):
            _stream(server)
        assert server.count() == 1


@pytest.mark.long
def test_errors_come_inside_of_an_answer_of_status_200(rehearse: Rehearse) -> None:
    server = rehearse(FAILURES["minimax-balance"], FAILURES["error-in-200"])
    assert _ask(server).base_resp["status_code"] == 1008
    assert _ask(server).error["code"] == "rate_limit_exceeded"


@pytest.mark.long
def test_answers_come_without_choices_and_with_a_filter_and_as_garbage(rehearse: Rehearse) -> None:
    server = rehearse(*(FAILURES[name] for name in ("no-choices", "content-filter", "garbage")))
    assert _ask(server).choices == []
    assert _ask(server).choices[0].finish_reason == "content_filter"
    assert "Bad Gateway" in str(_ask(server))


@pytest.mark.long
def test_each_model_and_each_conversation_may_have_an_order_of_its_own(rehearse: Rehearse) -> None:
    own = Script((Answer("one"), Answer("two")), after=Answer("over"), lane="conversation")
    server = rehearse(script=Script(models={"m": own}, after=Answer("another")))
    with _client(server) as client:
        said = [
            client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": prompt}]
            ).choices[0].message.content
            for model, prompt in (("m", "a"), ("m", "b"), ("m", "a"), ("m", "a"), ("x", "a"))
        ]  # fmt: skip
        listed = [model.id for model in client.models.list()]
    assert said == ["one", "one", "two", "over", "another"]
    assert listed == ["m", "scripted"]
    assert (server.count(), server.count("m")) == (5, 4)


@pytest.mark.requirement("WFL-ADAPT-105")
def test_one_key_is_right_where_the_script_names_it(rehearse: Rehearse) -> None:
    server = rehearse(script=Script((Answer("yes"),), key="right"))
    with _client(server, "wrong") as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="m", messages=ASK)
    with _client(server, "right") as client:
        assert client.chat.completions.create(model="m", messages=ASK).choices[0].message.content
    assert [one.key for one in server.asked] == ["wrong", "right"]
    assert "right" not in repr(server.requests)
    assert server.url.startswith("http://127.0.0.1:")


@pytest.mark.long
def test_a_turn_may_be_made_from_what_was_asked(rehearse: Rehearse) -> None:
    def count(body: Any) -> Turn:
        return Answer(f"{len(body['messages'])} messages")

    assert _ask(rehearse(script=Script((count,)))).choices[0].message.content == "1 messages"


def test_the_prompts_command_is_called_once_and_then_it_is_done(rehearse: Rehearse) -> None:
    server = rehearse()
    messages = [{"role": "user", "content": "Please:\nSCRIPTED_CMD<<echo a >> f>>\nThank you."}]
    with _client(server) as client:
        ask = client.chat.completions.create
        first: Any = ask(model="m", messages=messages, tools=TOOLS).choices[0].message  # type: ignore[call-overload]
        call = first.tool_calls[0]
        result = {"role": "tool", "tool_call_id": call.id, "content": ""}
        more = [*messages, first.model_dump(exclude_none=True), result]
        second: Any = ask(model="m", messages=more, tools=TOOLS).choices[0].message  # type: ignore[call-overload]
    assert json.loads(call.function.arguments) == {"command": "echo a >> f"}
    assert (second.content, second.tool_calls) == ("Done.", None)


def test_what_a_provider_refuses_is_refused(rehearse: Rehearse) -> None:
    server = rehearse(script=Script((Answer("fine"),), rules=("moonshot",)))
    with pytest.raises(openai.BadRequestError, match="temperature"):
        _ask(server, temperature=0.5)
    assert _ask(server).choices[0].message.content == "fine"
