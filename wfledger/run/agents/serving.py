"""How an agent is pointed at the model that its route names."""

import os
import re
from dataclasses import dataclass, field
from typing import Final

from wfledger.core.routes import Routed
from wfledger.errors import EnvironmentFailedError, InvalidDocumentError
from wfledger.run.config.adapters import Adapter
from wfledger.run.config.providers import Provider
from wfledger.run.config.roles import Fleet

#: What may stand in the configuration of any agent without being quoted.
_PLAIN_URL: Final = re.compile(r"https?://[A-Za-z0-9._~:/?@&=%+,-]+\Z")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*\Z")
#: In place of a key, for a server that wants none: agents do not start without one.
_NO_KEY: Final = "none"


@dataclass(frozen=True)
class Serving:
    """Where the model is."""

    model: str | None = None
    #: None: wherever the agent's own login leads.
    base_url: str | None = None
    #: The variable of the key, and its value, which is never shown.
    env: dict[str, str] = field(default_factory=dict, repr=False)


def serving_of(fleet: Fleet, adapter: Adapter, route: Routed | None) -> Serving:
    """Return where the model of *route* is; raises `WfledgerError` where it cannot be reached."""
    model = route.model if route is not None else None
    if model is not None and not _PLAIN_NAME.match(model):
        raise InvalidDocumentError(f"{model!r} cannot be the name of a model", model=model)
    provider = _provider(fleet, adapter, route)
    if provider is None:
        return Serving(model=model)
    url = url_for(adapter, provider)
    if url is None:
        spoken = ", ".join(adapter.dialects) or "nothing that a provider understands"
        raise InvalidDocumentError(
            f"{adapter.name} speaks {spoken}; the provider {provider.name} has no address for that",
            hint=f"add other_urls to [provider.{provider.name}], or take another role",
            adapter=adapter.name, provider=provider.name,
        )  # fmt: skip
    if not _PLAIN_URL.match(url):
        raise InvalidDocumentError(f"{url!r} cannot be the address of a server")
    return Serving(model, url, _key(adapter, provider))


def url_for(adapter: Adapter, provider: Provider) -> str | None:
    """Return the address at which *adapter* talks to *provider*; None where they cannot."""
    known = {"chat": provider.base_url, **provider.other_urls}
    return next((known[one] for one in adapter.dialects if one in known), None)


def _provider(fleet: Fleet, adapter: Adapter, route: Routed | None) -> Provider | None:
    if route is None or route.provider is None or route.provider == adapter.name:
        return None
    provider = fleet.provider(route.provider)
    if provider is None:
        raise InvalidDocumentError(f"there is no provider {route.provider!r}")
    return provider


def _key(adapter: Adapter, provider: Provider) -> dict[str, str]:
    if adapter.key is None:
        return {}
    if provider.key is None:
        return {adapter.key: _NO_KEY}
    value = os.environ.get(provider.key)
    if not value:
        raise EnvironmentFailedError(
            f"the key of {provider.name} is not there: {provider.key} is not set on this machine",
            hint=f"export {provider.key}=…", provider=provider.name, variable=provider.key,
        )  # fmt: skip
    return {adapter.key: value}
