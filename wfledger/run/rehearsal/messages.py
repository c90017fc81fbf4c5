"""Anthropic's messages, as Claude Code speaks them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from wfledger.run.rehearsal.asking import Asked, Offer, by_role, texts
from wfledger.run.rehearsal.chat import written
from wfledger.run.rehearsal.script import Answer, Failure

_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
    403: "permission_error", 404: "not_found_error", 429: "rate_limit_error", 500: "api_error",
    529: "overloaded_error",
}  # fmt: skip


def read(body: Mapping[str, Any]) -> Asked:
    """Return what a request asks."""
    messages = [one for one in body.get("messages") or [] if isinstance(one, Mapping)]
    parts = [
        part for one in messages if isinstance(one.get("content"), list) for part in one["content"]
    ]
    return Asked(
        model=str(body.get("model", "")), stream=bool(body.get("stream")),
        prompts=tuple(by_role(messages, {"user"})),
        system="\n".join(texts(body.get("system"))),
        results=sum(part.get("type") == "tool_result" for part in parts),
        offers=tuple(_offers(body.get("tools") or [])),
    )  # fmt: skip


def whole(answer: Answer, asked: Asked, number: int) -> dict[str, Any]:
    """Return an answer in one piece; *number* tells its ids from those of others."""
    return {
        "id": f"msg_{number}", "type": "message", "role": "assistant", "model": asked.model,
        "content": list(_blocks(answer, number)), "stop_reason": _stop(answer),
        "stop_sequence": None, "usage": _usage(answer.usage),
    }  # fmt: skip


def events(answer: Answer, asked: Asked, number: int) -> list[bytes]:
    """Return an answer as the events of a stream."""
    body = whole(answer, asked, number)
    begun = body | {"content": [], "stop_reason": None}
    begun["usage"] = body["usage"] | {"output_tokens": 1}
    told: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for at, block in enumerate(body["content"]):
        told.extend(_block_events(block, at))
    ended = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    told.append({"type": "message_delta", "delta": ended, "usage": body["usage"]})
    told.append({"type": "message_stop"})
    return [_event(one) for one in told]


def error(failure: Failure) -> dict[str, Any]:
    """Return a failure's body."""
    kind = _TYPES.get(failure.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": failure.message},
            "request_id": "req_scripted"}  # fmt: skip


def error_event(failure: Failure) -> bytes:
    """Return a failure that comes in the midst of a stream."""
    return _event(error(failure))


def _event(told: dict[str, Any]) -> bytes:
    return f"event: {told['type']}\ndata: {json.dumps(told)}\n\n".encode()


def _offers(tools: list[Any]) -> Iterator[Offer]:
    for tool in tools:
        yield Offer(str(tool.get("name")), tool.get("input_schema") or {})


def _blocks(answer: Answer, number: int) -> Iterator[dict[str, Any]]:
    if answer.reasoning:
        yield {"type": "thinking", "thinking": answer.reasoning, "signature": "scripted"}
    if answer.text or not answer.calls:
        yield {"type": "text", "text": answer.text}
    for at, call in enumerate(answer.calls):
        yield {"type": "tool_use", "id": f"toolu_{number}_{at}", "name": call.name,
               "input": _input(written(call))}  # fmt: skip


def _input(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _block_events(block: dict[str, Any], at: int) -> Iterator[dict[str, Any]]:
    place = {"index": at}
    if block["type"] == "tool_use":
        opened, kind = block | {"input": {}}, "input_json_delta"
        said = {"partial_json": json.dumps(block["input"])}
    elif block["type"] == "thinking":
        opened, kind = block | {"thinking": ""}, "thinking_delta"
        said = {"thinking": block["thinking"]}
    else:
        opened, kind = block | {"text": ""}, "text_delta"
        said = {"text": block["text"]}
    yield {"type": "content_block_start", **place, "content_block": opened}
    yield {"type": "content_block_delta", **place, "delta": {"type": kind, **said}}
    yield {"type": "content_block_stop", **place}


def _stop(answer: Answer) -> str:
    if answer.finish == "content_filter":
        return "refusal"
    return answer.finish or ("tool_use" if answer.calls else "end_turn")


def _usage(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return *usage* in this dialect's names, unless it has them already; it is never absent."""
    given = usage or {}
    if "input_tokens" in given:
        return dict(given)
    cached = (given.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return {
        "input_tokens": given.get("prompt_tokens", 0) - cached,
        "cache_read_input_tokens": cached, "cache_creation_input_tokens": 0,
        "output_tokens": given.get("completion_tokens", 0),
    }  # fmt: skip
