"""Answers in one form: streamed or not, whole or broken, with the reasoning of every provider."""

import json
from typing import Any

import pytest

from tests.support.models import profile
from wfledger.run.models.answers import read_answer, read_arguments
from wfledger.run.models.chunks import Joining


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


@pytest.mark.requirement("WFL-MODEL-023")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("  ", {}),
        ("null", {}),
        ('{"path": "a"}', {"path": "a"}),
        (json.dumps(json.dumps({"path": "a"})), {"path": "a"}),
        ('{"content": "one\ntwo"}', {"content": "one\ntwo"}),
    ],
)
def test_arguments_are_read_as_models_write_them(text: str, found: dict[str, str]) -> None:
    assert read_arguments(text) == found


@pytest.mark.requirement("WFL-MODEL-023")
@pytest.mark.parametrize("text", ['{"path": ', "[1]", "3", '"three"', "[" * 100_000, r'{"path": "\ud800"}'])
def test_arguments_that_are_none_are_a_problem_for_the_model(text: str) -> None:
    problem = read_arguments(text)
    assert isinstance(problem, str)
    assert "again" in problem


def test_a_call_that_was_cut_off_says_so() -> None:
    call = {"id": "1", "function": {"name": "write", "arguments": '{"content": "lon'}}
    body = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "length"}]}
    answer = read_answer(body, profile(), None)
    assert answer is not None
    assert "cut off" in (answer.calls[0].problem or "")


def test_what_local_servers_leave_out_of_calls_is_filled_in() -> None:
    call = {"function": {"name": "list", "arguments": {"path": "a"}}}
    body = {"choices": [{"message": {"content": None, "tool_calls": [call]}}]}
    answer = read_answer(body, profile("ollama"), None)
    assert answer is not None
    assert answer.calls[0].arguments == {"path": "a"}
    sent = answer.message["tool_calls"][0]
    assert (sent["id"], sent["type"]) == ("call_0", "function")
    assert isinstance(sent["function"]["arguments"], str)


def test_a_character_that_a_server_cut_in_two_is_one_again_and_can_be_sent_back() -> None:
    joining = Joining(profile())
    for piece in ("a \ud83d", "\ude00 b \ud83d", None):
        joining.add(_chunk({"content": piece}, "stop" if piece is None else None))
    answer = read_answer(joining.body(), profile(), None)
    assert answer is not None
    assert answer.text == "a \U0001f600 b \ufffd"


@pytest.mark.parametrize(
    "message",
    [{"tool_calls": 3}, {"tool_calls": [{"function": "list"}]}, {"tool_calls": [[], None]},
     {"content": {"text": 1}}, {"content": [3, {"text": 4}]}, {"refusal": 3}],
    ids=repr,
)  # fmt: skip
def test_an_answer_in_no_known_form_breaks_nothing(message: dict[str, Any]) -> None:
    body = {"choices": [{"message": message, "finish_reason": 3}], "model": 3}
    answer = read_answer(body, profile(), None)
    assert answer is not None
    assert (answer.text, answer.finish, answer.model) == ("", None, None)


@pytest.mark.parametrize("name", ["deepseek", "moonshot"])
def test_a_message_with_calls_has_the_reasoning_that_is_required(name: str) -> None:
    call = {"id": "1", "function": {"name": "list", "arguments": ""}}
    body = {"choices": [{"message": {"content": "", "tool_calls": [call]}}]}
    answer = read_answer(body, profile(name), None)
    assert answer is not None
    assert answer.message["reasoning_content"] != ""


@pytest.mark.requirement("WFL-MODEL-002")
def test_reasoning_in_details_is_joined_whether_parts_repeat_or_not() -> None:
    for parts in (["one ", "two"], ["one", "one ", "one two"], ["o", "o", "ne two"]):
        joining = Joining(profile("minimax"))
        for part in parts:
            detail = {"type": "reasoning.text", "id": "r1", "index": 0, "text": part}
            joining.add(_chunk({"reasoning_details": [detail]}))
        joining.add(_chunk({"content": "said"}, "stop"))
        message = joining.body()["choices"][0]["message"]
        found = [one["text"] for one in message["reasoning_details"]]
        assert found == ["oone two" if parts[0] == "o" else "one two"]


@pytest.mark.requirement("WFL-MODEL-002")
def test_what_a_server_adds_for_itself_is_not_sent_back() -> None:
    joining = Joining(profile("minimax"))
    call = {"index": 0, "id": "a", "function": {"name": "list"}, "extra_content": {"sign": "x"}}
    for piece in ("He", "llo"):
        joining.add(_chunk({"content": piece, "name": "MiniMax AI", "audio_content": ""}))
    joining.add(_chunk({"tool_calls": [call]}, "tool_calls"))
    answer = read_answer(joining.body(), profile("minimax"), None)
    assert answer is not None
    assert set(answer.message) == {"role", "content", "tool_calls"}
    assert answer.message["content"] == "Hello"
    assert answer.message["tool_calls"][0]["extra_content"] == {"sign": "x"}


def test_calls_whose_pieces_have_no_index_are_told_apart_by_their_ids() -> None:
    joining = Joining(profile("ollama"))
    for call in (
        {"id": "a", "function": {"name": "list", "arguments": "{"}},
        {"function": {"arguments": "}"}},
        {"id": "b", "function": {"name": "read", "arguments": '{"path": "x"}'}},
    ):
        joining.add(_chunk({"tool_calls": [call]}))
    joining.add(_chunk({}, "tool_calls"))
    answer = read_answer(joining.body(), profile("ollama"), None)
    assert answer is not None
    assert [(one.name, one.arguments) for one in answer.calls] == [
        ("list", {}), ("read", {"path": "x"}),
    ]  # fmt: skip


@pytest.mark.requirement("WFL-MODEL-003")
@pytest.mark.parametrize("at", ["chunk", "choice", "last"])
def test_usage_is_found_wherever_a_stream_has_it(at: str) -> None:
    joining = Joining(profile("moonshot"))
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    last = _chunk({"content": "x"}, "stop", **({"usage": usage} if at == "last" else {}))
    if at == "choice":
        last["choices"][0]["usage"] = usage
    joining.add(last)
    if at == "chunk":
        joining.add({"choices": [], "usage": usage})
    assert joining.usage == usage
    assert joining.finish == "stop"
