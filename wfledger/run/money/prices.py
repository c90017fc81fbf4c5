"""What is known of the model that a policy names: its provider, its price, its provider's key."""

from wfledger.core.routes import ModelPolicy, NoRoute, Routed, Wish, candidates
from wfledger.run.config.providers import Model, Price, Provider
from wfledger.run.config.roles import Fleet


def place_of(policy: ModelPolicy, fleet: Fleet) -> tuple[Provider | None, str | None]:
    """Return the provider and the bare name of a policy's own model, as far as they are known."""
    found = candidates(Wish(policy=policy))
    first = None if isinstance(found, NoRoute) else found[0]
    if first is None or first.provider is None:
        return None, policy.model
    return fleet.provider(first.provider), first.model


def alternatives(policy: ModelPolicy) -> tuple[ModelPolicy, ...]:
    """Return one policy for each model that *policy* may come to, in order."""
    names = () if policy.model is None else (policy.model, *policy.fallback_models)
    return tuple(ModelPolicy(provider=policy.provider, model=name) for name in names)


def price_of(policy: ModelPolicy, fleet: Fleet) -> Price | None:
    """Return the price of a policy's own model; None where nobody says it."""
    provider, name = place_of(policy, fleet)
    model = None if provider is None else _model(provider, name)
    if model is None or model.price == Price():
        return None
    return model.price


def price_of_route(fleet: Fleet, route: Routed) -> Price | None:
    """Return the price of the model that a route names; None where nobody says it."""
    return price_of(ModelPolicy(provider=route.provider, model=route.model), fleet)


def key_of(policy: ModelPolicy, fleet: Fleet) -> str | None:
    """Return the variable that holds the key of a policy's provider; None: it wants none."""
    provider, _ = place_of(policy, fleet)
    return None if provider is None else provider.key


def _model(provider: Provider, name: str | None) -> Model | None:
    return next((model for model in provider.models if model.name == name), None)
