"""Providers of models: where their servers are, what they want, what their models can do and cost.

`[provider.NAME]` of fleet.toml says where and with which variable's secret; the profile that it
names says how its server differs from others (data, `run/models/profiles`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wfledger.core.routes import Capability
from wfledger.core.usage import Budget


@dataclass(frozen=True)
class Price:
    """Dollars for a million tokens by kind; None is unknown, never 0."""

    input: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    output: float | None = None


@dataclass(frozen=True)
class Model:
    """What is known of one model of a provider."""

    name: str
    capabilities: frozenset[Capability] = frozenset()
    #: Tokens that it takes at once.
    context: int | None = None
    price: Price = Price()
    #: As `Profile.extra_body`, put over it.
    extra_body: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Provider:
    """One server, with one account."""

    name: str
    #: Name of its profile.
    profile: str
    base_url: str
    #: Name of the variable that holds its key; None: it wants none.
    key: str | None = None
    #: Most attempts at once on one machine; None leaves it to the slots.
    slots: int | None = None
    #: What all runs of this ledger together may use of it.
    budget: Budget | None = None
    models: tuple[Model, ...] = ()
    #: Whether it has models of which nothing is said.
    any_model: bool = True
    #: What such a model can do.
    capabilities: frozenset[Capability] = frozenset()
    #: Of its servers for other protocols: `responses`, `anthropic`.
    other_urls: Mapping[str, str] = field(default_factory=dict)
