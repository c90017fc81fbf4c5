"""A request to the scripted server as its script sees it, whatever dialect it came in."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Offer:
    """A tool that the model may call."""

    name: str
    #: JSON Schema of its arguments.
    schema: Mapping[str, Any] = field(default_factory=dict)
    form: Literal["function", "custom", "local_shell"] = "function"
    namespace: str | None = None


@dataclass(frozen=True)
class Asked:
    """What a request asks."""

    model: str
    stream: bool
    #: Texts of the user, in order; system and developer messages apart.
    prompts: tuple[str, ...]
    system: str
    #: Results of tools in the conversation.
    results: int
    offers: tuple[Offer, ...]
    #: Whether a chat stream ends with a chunk of usage.
    wants_usage: bool = False

    @property
    def first_prompt(self) -> str:
        """What the conversation began with, which tells it from others."""
        return self.prompts[0] if self.prompts else ""


def texts(content: Any) -> Iterator[str]:
    """Return the texts of a message's content: a string, or parts of which some hold text."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                yield part["text"]


def by_role(messages: Iterable[Any], roles: set[str]) -> list[str]:
    """Return the texts of the messages of *roles*, one for each message that holds any."""
    found = (
        "\n".join(texts(one.get("content")))
        for one in messages
        if isinstance(one, Mapping) and one.get("role") in roles
    )
    return [text for text in found if text]
