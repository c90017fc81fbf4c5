"""A model's answer in one form, whoever gave it: the message to send back, and its calls of tools.

The message is kept whole, with the reasoning under whatever name, and sent back unchanged. The
arguments of a call may be broken, encoded twice, or nothing: what can be read is read, the rest is
a problem that the model is told of.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.core.text import encodable
from wfledger.core.usage import Usage
from wfledger.run.config.profiles import Profile

#: Stands for reasoning that a server demands and its model did not give: empty counts as missing.
_NO_REASONING: Final = " "


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool, read."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    #: Why the arguments cannot be used, for the model; None where they can.
    problem: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a model has answered."""

    #: As it goes back with the next request.
    message: Mapping[str, Any]
    calls: tuple[ToolCall, ...] = ()
    #: `stop`, `tool_calls`, `length`, `content_filter`, or whatever else a server says.
    finish: str | None = None
    #: None where the server does not say.
    usage: Usage | None = None
    #: The model as the server names it.
    model: str | None = None
    #: Why the model will not do it, in its own words.
    refusal: str = ""

    @property
    def text(self) -> str:
        """What it says, without its reasoning where that is apart."""
        content = self.message.get("content")
        if isinstance(content, list):
            parts = (part.get("text") for part in content if isinstance(part, Mapping))
            return "".join(part for part in parts if isinstance(part, str))
        return content if isinstance(content, str) else ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it to go on with."""
        return not self.calls and not self.text.strip()


def read_answer(body: Mapping[str, Any], profile: Profile, usage: Usage | None) -> Answer | None:
    """Return the answer in *body*; None where it has no choices to read one from."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return None
    message = _sendable(message)
    raw_calls = message.get("tool_calls")
    raw_calls = raw_calls if isinstance(raw_calls, list) else ()
    raw = [_call(call, at) for at, call in enumerate(raw_calls) if isinstance(call, Mapping)]
    finish, name = choice.get("finish_reason"), body.get("model")
    return Answer(
        message=_to_send(message, raw, profile),
        calls=tuple(_read_call(call, cut=finish == "length") for call in raw),
        finish=finish if isinstance(finish, str) else None, usage=usage,
        model=encodable(name) if isinstance(name, str) else None,
        refusal=str(message.get("refusal") or ""),
    )  # fmt: skip


def _sendable(value: Any) -> Any:
    """Return what a server said in a form that can be sent back: some cut a character in two."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {encodable(name): _sendable(one) for name, one in value.items()}
    return [_sendable(one) for one in value] if isinstance(value, list) else value


def _call(call: Mapping[str, Any], at: int) -> dict[str, Any]:
    """Return a call as it is sent back: some local servers leave out its id or its type."""
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = json.dumps(arguments)
    return {
        **{name: value for name, value in call.items() if name != "index"},
        "id": str(call.get("id") or f"call_{at}"), "type": call.get("type") or "function",
        "function": {
            **function, "name": str(function.get("name") or ""), "arguments": arguments or "",
        },
    }  # fmt: skip


def _to_send(
    message: Mapping[str, Any], calls: list[dict[str, Any]], profile: Profile
) -> dict[str, Any]:
    kept = {
        name: value for name, value in message.items()
        if value is not None and profile.keeps(name)
    }  # fmt: skip
    kept |= {"role": "assistant", "content": message.get("content")}
    if calls:
        kept["tool_calls"] = calls
        required = profile.reasoning_required
        if required is not None and not kept.get(required):
            kept[required] = _NO_REASONING
    return kept


def _read_call(call: Mapping[str, Any], *, cut: bool) -> ToolCall:
    call_id, function = str(call["id"]), call["function"]
    name = function["name"]
    found = read_arguments(function["arguments"])
    if isinstance(found, Mapping):
        return ToolCall(call_id, name, found)
    if cut:
        found = "your answer was cut off at its greatest length; do it in smaller pieces"
    return ToolCall(call_id, name, problem=found)


def read_arguments(text: str) -> Mapping[str, Any] | str:
    """Return the arguments in *text*, or what is wrong with them, for the model."""
    if not text.strip():
        return {}
    value: Any = text
    # Twice: once as JSON, once as JSON in JSON.
    for _ in range(2):
        if not isinstance(value, str):
            break
        try:
            # Not strict: a line break as it stands inside of a string is what models get wrong.
            value = json.loads(value, strict=False)
        except (ValueError, RecursionError) as error:
            return f"the arguments are not JSON ({error}); send them again as one JSON object"
    if value is None:
        return {}
    if not isinstance(value, dict):
        return "the arguments must be one JSON object; send them again"
    if _sendable(value) != value:
        return "the arguments hold half a character (a lone surrogate); send them again without it"
    return value
