"""The one door to models: chat completions through the `openai` package, 2.x to 3.x (spec 64).

It tries nothing twice: waiting is for who knows what else goes on. What fails is a `Refused`, with
its class; only mistakes of our own are raised.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.run.config.profiles import Profile
from wfledger.run.config.providers import Model
from wfledger.run.models.answers import Answer, read_answer
from wfledger.run.models.chunks import Joining
from wfledger.run.models.metering import read_usage
from wfledger.run.models.troubles import Refused, Said, classify, inside_200, retry_after

#: For servers that want no key; the library wants one.
_NO_KEY: Final = "none"
#: The libraries below the client whose errors older versions let through in a stream.
_TRANSPORT: Final = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "h11", "ssl", "socket"})
_SHOWN: Final = 200


@dataclass(frozen=True)
class Server:
    """Where a model is asked, and how its server wants it."""

    base_url: str
    profile: Profile
    model: Model
    #: None where it wants none.
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Request:
    """One question: the whole conversation so far."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    #: Whether some tool must be called; sent only where the profile allows it.
    must_call: bool = False
    #: At most that long without a byte, where it is less than the profile's own.
    quiet_s: float | None = None
    #: At most so many tokens in the answer, in place of the profile's own number.
    max_tokens: int | None = None


class Client:
    """Asks one model. Not for several threads at once."""

    def __init__(self, server: Server, clock: Clock) -> None:
        # Only here: the package takes a second to load, and most verbs need no model.
        import openai

        self._openai = openai
        self._server, self._clock = server, clock
        self._api = openai.OpenAI(
            api_key=server.key or _NO_KEY, base_url=server.base_url, max_retries=0,
        )  # fmt: skip

        # Set by the environment for one provider, they would go to all of them.
        self._api.organization = self._api.project = None

    def close(self) -> None:
        """Close its connections."""
        self._api.close()

    def complete(self, request: Request) -> Answer | Refused:
        """Ask, and return the whole answer; blocks until it is there or the connection is quiet."""
        try:
            return self._ask(request)
        except self._openai.APIStatusError as error:
            return self._by_status(error)
        except self._openai.APITimeoutError:
            return Refused("overload", f"nothing came for {self._quiet_s(request):g} s")
        except self._openai.APIConnectionError as error:
            return Refused("overload", f"no connection, or it broke: {_cause(error)}")
        except self._openai.APIError as error:
            # An error that came as an event of a stream.
            said = Said.of(error.body) if error.body else Said(message=error.message)
            kind = classify(self._server.profile, None, said)
            return Refused(kind, said.message or error.message, 200)
        except Exception as error:
            package = type(error).__module__.partition(".")[0]
            if package not in _TRANSPORT and not isinstance(error, OSError | ValueError):
                raise
            return Refused("overload", f"the answer broke off, or is none: {_cause(error)}")

    def _ask(self, request: Request) -> Answer | Refused:
        create = self._api.chat.completions.with_raw_response.create
        raw: Any = create(**self._body(request), timeout=self._quiet_s(request))
        kind = str(raw.headers.get("content-type", ""))
        if not self._server.profile.stream or "event-stream" not in kind:
            raw.http_response.read()
            return self._whole(raw.http_response.text, kind)
        with raw.parse() as stream:
            return self._streamed(stream)

    def _streamed(self, stream: Any) -> Answer | Refused:
        joining = Joining(self._server.profile)
        for event in stream:
            chunk = event.to_dict(mode="json", warnings=False)
            refused = inside_200(self._server.profile, chunk)
            if refused is not None:
                return refused
            joining.add(chunk)
        if joining.finish is None:
            return Refused("overload", "the stream ended before the answer was whole")
        return self._read(joining.body())

    def _whole(self, text: str, kind: str) -> Answer | Refused:
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            shown = " ".join(text.split())[:_SHOWN]
            return Refused("overload", f"its answer is no answer of a model ({kind}): {shown}", 200)
        return inside_200(self._server.profile, body) or self._read(body)

    def _read(self, body: Mapping[str, Any]) -> Answer | Refused:
        profile, price = self._server.profile, self._server.model.price
        usage = read_usage(body.get("usage"), profile.usage, price)
        answer = read_answer(body, profile, usage)
        if answer is None:
            return Refused("overload", "its answer has no choices", 200)
        if answer.finish == "insufficient_system_resource":
            return Refused("overload", "the provider broke off: insufficient_system_resource", 200)
        if answer.finish == "content_filter" or (answer.refusal and not answer.calls):
            said = answer.refusal or "the provider's filter has stopped the answer"
            return Refused("content", said, 200)
        return answer

    def _body(self, request: Request) -> dict[str, Any]:
        profile, model = self._server.profile, self._server.model
        body: dict[str, Any] = {"model": model.name, "messages": list(request.messages)}
        body["stream"] = profile.stream
        if request.tools:
            body["tools"] = list(request.tools)
        if request.must_call and "required" in profile.tool_choice:
            body["tool_choice"] = "required"
        if profile.stream and profile.stream_options:
            body["stream_options"] = {"include_usage": True}
        bound = request.max_tokens or profile.max_tokens
        if bound is not None:
            body[profile.max_tokens_field] = bound
        body["extra_body"] = {**profile.extra_body, **model.extra_body}
        return body

    def _quiet_s(self, request: Request) -> float:
        own = self._server.profile.quiet_s
        return own if request.quiet_s is None else max(min(own, request.quiet_s), 1.0)

    def _by_status(self, error: Any) -> Refused:
        said = Said.of(error.body) if error.body else Said(message=str(error.message))
        kind = classify(self._server.profile, error.status_code, said)
        wait = retry_after(dict(error.response.headers), self._clock.now())
        message = f"{said.message or error.message} (HTTP {error.status_code})"
        return Refused(kind, message, error.status_code, wait)


def _cause(error: BaseException) -> str:
    said = str(error.__cause__ or error) or type(error.__cause__ or error).__name__
    return " ".join(said.split())[:_SHOWN]
