"""What the scripted model server says: answers and failures in order, as data.

Without turns of its own a script does what the prompt asks for (see `playing`), which drives a
real agent without a model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

#: How a stream ends before its end: the connection goes (`drop`), it is closed in good order but
#: nothing says that the answer is whole (`end`), an error comes as an event, or nothing more comes.
Break = Literal["drop", "end", "error", "hang"]
#: Who shares a place in the order of turns.
Lane = Literal["all", "key", "model", "conversation"]

#: Tokens of an answer that says nothing else.
PLAIN_USAGE: Final[Mapping[str, Any]] = {
    "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    name: str
    #: A text is sent as it stands: broken JSON, JSON in JSON, nothing at all.
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    #: Responses only: the namespace of the tool.
    namespace: str | None = None
    #: Responses only: a `custom` tool, which is given text, or the `local_shell`.
    form: Literal["function", "custom", "local_shell"] = "function"


@dataclass(frozen=True)
class Answer:
    """What a model says."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    #: Chat only: `reasoning_content`, `reasoning`, `reasoning_details`, or `think`: inside content.
    reasoning_field: str = "reasoning_content"
    #: As the provider reports it; None: not at all. Chat's names are translated for the others.
    usage: Mapping[str, Any] | None = field(default_factory=lambda: PLAIN_USAGE)
    #: Chat streams: usage in a chunk without choices, where asked for (`own`), or uninvited in the
    #: last one with (`last`).
    usage_at: Literal["own", "last"] = "own"
    #: Why it ended, in the dialect's own word; None: as follows from the rest.
    finish: str | None = None
    #: Lines that keep the connection alive before anything is said.
    keep_alive: int = 0
    breaks: Break | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """An error of the provider, in the shape of the dialect."""

    status: int
    message: str
    #: OpenAI's `error.type` and `error.code`; Anthropic's type follows from the status.
    type: str = "invalid_request_error"
    code: str | None = None
    #: Seconds, sent as `retry-after`.
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Comes with HTTP 200 instead: as `error`, or as MiniMax does it, with *status* as
    #: `base_resp.status_code`.
    inside: Literal["error", "base_resp"] | None = None


@dataclass(frozen=True)
class Raw:
    """Bytes as they stand: garbage, a proxy's page, an answer without choices."""

    body: str
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True)
class Hang:
    """Nothing, until the server is released or closed; then the connection goes."""


@dataclass(frozen=True)
class Played:
    """What the prompt asks for by its own commands; `Done.` where it asks for nothing."""


Turn = Answer | Failure | Raw | Hang | Played
#: A turn made from the request's body, where it depends on what was asked.
Made = Callable[[Mapping[str, Any]], Turn]

#: Failures by the names that scripts and tables use.
FAILURES: Final[Mapping[str, Turn]] = {
    "401": Failure(401, "Incorrect API key provided.", "authentication_error", "invalid_api_key"),
    "402": Failure(402, "Insufficient Balance", "unknown_error", "invalid_request_error"),
    "403": Failure(403, "You may not use this model.", "permission_error", "forbidden"),
    "403-quota": Failure(403, "You've reached your usage limit for this billing cycle.",
                         "access_terminated_error", "usage_limit"),
    "429": Failure(429, "Rate limit reached.", "rate_limit_error", "rate_limit_exceeded"),
    "429-retry-after": Failure(429, "Rate limit reached.", "rate_limit_error",
                               "rate_limit_exceeded", retry_after=1),
    "429-quota": Failure(429, "You exceeded your current quota, please check your plan.",
                         "insufficient_quota", "insufficient_quota"),
    "400": Failure(400, "Unknown parameter.", code="unknown_parameter"),
    "400-context": Failure(400, "This model's maximum context length is 8192 tokens.",
                           code="context_length_exceeded"),
    "404": Failure(404, "The model does not exist.", code="model_not_found"),
    "422": Failure(422, "Invalid parameter."),
    "500": Failure(500, "The server had an error.", "server_error", "server_error"),
    "503": Failure(503, "The server is overloaded.", "service_unavailable_error", "overloaded"),
    "529": Failure(529, "Overloaded", "overloaded_error", "overloaded"),
    "error-in-200": Failure(429, "Rate limit reached.", "rate_limit_error",
                            "rate_limit_exceeded", inside="error"),
    "minimax-auth": Failure(1004, "login fail", inside="base_resp"),
    "minimax-balance": Failure(1008, "insufficient balance", inside="base_resp"),
    "minimax-rate": Failure(1002, "rate limit", inside="base_resp"),
    "minimax-request": Failure(2013, "invalid params", inside="base_resp"),
    "cut": Answer("An answer that is never whole, however long one waits.", breaks="drop"),
    "ended-early": Answer("An answer that is never whole, however long one waits.", breaks="end"),
    "error-in-stream": Answer("An answer that is never whole.", breaks="error"),
    "hang-in-stream": Answer("An answer that is never whole.", breaks="hang"),
    "hang": Hang(),
    "no-choices": Raw('{"id": "x", "object": "chat.completion", "model": "m", "choices": []}'),
    "content-filter": Answer("", finish="content_filter"),
    "garbage": Raw("<html><body>502 Bad Gateway</body></html>", content_type="text/html"),
}  # fmt: skip


@dataclass(frozen=True)
class Script:
    """What a server says, to whom, and how strict it is."""

    #: In this order, and once each in every lane.
    turns: tuple[Turn | Made, ...] = ()
    #: From then on.
    after: Turn | Made = field(default_factory=Played)
    #: By the model's name, the whole script of whoever asks for it.
    models: Mapping[str, "Script"] = field(default_factory=dict)
    lane: Lane = "all"
    #: Names of `strictness.RULES`.
    rules: tuple[str, ...] = ()
    #: The only key that is right; None: all are.
    key: str | None = None
