"""Where a model is asked from this process: its server, as the fleet names it, with the key."""

from collections.abc import Mapping

from wfledger.errors import EnvironmentFailedError, NotFoundError, UsageError
from wfledger.run.config.providers import Model, Provider
from wfledger.run.config.roles import Fleet
from wfledger.run.models.client import Server


def server_of(fleet: Fleet, name: str, model: str | None, environ: Mapping[str, str]) -> Server:
    """Return where *model* of the provider *name* is asked; None takes the first that is listed.

    Raises `NotFoundError` or `UsageError` where nobody says what, `EnvironmentFailedError` where
    its key is not among *environ*.
    """
    provider = fleet.provider(name)
    profile = None if provider is None else fleet.profile(provider.profile)
    if provider is None or profile is None:
        raise NotFoundError(f"there is no provider {name}", hint="wfledger provider list")
    chosen = _chosen(provider, model)
    key = environ.get(provider.key) if provider.key is not None else None
    if provider.key is not None and not key:
        raise EnvironmentFailedError(
            f"{provider.key} is not set here", hint=f"export {provider.key}=…"
        )
    return Server(provider.base_url, profile, chosen, key)


def _chosen(provider: Provider, name: str | None) -> Model:
    known = {model.name: model for model in provider.models}
    if name is None:
        if not known:
            raise UsageError(f"say which model of {provider.name}: --model MODEL")
        return next(iter(known.values()))
    if name not in known and not provider.any_model:
        raise NotFoundError(f"{provider.name} has no model {name}", hint="wfledger provider list")
    return known.get(name, Model(name, provider.capabilities))
