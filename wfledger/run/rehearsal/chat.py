"""Chat completions, as OpenAI and those who are compatible with it speak them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from wfledger.run.rehearsal.asking import Asked, Offer, by_role
from wfledger.run.rehearsal.script import Answer, Call, Failure

#: Closes a stream.
DONE: Final = b"data: [DONE]\n\n"


def read(body: Mapping[str, Any]) -> Asked:
    """Return what a request asks."""
    messages = [one for one in body.get("messages") or [] if isinstance(one, Mapping)]
    options = body.get("stream_options") or {}
    return Asked(
        model=str(body.get("model", "")), stream=bool(body.get("stream")),
        prompts=tuple(by_role(messages, {"user"})),
        system="\n".join(by_role(messages, {"system", "developer"})),
        results=sum(one.get("role") == "tool" for one in messages),
        offers=tuple(_offers(body.get("tools") or [])),
        wants_usage=bool(options.get("include_usage")),
    )  # fmt: skip


def whole(answer: Answer, asked: Asked, number: int) -> dict[str, Any]:
    """Return an answer in one piece; *number* tells its ids from those of others."""
    message: dict[str, Any] = {"role": "assistant", "content": _content(answer)}
    message |= _reasoning(answer, answer.reasoning)
    if answer.calls:
        message["tool_calls"] = [_call(call, number, at) for at, call in enumerate(answer.calls)]
    choice = {"index": 0, "message": message, "finish_reason": _finish(answer), "logprobs": None}
    body = _envelope("chat.completion", asked, number) | {"choices": [choice]}
    return body if answer.usage is None else body | {"usage": dict(answer.usage)}


def events(answer: Answer, asked: Asked, number: int) -> list[bytes]:
    """Return an answer as the events of a stream, without what closes it."""
    chunks = [_chunk(delta, asked, number) for delta in _deltas(answer, number)]
    last = _chunk({}, asked, number)
    last["choices"][0]["finish_reason"] = _finish(answer)
    chunks.append(last)
    if answer.usage is not None and answer.usage_at == "last":
        last["usage"] = dict(answer.usage)
    elif answer.usage is not None and asked.wants_usage:
        chunks.append(_chunk({}, asked, number) | {"choices": [], "usage": dict(answer.usage)})
    return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]


def error(failure: Failure) -> dict[str, Any]:
    """Return a failure's body."""
    if failure.inside == "base_resp":
        told = {"status_code": failure.status, "status_msg": failure.message}
        return {"id": "", "choices": None, "base_resp": told}
    told_error = {"message": failure.message, "type": failure.type, "param": None,
                  "code": failure.code}  # fmt: skip
    return {"error": told_error}


def error_event(failure: Failure) -> bytes:
    """Return a failure that comes in the midst of a stream."""
    return f"data: {json.dumps(error(failure))}\n\n".encode()


def _offers(tools: list[Any]) -> Iterator[Offer]:
    for tool in tools:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if isinstance(function, Mapping):
            yield Offer(str(function.get("name")), function.get("parameters") or {})


def _envelope(kind: str, asked: Asked, number: int) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": 0, "model": asked.model}


def _chunk(delta: dict[str, Any], asked: Asked, number: int) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return _envelope("chat.completion.chunk", asked, number) | {"choices": [choice]}


def _deltas(answer: Answer, number: int) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for piece in _pieces(answer.reasoning):
        if answer.reasoning_field != "think":
            yield _reasoning(answer, piece)
    for piece in _pieces(_content(answer) or ""):
        yield {"content": piece}
    for at, call in enumerate(answer.calls):
        opened = _call(call, number, at)
        arguments = opened["function"].pop("arguments")
        opened["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": at, **opened}]}
        for piece in _pieces(arguments):
            yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}


def _pieces(text: str) -> list[str]:
    """Return *text* in three parts or fewer, as streams come."""
    size = max(1, -(-len(text) // 3))
    return [text[at : at + size] for at in range(0, len(text), size)]


def _content(answer: Answer) -> str | None:
    if answer.reasoning and answer.reasoning_field == "think":
        return f"<think>{answer.reasoning}</think>{answer.text}"
    return answer.text or (None if answer.calls else "")


def _reasoning(answer: Answer, text: str) -> dict[str, Any]:
    if not text or answer.reasoning_field == "think":
        return {}
    if answer.reasoning_field == "reasoning_details":
        return {"reasoning_details": [{"type": "reasoning.text", "text": text}]}
    return {answer.reasoning_field: text}


def _call(call: Call, number: int, at: int) -> dict[str, Any]:
    function = {"name": call.name, "arguments": written(call)}
    return {"id": f"call_{number}_{at}", "type": "function", "function": function}


def written(call: Call) -> str:
    """Return a call's arguments as the text that is sent."""
    return call.arguments if isinstance(call.arguments, str) else json.dumps(dict(call.arguments))


def _finish(answer: Answer) -> str:
    return answer.finish or ("tool_calls" if answer.calls else "stop")
