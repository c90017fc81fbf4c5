"""The Responses API, as codex speaks it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from wfledger.run.rehearsal.asking import Asked, Offer, by_role
from wfledger.run.rehearsal.chat import error, written
from wfledger.run.rehearsal.script import Answer, Call, Failure


def read(body: Mapping[str, Any]) -> Asked:
    """Return what a request asks."""
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    system = [str(body.get("instructions") or ""), *by_role(items, {"system", "developer"})]
    return Asked(
        model=str(body.get("model", "")), stream=bool(body.get("stream")),
        prompts=tuple(by_role(items, {"user"})), system="\n".join(system),
        results=sum(str(one.get("type", "")).endswith("_output") for one in items),
        offers=tuple(_offers(body.get("tools") or [], None)),
    )  # fmt: skip


def whole(answer: Answer, asked: Asked, number: int) -> dict[str, Any]:
    """Return an answer in one piece; *number* tells its ids from those of others."""
    filtered = answer.finish == "content_filter"
    body = {
        "id": f"resp_{number}", "object": "response", "created_at": 0, "model": asked.model,
        "status": "incomplete" if filtered else "completed", "error": None,
        "incomplete_details": {"reason": "content_filter"} if filtered else None,
        "output": list(_items(answer, number)), "parallel_tool_calls": True,
    }  # fmt: skip
    return body if answer.usage is None else body | {"usage": _usage(answer.usage)}


def events(answer: Answer, asked: Asked, number: int) -> list[bytes]:
    """Return an answer as the events of a stream."""
    body = whole(answer, asked, number)
    begun = body | {"status": "in_progress", "output": [], "usage": None}
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for at, item in enumerate(body["output"]):
        told.extend(_item_events(item, at))
    told.append({"type": f"response.{body['status']}", "response": body})
    return [_event(one | {"sequence_number": at}) for at, one in enumerate(told)]


def error_event(failure: Failure) -> bytes:
    """Return a failure that comes in the midst of a stream."""
    told = {"id": "resp_failed", "object": "response", "status": "failed", **error(failure)}
    return _event({"type": "response.failed", "response": told})


def _event(told: dict[str, Any]) -> bytes:
    return f"event: {told['type']}\ndata: {json.dumps(told)}\n\n".encode()


def _offers(tools: list[Any], namespace: str | None) -> Iterator[Offer]:
    for tool in tools:
        kind = tool.get("type")
        if kind == "namespace":
            yield from _offers(tool.get("tools") or [], str(tool.get("name")))
        elif kind == "local_shell":
            yield Offer("local_shell", form="local_shell")
        elif kind in {"function", "custom"}:
            schema = tool.get("parameters") or {}
            yield Offer(str(tool.get("name")), schema, kind, namespace)


def _items(answer: Answer, number: int) -> Iterator[dict[str, Any]]:
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        yield {"id": f"rs_{number}", "type": "reasoning", "summary": summary}
    if answer.text:
        content = [{"type": "output_text", "text": answer.text, "annotations": []}]
        yield {"id": f"msg_{number}", "type": "message", "role": "assistant",
               "status": "completed", "content": content}  # fmt: skip
    for at, call in enumerate(answer.calls):
        yield _call(call, f"{number}_{at}")


def _call(call: Call, name: str) -> dict[str, Any]:
    common = {"id": f"fc_{name}", "call_id": f"call_{name}", "status": "completed"}
    if call.form == "local_shell":
        action = {"type": "exec", "env": {}} | dict(json.loads(written(call)))
        return common | {"type": "local_shell_call", "action": action}
    named = common | {"name": call.name}
    if call.namespace is not None:
        named["namespace"] = call.namespace
    if call.form == "custom":
        return named | {"type": "custom_tool_call", "input": written(call)}
    return named | {"type": "function_call", "arguments": written(call)}


#: What is empty when an item is announced.
_GROWING: Final[Mapping[str, Mapping[str, Any]]] = {
    "message": {"content": [], "status": "in_progress"},
    "function_call": {"arguments": "", "status": "in_progress"},
}


def _item_events(item: dict[str, Any], at: int) -> Iterator[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": at}
    opened = {**item, **_GROWING.get(item["type"], {})}
    yield {"type": "response.output_item.added", "output_index": at, "item": opened}
    if item["type"] == "message":
        yield from _text_events(item["content"][0], {**place, "content_index": 0})
    elif item["type"] == "function_call":
        for kind, key in (("delta", "delta"), ("done", "arguments")):
            yield {"type": f"response.function_call_arguments.{kind}", **place,
                   key: item["arguments"]}  # fmt: skip
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def _text_events(part: dict[str, Any], place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    yield {"type": "response.output_text.delta", **place, "delta": part["text"]}
    yield {"type": "response.output_text.done", **place, "text": part["text"]}
    yield {"type": "response.content_part.done", **place, "part": part}


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return *usage* in this dialect's names, unless it has them already."""
    if "input_tokens" in usage:
        return dict(usage)
    read_, wrote = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
    return {
        "input_tokens": read_, "output_tokens": wrote, "total_tokens": read_ + wrote,
        "input_tokens_details": usage.get("prompt_tokens_details") or {"cached_tokens": 0},
        "output_tokens_details": (
            usage.get("completion_tokens_details") or {"reasoning_tokens": 0}
        ),
    }  # fmt: skip
