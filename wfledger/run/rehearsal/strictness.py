"""What providers refuse: rules that a scripted server holds a request against.

Each returns what is wrong, or None. They state documented behaviour, so that a profile which passes
them is one that the provider would have answered.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Body = Mapping[str, Any]
Rule = Callable[[Body], str | None]


def well_formed(body: Body) -> str | None:
    """Refuse a chat conversation in which calls and results of tools do not belong together."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "'messages' must be a list with at least one message."
    open_calls: list[str] = []
    for message in messages:
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in open_calls:
                return "A message with role 'tool' must respond to a preceding 'tool_calls'."
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            return f"'tool_calls' must be followed by tool messages; missing: {open_calls}."
        calls = message.get("tool_calls") or []
        if not all(isinstance(call["function"]["arguments"], str) for call in calls):
            return "'function.arguments' must be a string."
        open_calls += [call["id"] for call in calls]
    return f"'tool_calls' were not responded to: {open_calls}." if open_calls else None


def _openai(body: Body) -> str | None:
    """Hold what OpenAI's reasoning models refuse."""
    known = {
        "messages", "model", "stream", "stream_options", "tools", "tool_choice", "store",
        "max_completion_tokens", "reasoning_effort", "response_format", "parallel_tool_calls",
        "prompt_cache_key", "metadata", "user", "seed", "safety_identifier", "verbosity",
    }  # fmt: skip
    if "max_tokens" in body:
        return "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    unknown = sorted(set(body) - known)
    if unknown:
        return f"Unknown parameter: '{unknown[0]}'."
    return _stream_options(body)


def _deepseek(body: Body) -> str | None:
    """Hold what DeepSeek refuses: its reasoning must come back with calls; functions alone."""
    if body.get("logprobs") or body.get("top_logprobs"):
        return "deepseek reasoning models do not support logprobs"
    return _functions_alone(body) or _reasoning_returned(body, "reasoning_content")


def _moonshot(body: Body) -> str | None:
    """Hold what Moonshot's reasoning models refuse."""
    if body.get("temperature", 1) != 1:
        return "invalid temperature: only 1 is allowed for this model"
    if body.get("tool_choice") == "required":
        return "tool_choice 'required' is not supported"
    if "functions" in body:
        return "functions is not supported"
    return _no_strict(body) or _reasoning_returned(body, "reasoning_content")


def _zhipu(body: Body) -> str | None:
    """Hold what GLM refuses."""
    if body.get("tool_choice", "auto") != "auto":
        return "tool_choice only supports auto"
    refused = {"max_completion_tokens", "presence_penalty", "frequency_penalty", "seed"}
    found = sorted(refused & set(body))
    if found:
        return f"API parameter error: {found[0]}"
    if not any(message.get("role") == "user" for message in body["messages"]):
        return "messages must contain a user message"
    if any("name" in message for message in body["messages"]):
        return "messages: name is not supported"
    return _no_strict(body)


def _minimax(body: Body) -> str | None:
    """Hold what MiniMax does not document, and that its reasoning comes back as it was."""
    refused = {"response_format", "tool_choice", "parallel_tool_calls", "seed", "max_tokens"}
    found = sorted(refused & set(body))
    if found:
        return f"invalid params: {found[0]}"
    for message in _with_calls(body):
        if "<think>" not in (message.get("content") or "") and not message.get("reasoning_details"):
            return "invalid params: the thinking of an assistant message with tool_calls is missing"
    return _no_strict(body)


def _local(body: Body) -> str | None:
    """Hold what vLLM and SGLang refuse."""
    refused = sorted({"thinking", "prompt_cache_key", "reasoning_split"} & set(body))
    if refused:
        return f"Extra inputs are not permitted: {refused[0]}"
    return _stream_options(body) or _functions_alone(body)


def _with_calls(body: Body) -> Iterator[Mapping[str, Any]]:
    return (one for one in body["messages"] if one.get("tool_calls"))


def _reasoning_returned(body: Body, name: str) -> str | None:
    if all(message.get(name) for message in _with_calls(body)):
        return None
    return f"{name} is missing in assistant message with tool_calls"


def _no_strict(body: Body) -> str | None:
    functions = (tool.get("function") or {} for tool in body.get("tools") or [])
    return "tools: strict is not supported" if any("strict" in one for one in functions) else None


def _functions_alone(body: Body) -> str | None:
    kinds = {tool.get("type") for tool in body.get("tools") or []} - {"function"}
    return f"tools[0].type: unknown variant {min(map(str, kinds))!r}" if kinds else None


def _stream_options(body: Body) -> str | None:
    if "stream_options" in body and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    return None


RULES: Final[Mapping[str, Rule]] = {
    "openai": _openai, "deepseek": _deepseek, "moonshot": _moonshot, "zhipu": _zhipu,
    "minimax": _minimax, "local": _local,
}  # fmt: skip


def refusal(body: Body, rules: tuple[str, ...]) -> str | None:
    """Return why a chat request is refused by what holds everywhere and by *rules*."""
    return next((wrong for rule in (well_formed, *map(RULES.__getitem__, rules))
                 if (wrong := rule(body)) is not None), None)  # fmt: skip
