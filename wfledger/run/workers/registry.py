"""The registry of models that a fleet is: what its providers have, and where a prompt may go.

It knows nothing of what is open just now; that is `workers.routing`.
"""

from collections.abc import Mapping
from typing import Final

from wfledger.core.documents import TaskSpec
from wfledger.core.routes import (
    CAPABILITIES,
    Candidate,
    Known,
    NoRoute,
    Routed,
    Wish,
    candidates,
    resolve,
)
from wfledger.run.config.providers import Provider
from wfledger.run.config.roles import Fleet, Role

#: Of a provider that only the program of a role knows.
_ANYTHING: Final = Known(any_model=True, capabilities=frozenset(CAPABILITIES))


class Registry:
    """Answers what a fleet's roles may use, by one reading of it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._providers: dict[str, Provider | None] = {}

    def provider(self, name: str) -> Provider | None:
        """Return the provider *name*, or None; see `Fleet.provider`."""
        if name not in self._providers:
            self._providers[name] = self._fleet.provider(name)
        return self._providers[name]

    def role(self, spec: TaskSpec) -> Role | None:
        """Return the role that runs the prompt of a task; None where it needs no model."""
        if spec.prompt is None or spec.command is not None or spec.manual:
            return None
        wanted = spec.role or self._fleet.default_role
        role = next((role for role in self._fleet.roles if role.name == wanted), None)
        if role is not None and role.argv and spec.model is None and role.model is None:
            return None
        return role

    def accounts(self, role: Role, spec: TaskSpec) -> tuple[str, ...]:
        """Return whose slots and breakers the candidates of a task would use, in order."""
        found = candidates(_wish(role, spec))
        if isinstance(found, NoRoute):
            return ()
        return tuple(name for one in found if (name := _account(role, one)) is not None)

    def resolve(
        self, role: Role, spec: TaskSpec, closed: Mapping[str, str] | None = None
    ) -> Routed | NoRoute:
        """Return the route of a task; *closed* says which accounts take nothing now, and why."""
        if role.adapter is not None and self._fleet.adapter(role.adapter) is None:
            said = f"the role {role.name} names the adapter {role.adapter}, which nobody defines"
            return NoRoute("MissingAdapter", said)
        wish = _wish(role, spec)
        found = candidates(wish)
        if isinstance(found, NoRoute):
            return found
        names = {name for one in found if (name := one.provider) is not None}
        registry = {name: known for name in names if (known := self._known(role, name)) is not None}
        refused = {name for name in names if self._refuses(role, name)}
        return resolve(wish, registry, closed, refused=refused)

    def _known(self, role: Role, name: str) -> Known | None:
        provider = self.provider(name)
        if provider is None:
            return _ANYTHING if role.argv else None
        return Known(
            {model.name: model.capabilities for model in provider.models}, provider.any_model,
            provider.capabilities,
        )  # fmt: skip

    def _refuses(self, role: Role, name: str) -> bool:
        """Whether an agent and a provider have no protocol in common."""
        provider = self.provider(name)
        adapter = self._fleet.adapter(role.adapter) if role.adapter is not None else None
        if provider is None or adapter is None:
            return False
        return not set(adapter.dialects) & {"chat", *provider.other_urls}


def _wish(role: Role, spec: TaskSpec) -> Wish:
    return Wish(
        role=role.name, policy=spec.model, default=role.model, adapter=role.adapter,
        required=frozenset((*role.requires, *spec.requires)),
        has_account=bool(role.argv or role.adapter),
    )  # fmt: skip


def _account(role: Role, one: Candidate) -> str | None:
    return one.provider or role.adapter
