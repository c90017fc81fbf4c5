"""A streamed answer, put together again: pure, one chunk after the other.

Each chunk is the object that the server sent. The last one may have no choices but the usage; some
servers send the usage with every chunk, so the last that is there counts.
"""

from collections.abc import Mapping
from typing import Any

from wfledger.run.config.profiles import Profile


class Joining:
    """Collects the chunks of one answer."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._calls: dict[int, dict[str, Any]] = {}
        self._model: str | None = None
        self._seen = False
        self.finish: str | None = None
        self.usage: Any = None

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take in one chunk."""
        self.usage = chunk.get("usage") or self.usage
        self._model = chunk.get("model") or self._model
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, Mapping):
            return
        self._seen = True
        self.finish = choice.get("finish_reason") or self.finish
        # Moonshot reports its usage inside of the last choice.
        self.usage = choice.get("usage") or self.usage
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, Mapping):
            self._take(delta)

    def body(self) -> dict[str, Any]:
        """Return what the server would have sent in one piece."""
        message = dict(self._message)
        if self._calls:
            message["tool_calls"] = [self._calls[at] for at in sorted(self._calls)]
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return {
            "model": self._model, "choices": [choice] if self._seen else [], "usage": self.usage
        }

    def _take(self, delta: Mapping[str, Any]) -> None:
        for name, value in delta.items():
            if name == "tool_calls":
                for call in value or ():
                    self._take_call(call)
            elif name == "role" or value is None:
                continue
            elif isinstance(value, str):
                repeats = name in self._profile.reasoning and self._profile.reasoning_repeats
                self._message[name] = _joined(self._message.get(name) or "", value, repeats=repeats)
            elif isinstance(value, list):
                self._take_parts(name, value)
            else:
                self._message[name] = value

    def _take_parts(self, name: str, parts: list[Any]) -> None:
        """Join parts of a list, such as reasoning in details; what is not alike stays apart."""
        mine = self._message.setdefault(name, [])
        if not isinstance(mine, list):
            mine = self._message[name] = []
        for part in parts:
            last = next((one for one in mine if _are_alike(one, part)), None)
            if last is None:
                mine.append(dict(part) if isinstance(part, Mapping) else part)
                continue
            text, repeats = str(part.get("text") or ""), self._profile.reasoning_repeats
            last.update({**part, "text": _joined(last.get("text") or "", text, repeats=repeats)})

    def _take_call(self, call: Any) -> None:
        if not isinstance(call, Mapping):
            return
        given = call.get("index")
        # Some servers leave the index out: a new id begins a new call, none goes on with the last.
        at = given if isinstance(given, int) else self._place_of(call.get("id"))
        mine = self._calls.setdefault(
            at, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        mine["id"] = call.get("id") or mine["id"]
        function = call.get("function") or {}
        mine["function"]["name"] += function.get("name") or ""
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            mine["function"]["arguments"] += arguments
        elif arguments is not None:
            mine["function"]["arguments"] = arguments

    def _place_of(self, call_id: Any) -> int:
        known = {one["id"]: at for at, one in self._calls.items()}
        last = max(self._calls, default=-1)
        return known.get(call_id, last + 1) if call_id else max(last, 0)


def _joined(before: str, piece: str, *, repeats: bool) -> str:
    if repeats and len(piece) > len(before) and piece.startswith(before):
        return piece
    return before + piece


def _are_alike(one: Any, other: Any) -> bool:
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return False
    same = all(one.get(key) == other.get(key) for key in ("type", "id", "index"))
    return same and "text" in one and "text" in other
