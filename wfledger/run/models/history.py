"""What may be changed of a conversation that a server has refused: pure, on its messages.

Messages go back as they came. Two things make a server refuse all of them: arguments of earlier
calls that it cannot read, and more text than its model takes at once.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

Message = Mapping[str, Any]

#: Outputs of tools that are left as they are: the last ones.
_KEPT: Final = 4
#: Shorter ones are not worth leaving out.
_SHORT: Final = 200
_LEFT_OUT: Final = "(left out to save space; call the tool again if you need it)"
_TOO_LONG: Final = re.compile(
    r"context.{0,20}(?:length|window|limit|size)|maximum context|too (?:long|many tokens)"
    r"|token limit|exceeds? .{0,40}tokens", re.IGNORECASE
)  # fmt: skip


def is_too_long(message: str) -> bool:
    """Whether a server's words mean that the conversation is too long for its model."""
    return _TOO_LONG.search(message) is not None


def without_arguments(messages: Sequence[Message], calls: Collection[str]) -> list[Message]:
    """Return *messages* with empty arguments in *calls*, which are named by their ids."""
    return [_emptied(message, calls) for message in messages]


def shortened(messages: Sequence[Message]) -> list[Message] | None:
    """Return *messages* without the older outputs of tools; None where there are none to spare."""
    outputs = [at for at, message in enumerate(messages) if message.get("role") == "tool"]
    spare = {at for at in outputs[:-_KEPT] if len(str(messages[at].get("content"))) > _SHORT}
    if not spare:
        return None
    return [
        {**message, "content": _LEFT_OUT} if at in spare else message
        for at, message in enumerate(messages)
    ]


def _emptied(message: Message, calls: Collection[str]) -> Message:
    made = message.get("tool_calls") or ()
    if not any(call["id"] in calls for call in made):
        return message
    return {**message, "tool_calls": [
        {**call, "function": {**call["function"], "arguments": "{}"}}
        if call["id"] in calls else call for call in made
    ]}  # fmt: skip
