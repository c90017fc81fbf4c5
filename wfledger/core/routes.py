"""Which model answers a task: the registry's rules, as values (spec 66, "Routes").

Pure. A policy names a model and what to fall back to; a registry says what is known of each; the
first candidate that is known and can do what is required wins, and the receipt says why.
"""

from typing import Final, Literal, get_args

from wfledger.core.records import Record

Capability = Literal["tool_calls", "json_mode", "prompt_cache", "large_context", "streaming"]
CAPABILITIES: Final[tuple[Capability, ...]] = get_args(Capability)


class ModelPolicy(Record):
    """Which model a task wants, and what it takes instead."""

    provider: str | None = None
    #: `name`, or `provider/name`.
    model: str | None = None
    fallback_models: tuple[str, ...] = ()


class Rejected(Record):
    """A candidate that was not taken."""

    candidate: str
    why: str


class Routed(Record):
    """The receipt of a route: which model on which provider, by whose word, and what was passed."""

    role: str | None = None
    #: The adapter of an agent's program; absent for a model that wfledger talks to itself.
    adapter: str | None = None
    provider: str | None = None
    model: str | None = None
    #: Whose policy: the task's own (`primary`), the role's (`role_default`), or one of the
    #: policy's fallbacks.
    source: Literal["primary", "role_default", "fallback"] = "primary"
    rejected: tuple[Rejected, ...] = ()
