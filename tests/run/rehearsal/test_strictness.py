"""What providers refuse, as rules on the body of a chat request."""

from typing import Any

import pytest

from wfledger.run.rehearsal.strictness import refusal

CALL: Any = {"id": "c", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
TOOL: Any = {"type": "function", "function": {"name": "ls", "parameters": {}}}
RESULT: Any = {"role": "tool", "tool_call_id": "c", "content": ""}


def _body(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "go"}, *messages], **more}


def _called(**more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": [CALL], **more}


STRICT: Any = {"type": "function", "function": {"name": "ls", "strict": True}}


@pytest.mark.parametrize(
    ("rule", "body", "word"),
    [
        ((), _body(_called()), "not responded"),
        ((), _body(RESULT), "preceding"),
        ((), _body(_called(), {"role": "user", "content": "x"}, RESULT), "followed"),
        ((), {"messages": []}, "at least one"),
        (("openai",), _body(max_tokens=5), "max_completion_tokens"),
        (("openai",), _body(thinking={}), "thinking"),
        (("openai",), _body(stream_options={}), "stream_options"),
        (("deepseek",), _body(_called(), RESULT), "reasoning_content"),
        (("deepseek",), _body(tools=[{"type": "namespace"}]), "namespace"),
        (("deepseek",), _body(logprobs=True), "logprobs"),
        (("moonshot",), _body(temperature=0.3), "temperature"),
        (("moonshot",), _body(tool_choice="required"), "required"),
        (("moonshot",), _body(functions=[]), "functions"),
        (("moonshot",), _body(tools=[STRICT]), "strict"),
        (("moonshot",), _body(_called(), RESULT), "reasoning_content"),
        (("zhipu",), _body(max_completion_tokens=5), "max_completion_tokens"),
        (("zhipu",), _body(tools=[STRICT]), "strict"),
        (("zhipu",), _body(tool_choice="none"), "auto"),
        (("zhipu",), {"messages": [{"role": "system", "content": "x"}]}, "user message"),
        (("minimax",), _body(max_tokens=5), "max_tokens"),
        (("minimax",), _body(_called(content="hm"), RESULT), "thinking"),
        (("local",), _body(thinking={}), "thinking"),
    ],
)
def test_what_is_refused(rule: tuple[str, ...], body: dict[str, Any], word: str) -> None:
    wrong = refusal(body, rule)
    assert wrong is not None
    assert word in wrong


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        ("openai", _body(max_completion_tokens=5, stream=True, stream_options={}, tools=[STRICT])),
        ("deepseek", _body(_called(reasoning_content="hm"), RESULT, tools=[TOOL], max_tokens=5)),
        ("moonshot", _body(_called(reasoning_content="hm"), RESULT, temperature=1, tools=[TOOL])),
        ("zhipu", _body(_called(), RESULT, max_tokens=5, tool_choice="auto", tools=[TOOL])),
        ("minimax", _body(_called(content="<think>hm</think>"), RESULT, tools=[TOOL])),
        ("minimax", _body(_called(reasoning_details=[{"text": "hm"}]), RESULT)),
        ("local", _body(max_tokens=5, stream=True, stream_options={"include_usage": True})),
    ],
)
def test_what_a_provider_takes_is_let_pass(rule: str, body: dict[str, Any]) -> None:
    assert refusal(body, (rule,)) is None
