"""What a provider refuses or fails with, by class: pure, from what its answer says (spec 64).

The class decides what follows: `auth` and `quota` end the work and close the provider, `rate` and
`overload` are waited for, `request` and `content` are the task's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from wfledger.run.config.profiles import ErrorClass, Profile

#: Classes that end the work at once and are the provider's, not the task's.
TERMINAL: Final = frozenset({"auth", "quota"})
#: Classes after which the same request may succeed.
PASSING: Final = frozenset({"rate", "overload"})
_MESSAGE_CHARS: Final = 500
#: A request to wait longer than that is none.
_LONGEST_WAIT_S: Final = 7 * 86_400.0
#: The order in which marks count: what costs most to mistake first.
_ORDER: Final[tuple[ErrorClass, ...]] = (
    "quota", "auth", "content", "rate", "overload", "request",
)  # fmt: skip
#: Words for "nothing left" of all who have no code for it; where the status leaves it open.
_EMPTY: Final = (
    "insufficient_quota", "insufficient balance", "insufficient credit", "usage limit",
    "session limit", "current quota", "credit balance", "out of credits", "billing",
)  # fmt: skip
_UNCLEAR: Final = frozenset({None, 200, 400, 402, 403, 429})
#: What errors are called that come without a status of their own.
_NAMES: Final[Mapping[ErrorClass, tuple[str, ...]]] = {
    "auth": ("authentication_error", "invalid_api_key", "permission_error", "unauthorized"),
    "content": ("content_filter", "content_policy_violation"),
    "rate": ("rate_limit_error", "rate_limit_exceeded", "too_many_requests"),
    "overload": ("overloaded_error", "overloaded", "server_error", "api_error", "internal_error",
                 "internal_server_error", "service_unavailable_error", "timeout_error"),
    "request": ("invalid_request_error", "invalid_parameter", "not_found_error"),
}  # fmt: skip


@dataclass(frozen=True)
class Refused:
    """A request that was not answered."""

    kind: ErrorClass
    #: In the provider's own words; to be redacted before it is shown.
    message: str
    status: int | None = None
    #: Seconds that the provider asks to wait.
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Said:
    """What an error's body says; absent is empty."""

    code: str = ""
    type: str = ""
    message: str = ""

    @classmethod
    def of(cls, body: object) -> "Said":
        """Read the body of an error, or what stands in one under `error`."""
        if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping | str):
            body = body["error"]
        if not isinstance(body, Mapping):
            return cls(message=str(body or "")[:_MESSAGE_CHARS])
        message = body.get("message") or body.get("msg") or body.get("detail") or ""
        return cls(
            _text(body.get("code")), _text(body.get("type")), str(message)[:_MESSAGE_CHARS]
        )


def classify(profile: Profile, status: int | None, said: Said) -> ErrorClass:
    """Return the class of an error; *status* is None where the server has not given one."""
    marked = _marked(profile.errors, said)
    if marked is not None:
        return marked
    everything = f"{said.code} {said.type} {said.message}".casefold()
    if status in _UNCLEAR and any(words in everything for words in _EMPTY):
        return "quota"
    if status is None or status < 400:
        return _by_name(said)
    return _by_status(status)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that an answer's headers ask to wait; None where they do not."""
    found = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        seconds = _seconds(found.get(name), unit, now)
        if seconds is not None and 0 <= seconds <= _LONGEST_WAIT_S:
            return seconds
    return None


def inside_200(profile: Profile, body: Mapping[str, Any]) -> Refused | None:
    """Return the error that an answer with status 200 is; None where it is none."""
    if body.get("error"):
        said = Said.of(body)
        return Refused(classify(profile, None, said), said.message or str(body["error"]), 200)
    place = profile.error_in_200
    if place is None:
        return None
    code = _text(dig(body, place.code))
    if not code or code in place.fine:
        return None
    said = Said(code=code, message=str(dig(body, place.message) or ""))
    return Refused(classify(profile, None, said), f"{said.message} ({code})", 200)


def dig(body: object, path: str) -> Any:
    """Return what stands at a dotted *path*; None where nothing does."""
    for name in path.split("."):
        if not isinstance(body, Mapping):
            return None
        body = body.get(name)
    return body


def _marked(marks: Mapping[ErrorClass, tuple[str, ...]], said: Said) -> ErrorClass | None:
    names, message = {said.code, said.type}, said.message.casefold()
    for kind in _ORDER:
        for mark in marks.get(kind, ()):
            # A number in a sentence may be anything.
            if mark in names or (not mark.isdigit() and mark.casefold() in message):
                return kind
    return None


def _by_name(said: Said) -> ErrorClass:
    if said.code.isdigit() and 400 <= int(said.code) < 600:
        return _by_status(int(said.code))
    named = {said.code, said.type}
    found = (kind for kind in _ORDER if named & set(_NAMES.get(kind, ())))
    # What nobody can name is taken for what passes: the tries at it are bounded.
    return next(found, "overload")


def _by_status(status: int) -> ErrorClass:
    if status in {401, 403}:
        return "auth"
    if status == 402:
        return "quota"
    if status == 429:
        return "rate"
    if status >= 500 or status in {408, 409, 425}:
        return "overload"
    return "request"


def _seconds(text: str | None, unit: float, now: datetime) -> float | None:
    if text is None:
        return None
    try:
        return float(text) / unit
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(text) - now).total_seconds(), 0.0)
    except (ValueError, TypeError):  # neither a number nor a date, or one without a time zone
        return None


def _text(value: object) -> str:
    return "" if value is None else str(value)
