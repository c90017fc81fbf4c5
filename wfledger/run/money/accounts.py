"""The accounts with providers that a fleet uses: what each is, and how it stands here."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wfledger.core.breaking import Breaker
from wfledger.core.documents import TaskSpec
from wfledger.run.config.providers import Price, Provider
from wfledger.run.config.roles import Fleet
from wfledger.run.money import breakers
from wfledger.run.money.caps import Cap, shut_providers
from wfledger.run.slots import held
from wfledger.run.workers.registry import Registry
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Account:
    """A provider, or the own account of an agent, as it is now."""

    name: str
    #: None for an agent's own account.
    provider: Provider | None
    #: `closed` (work goes on), `open`, or `probing` (one attempt at a time).
    state: str
    breaker: Breaker
    #: Attempts that use it now, and may at most; None: nothing limits them.
    busy: int
    limit: int | None
    #: Its budget that is used up, in words.
    used_up: str | None = None

    @property
    def has_key(self) -> bool | None:
        """Whether the variable with its key is set here; None where it wants none."""
        if self.provider is None or self.provider.key is None:
            return None
        return bool(os.environ.get(self.provider.key))

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models that are described and whose price nobody says."""
        models = self.provider.models if self.provider is not None else ()
        return tuple(model.name for model in models if model.price == Price())

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `provider list --json` prints; names of secrets, never values."""
        one, opened = self.provider, self.breaker.opened
        return {
            "name": self.name,
            "profile": one.profile if one is not None else None,
            "base_url": one.base_url if one is not None else None,
            "key": one.key if one is not None else None,
            "key_set": self.has_key,
            "state": self.state,
            "trouble": opened.kind if opened is not None else None,
            "message": opened.message if opened is not None else None,
            "since": opened.since if opened is not None else None,
            "until": opened.until if opened is not None else None,
            "used_up": self.used_up,
            "slots": {"busy": self.busy, "limit": self.limit},
            "models": [
                {"name": model.name, "priced": model.name not in self.unpriced}
                for model in (one.models if one is not None else ())
            ],
            "any_model": one.any_model if one is not None else None,
        }


def accounts(workspace: Workspace, fleet: Fleet) -> tuple[Account, ...]:
    """Return what is described, what roles use, and what is in trouble, by name."""
    names = {provider.name for provider in fleet.providers} | set(_used(fleet))
    names |= set(breakers.states(workspace))
    shut = shut_providers(workspace, fleet.providers)
    return tuple(_account(workspace, fleet, name, shut.get(name)) for name in sorted(names))


def _account(workspace: Workspace, fleet: Fleet, name: str, shut: Cap | None) -> Account:
    known, now = breakers.state(workspace, name), workspace.clock.now()
    provider = fleet.provider(name)
    state = "open" if known.is_open(now) else "probing" if known.is_probing(now) else "closed"
    return Account(
        name, provider, state, known, held(workspace, breakers.kind_of_slot(name)),
        known.slots(provider.slots if provider is not None else None, now),
        None if shut is None else shut.reason,
    )  # fmt: skip


def _used(fleet: Fleet) -> Iterator[str]:
    registry = Registry(fleet)
    for role in fleet.roles:
        yield from registry.accounts(role, TaskSpec(prompt="", role=role.name))
