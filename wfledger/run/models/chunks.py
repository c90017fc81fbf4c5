"""A streamed answer, put together again: pure, one chunk after the other.

Each chunk is the object that the server sent. The last one may have no choices but the usage; some
servers send the usage with every chunk, so the last that is there counts.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from wfledger.run.config.profiles import Profile

_OF_CALLS: Final = frozenset({"index", "id", "type", "function"})
#: Characters of a first piece that no other one begins with by accident.
_TELLING: Final = 16


class Joining:
    """Collects the chunks of one answer."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._texts: dict[str, _Text] = {}
        self._parts: dict[str, list[_Part]] = {}
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
        message = {**self._message, **{name: text.whole() for name, text in self._texts.items()}}
        for name, parts in self._parts.items():
            message[name] = [part.whole() for part in parts]
        if self._calls:
            message["tool_calls"] = [self._calls[at] for at in sorted(self._calls)]
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return {
            "model": self._model, "choices": [choice] if self._seen else [], "usage": self.usage
        }

    def _take(self, delta: Mapping[str, Any]) -> None:
        for name, value in delta.items():
            if name == "tool_calls":
                for call in value if isinstance(value, list) else ():
                    self._take_call(call)
            elif value is None or not (name == "refusal" or self._profile.keeps(name)):
                continue
            elif isinstance(value, str):
                self._texts.setdefault(name, self._text(name)).add(value)
            elif isinstance(value, list):
                self._take_parts(name, value)

    def _text(self, name: str) -> "_Text":
        return _Text(may_repeat=name != "content" and self._profile.reasoning_repeats)

    def _take_parts(self, name: str, parts: list[Any]) -> None:
        """Join parts of a list, such as reasoning in details; what is not alike stays apart."""
        mine = self._parts.setdefault(name, [])
        for part in parts:
            if not isinstance(part, Mapping):
                continue
            last = next((one for one in mine if one.is_like(part)), None)
            if last is None:
                last = _Part(self._text(name))
                mine.append(last)
            last.add(part)

    def _take_call(self, call: Any) -> None:
        if not isinstance(call, Mapping):
            return
        given, call_id = call.get("index"), str(call.get("id") or "")
        # Some servers leave the index out: a new id begins a new call, none goes on with the last.
        at = given if isinstance(given, int) else self._place_of(call_id)
        mine = self._calls.setdefault(
            at, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        mine["id"] = call_id or mine["id"]
        # Some sign their calls, and want the signature back.
        mine.update({name: value for name, value in call.items() if name not in _OF_CALLS})
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        mine["function"]["name"] += str(function.get("name") or "")
        arguments = function.get("arguments")
        before = mine["function"]["arguments"]
        if isinstance(arguments, str) and isinstance(before, str):
            mine["function"]["arguments"] += arguments
        elif arguments is not None:
            mine["function"]["arguments"] = arguments

    def _place_of(self, call_id: str) -> int:
        known = {one["id"]: at for at, one in self._calls.items()}
        last = max(self._calls, default=-1)
        return known.get(call_id, last + 1) if call_id else max(last, 0)


class _Text:
    """A text that comes in pieces, each of which may begin with all that came before."""

    def __init__(self, *, may_repeat: bool) -> None:
        self._may_repeat = may_repeat
        self._pieces: list[str] = []

    def add(self, piece: str) -> None:
        """Take the next piece."""
        if piece:
            self._pieces.append(piece)

    def whole(self) -> str:
        """Return the text."""
        if self._may_repeat and self._repeats():
            return self._pieces[-1]
        return "".join(self._pieces)

    def _repeats(self) -> bool:
        """Whether each piece holds the one before; two short ones may do so by accident."""
        pieces = self._pieces
        is_telling = len(pieces) > 2 or bool(pieces and len(pieces[0]) >= _TELLING)
        return is_telling and all(b.startswith(a) for a, b in pairwise(pieces))


class _Part:
    """One part of a list, with a text in it."""

    def __init__(self, text: _Text) -> None:
        self._facts: dict[str, Any] = {}
        self._text = text

    def is_like(self, part: Mapping[str, Any]) -> bool:
        """Whether *part* goes on with this one."""
        same = all(self._facts.get(key) == part.get(key) for key in ("type", "id", "index"))
        return same and "text" in self._facts and "text" in part

    def add(self, part: Mapping[str, Any]) -> None:
        """Take what comes of it."""
        self._facts.update(part)
        self._text.add(str(part.get("text") or ""))

    def whole(self) -> dict[str, Any]:
        """Return the part."""
        if "text" not in self._facts:
            return self._facts
        return {**self._facts, "text": self._text.whole()}
