"""Profiles of model servers: how each differs from the others, as data (spec 64, "Profiles").

Those of well-known providers are package data, `run/models/profiles/*.toml`; a `[profile.NAME]` of
fleet.toml or of the machine's configuration has the same keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, Literal, cast, get_args

from wfledger.core import bounds
from wfledger.core.routes import CAPABILITIES, Capability
from wfledger.run.config.providers import Model, Price
from wfledger.run.config.settings import Reader, none_of, read_each

#: What a request to a provider can fail with (spec 64, "Errors").
ErrorClass = Literal["auth", "quota", "rate", "overload", "request", "content"]
ERROR_CLASSES: Final[tuple[ErrorClass, ...]] = get_args(ErrorClass)
_LIMIT_FIELDS: Final = ("max_tokens", "max_completion_tokens")
_CHOICES: Final = ("auto", "required", "none")
_FOLDER: Final = Path(__file__).parents[1] / "models" / "profiles"
#: What a request always says itself.
_OURS: Final = frozenset({"model", "messages", "tools", "stream", "stream_options"})


@dataclass(frozen=True)
class UsageFields:
    """Where an answer's `usage` has which number: dotted paths, the first that is there counts."""

    #: All tokens of the prompt, those of the cache included.
    prompt: tuple[str, ...] = ("prompt_tokens",)
    cache_read: tuple[str, ...] = ("prompt_tokens_details.cached_tokens",)
    cache_write: tuple[str, ...] = ("prompt_tokens_details.cache_write_tokens",)
    output: tuple[str, ...] = ("completion_tokens",)
    reasoning: tuple[str, ...] = ("completion_tokens_details.reasoning_tokens",)


@dataclass(frozen=True)
class ErrorIn200:
    """Where an answer with status 200 says that it is an error."""

    #: Dotted path of its code.
    code: str
    #: Dotted path of what it says.
    message: str
    #: Codes that are no error.
    fine: tuple[str, ...] = ("0",)


@dataclass(frozen=True)
class Profile:
    """How one kind of server wants to be asked, and how it answers."""

    name: str
    base_url: str | None = None
    #: Of the same account, for other protocols (`responses`, `anthropic`) or regions.
    other_urls: Mapping[str, str] = field(default_factory=dict)
    #: Name of the variable that holds its key; None: it wants none.
    key: str | None = None
    #: The field that bounds an answer, and its value; without a value it is not sent.
    max_tokens_field: str = "max_tokens"
    max_tokens: int | None = None
    stream: bool = True
    #: Whether a stream is asked for its usage.
    stream_options: bool = True
    #: Values of `tool_choice` that it takes; `auto` is never sent, since it is the default.
    tool_choice: tuple[str, ...] = ("auto",)
    #: Fields of a request that it answers with an error, or ignores.
    refuses: tuple[str, ...] = ()
    #: Sent with every request.
    extra_body: Mapping[str, object] = field(default_factory=dict)
    #: Fields of a message that hold its reasoning; a message is sent back with them.
    reasoning: tuple[str, ...] = ()
    #: The one that every assistant message with tool calls must have, even if empty.
    reasoning_required: str | None = None
    #: Whether parts of streamed reasoning may repeat what came before them.
    reasoning_repeats: bool = False
    usage: UsageFields = UsageFields()
    error_in_200: ErrorIn200 | None = None
    #: Class of error -> codes and words of the server's that mean it; before its status counts.
    errors: Mapping[ErrorClass, tuple[str, ...]] = field(default_factory=dict)
    #: Seconds without a byte after which a connection counts as broken.
    quiet_s: float = 300.0
    #: Seconds before a request that failed is made again, the first time; doubled each time.
    backoff_s: float = 2.0
    models: tuple[Model, ...] = ()
    #: Whether it has models of which nothing is said.
    any_model: bool = True
    #: What such a model can do.
    capabilities: frozenset[Capability] = frozenset({"tool_calls", "streaming"})


    def keeps(self, name: str) -> bool:
        """Whether the field *name* of an answer's message goes back with it.

        Servers add others, such as a name of the model, that they do not take themselves.
        """
        return name == "content" or name in self.reasoning or name.startswith("reasoning")


def built_in() -> tuple[Profile, ...]:
    """Return the profiles that wfledger comes with, by name."""
    return read_each(_FOLDER, read_profile)


def file_of(name: str) -> str:
    """Return where the built-in profile *name* is written, to name it in errors."""
    return str(_FOLDER / f"{name}.toml")


def read_profile(table: Reader, name: str) -> Profile:
    """Read `[profile.NAME]`; what is wrong is noted at *table*, which its owner closes."""
    stream, options = table.flag("stream"), table.flag("stream_options")
    repeats, any_model = table.flag("reasoning_repeats"), table.flag("any_model")
    found = Profile(
        name=name,
        base_url=read_url(table, "base_url"),
        other_urls=read_urls(table, "other_urls"),
        key=table.text("key"),
        max_tokens_field=table.choice("max_tokens_field", _LIMIT_FIELDS, _LIMIT_FIELDS[0]),
        max_tokens=table.integer("max_tokens", high=bounds.MAX_TOKENS),
        stream=stream is not False,
        stream_options=options is not False,
        tool_choice=table.each("tool_choice", none_of(_CHOICES)) or ("auto",),
        refuses=table.strings("refuses"),
        extra_body=table.values("extra_body"),
        reasoning=table.strings("reasoning"),
        reasoning_required=table.text("reasoning_required"),
        reasoning_repeats=repeats is True,
        usage=_read_usage(table.table("usage")),
        error_in_200=_read_error_in_200(table),
        errors=_read_errors(table.table("errors")),
        quiet_s=table.seconds("quiet_s") or Profile.quiet_s,
        backoff_s=table.seconds("backoff_s") or Profile.backoff_s,
        models=read_models(table.table("models")),
        any_model=any_model is not False,
        capabilities=read_capabilities(table, "capabilities", Profile("").capabilities),
    )
    for problem in body_problems(found, found.extra_body):
        table.wrong("extra_body", problem)
    for at, model in ((f"models.{one.name}", one) for one in found.models):
        for problem in body_problems(found, model.extra_body):
            table.wrong(at, f"extra_body: {problem}")
    return found


def body_problems(profile: Profile, body: Mapping[str, object]) -> tuple[str, ...]:
    """Return what is wrong with more fields for a request to a server of *profile*."""
    ours = sorted(_OURS & set(body))
    refused = sorted(set(profile.refuses) & set(body))
    return (
        *(f"{name} is set by wfledger itself" for name in ours),
        *(f"servers of the profile {profile.name} take no {name}" for name in refused),
    )


def read_models(table: Reader) -> tuple[Model, ...]:
    """Read `models."NAME" = {…}` of a profile or a provider."""
    return tuple(_read_model(table.table(name), name) for name in table.names())


def read_capabilities(
    table: Reader, key: str, default: frozenset[Capability] = frozenset()
) -> frozenset[Capability]:
    """Read a list of what a model can do; *default* where there is none."""
    found = table.each(key, none_of(CAPABILITIES))
    return frozenset(cast("tuple[Capability, ...]", found)) if table.has(key) else default


def read_url(table: Reader, key: str) -> str | None:
    """Read the address of a server."""
    url = table.text(key)
    if url is not None and not url.startswith(("http://", "https://")):
        table.wrong(key, "must begin with http:// or https://")
        return None
    if url is not None and "@" in url.partition("://")[2].partition("/")[0]:
        table.wrong(key, "holds a user or a password; the key is given by the name of its variable")
        return None
    return url.rstrip("/") if url else url


def read_urls(table: Reader, key: str) -> Mapping[str, str]:
    """Read a table of addresses."""
    inner = table.table(key)
    urls = {name: read_url(inner, name) for name in inner.names()}
    return {name: url for name, url in urls.items() if url is not None}


def _read_model(table: Reader, name: str) -> Model:
    price = table.table("price")
    return Model(
        name=name,
        capabilities=read_capabilities(table, "capabilities"),
        context=table.integer("context", high=bounds.MAX_TOKENS),
        price=Price(**{one.name: price.number(one.name) for one in fields(Price)}),
        extra_body=table.values("extra_body"),
    )


def _read_usage(table: Reader) -> UsageFields:
    given = {one.name: table.strings(one.name) for one in fields(UsageFields)}
    return UsageFields(**{name: paths for name, paths in given.items() if paths})


def _read_error_in_200(table: Reader) -> ErrorIn200 | None:
    if not table.has("error_in_200"):
        return None
    inner = table.table("error_in_200")
    code, message = inner.text("code"), inner.text("message")
    if not code or not message:
        inner.wrong("", "needs code and message: dotted paths into the answer")
        return None
    return ErrorIn200(code, message, inner.strings("fine") or ErrorIn200.fine)


def _read_errors(table: Reader) -> Mapping[ErrorClass, tuple[str, ...]]:
    return {one: marks for one in ERROR_CLASSES if (marks := table.strings(one))}
