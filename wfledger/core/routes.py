"""Which model answers a task: the registry's rules, as values (spec 66, "Routes").

Pure. A policy names a model and what to fall back to; a registry says what is known of each; the
first candidate that is known, can do what is required and is open now wins, and the receipt says
why.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
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


#: Agent type -> the role that does its prompts where the fleet has that role and no default one.
AGENT_ROLES: Final[Mapping[str, str]] = {
    "general": "leaf_reasoner", "explore": "leaf_reasoner", "tool_agent": "leaf_reasoner",
    "plan": "planner", "review": "reviewer", "verifier": "reviewer", "implementer": "implementer",
}  # fmt: skip

#: Why there is no route: nothing says which model (`MissingPolicy`, `MissingModel`), or whose
#: (`MissingFallbackProvider`); nobody says how its agent is driven (`MissingAdapter`); none of them
#: will do (`NoCapableModel`); those that would are closed now (`Closed`), which passes.
Kind = Literal[
    "MissingPolicy", "MissingModel", "MissingFallbackProvider", "MissingAdapter", "NoCapableModel",
    "Closed",
]


@dataclass(frozen=True)
class Candidate:
    """A model on a provider; an agent's own account has no provider, and perhaps no model."""

    provider: str | None
    model: str | None

    def __str__(self) -> str:
        """Return it as policies write it."""
        return "/".join(part for part in (self.provider, self.model) if part) or "own account"


@dataclass(frozen=True)
class Known:
    """What a registry knows of one provider."""

    models: Mapping[str, frozenset[Capability]] = field(default_factory=dict)
    #: Whether it has models of which nothing is said, and what those can do.
    any_model: bool = False
    capabilities: frozenset[Capability] = frozenset()

    def can(self, model: str) -> frozenset[Capability] | None:
        """Return what *model* can do; None where it is unknown."""
        otherwise = self.capabilities if self.any_model else None
        return self.models.get(model, otherwise)


@dataclass(frozen=True)
class NoRoute:
    """Why a task cannot be given to any model."""

    kind: Kind
    message: str
    rejected: tuple[Rejected, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether waiting may help."""
        return self.kind == "Closed"


@dataclass(frozen=True)
class Wish:
    """What is looked for: by whom, and what it has to be able to do."""

    role: str | None = None
    #: The task's own policy, and the role's where the task has none.
    policy: ModelPolicy | None = None
    default: ModelPolicy | None = None
    required: frozenset[Capability] = frozenset()
    #: The adapter of an agent.
    adapter: str | None = None
    #: Whether it has an account of its own, which serves what names no provider.
    has_account: bool = False

    @property
    def chosen(self) -> ModelPolicy | None:
        """The policy that holds: the task's own as it is, never mixed with the role's."""
        return self.default if self.policy is None else self.policy


def candidates(wish: Wish) -> tuple[Candidate, ...] | NoRoute:
    """Return every candidate of *wish*, in order; all are built before any is tried."""
    policy = wish.chosen
    if policy is None:
        if wish.has_account:
            return (Candidate(None, None),)
        named = f"the role {wish.role}" if wish.role else "nobody"
        return NoRoute("MissingPolicy", f"the task names no model, and {named} has none")
    if policy.model is None:
        return NoRoute("MissingModel", "the model policy names no model")
    found = []
    for name in (policy.model, *policy.fallback_models):
        provider, slash, model = name.partition("/")
        one = Candidate(provider, model) if slash else Candidate(policy.provider, name)
        if one.provider is None and not wish.has_account:
            return NoRoute("MissingFallbackProvider", f"{name} names no provider")
        found.append(one)
    return tuple(found)


def resolve(
    wish: Wish, registry: Mapping[str, Known], closed: Mapping[str, str] | None = None, *,
    refused: Collection[str] = (),
) -> Routed | NoRoute:  # fmt: skip
    """Return the route of *wish*, or why there is none.

    *closed* says of providers, and of agents' own accounts by the name of the adapter, why they
    take nothing now; *refused* are providers that the agent cannot be pointed at.
    """
    found = candidates(wish)
    if isinstance(found, NoRoute):
        return found
    closed = closed or {}
    rejected: list[Rejected] = []
    shut = []
    for index, one in enumerate(found):
        problem = _unfit(wish, one, registry, refused)
        if problem is None:
            account = one.provider or wish.adapter or ""
            problem = closed.get(account)
            if problem is None:
                return Routed(
                    role=wish.role, adapter=wish.adapter, provider=one.provider, model=one.model,
                    source=_source(wish, index), rejected=tuple(rejected),
                )  # fmt: skip
            shut.append(problem)
        rejected.append(Rejected(candidate=str(one), why=problem))
    if shut:
        return NoRoute("Closed", "; ".join(dict.fromkeys(shut)), tuple(rejected))
    said = "; ".join(f"{one.candidate}: {one.why}" for one in rejected)
    return NoRoute("NoCapableModel", f"no model will do: {said}", tuple(rejected))


def account_of(route: Routed) -> str | None:
    """Return whose slots and breaker a route uses: its provider, or the agent's own account."""
    return route.provider or route.adapter


def _unfit(
    wish: Wish, one: Candidate, registry: Mapping[str, Known], refused: Collection[str]
) -> str | None:
    """Return why *one* will never do, or None."""
    if one.provider is None:
        wanted = ", ".join(sorted(wish.required))
        return f"what its account can do is unknown; required: {wanted}" if wanted else None
    if one.provider in refused:
        return f"the agent {wish.adapter} cannot be pointed at it"
    known = registry.get(one.provider)
    if known is None:
        return f"unknown: there is no provider {one.provider}"
    able = known.can(one.model or "")
    if able is None:
        return "unknown"
    missing = sorted(wish.required - able)
    return f"missing required capabilities: {', '.join(missing)}" if missing else None


def _source(wish: Wish, index: int) -> Literal["primary", "role_default", "fallback"]:
    if index:
        return "fallback"
    return "role_default" if wish.policy is None else "primary"
