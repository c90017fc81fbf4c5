"""Reading `[provider.NAME]`."""

from collections.abc import Mapping
from dataclasses import replace

from wfledger.run.config import profiles
from wfledger.run.config.known import of_profile
from wfledger.run.config.profiles import Profile
from wfledger.run.config.providers import Provider
from wfledger.run.config.role_tables import check_name, read_budget, read_key
from wfledger.run.config.settings import Reader


def read_provider(table: Reader, name: str, known: Mapping[str, Profile]) -> Provider | None:
    """Read one provider; None where its profile, which is one of *known*, cannot be told."""
    check_name(table, name, "a provider")
    chosen = table.text("profile") or name
    profile = known.get(chosen)
    url, key = profiles.read_url(table, "base_url"), read_key(table, "key")
    models = profiles.read_models(table.table("models"))
    any_model = table.flag("any_model")
    capabilities = profiles.read_capabilities(table, "capabilities")
    slots, budget = table.integer("slots"), read_budget(table, "budget")
    other_urls = profiles.read_urls(table, "other_urls")
    if profile is None:
        there = ", ".join(sorted(known))
        said = "there is no profile" if table.has("profile") else "is missing: there is none named"
        table.wrong("profile", f"{said} {chosen!r}; known: {there}")
        return None
    for model in models:
        for problem in profiles.body_problems(profile, model.extra_body):
            table.wrong("models", f"{model.name}: extra_body: {problem}")
    found = of_profile(profile, name, url)
    if found is None:
        table.wrong("base_url", f"is missing; the profile {profile.name} names no server")
        return None
    own = {model.name for model in models}
    return replace(
        found,
        key=found.key if key is None else key or None,
        slots=slots, budget=budget,
        models=(*models, *(model for model in found.models if model.name not in own)),
        any_model=found.any_model if any_model is None else any_model,
        capabilities=capabilities if table.has("capabilities") else found.capabilities,
        other_urls={**found.other_urls, **other_urls},
    )  # fmt: skip
