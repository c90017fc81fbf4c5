"""What is known without a word in fleet.toml: built-in profiles, and the providers they tell of."""

from collections.abc import Mapping
from functools import cache

from wfledger.run.config import profiles
from wfledger.run.config.profiles import Profile
from wfledger.run.config.providers import Provider


@cache
def built_in() -> Mapping[str, Profile]:
    """Return the profiles that wfledger comes with, by name; read once."""
    return {profile.name: profile for profile in profiles.built_in()}


def of_profile(profile: Profile, name: str, base_url: str | None = None) -> Provider | None:
    """Return the provider *name* as its profile describes it; None where nobody says where it is.

    Another address than the profile's is another server: its other addresses do not count there.
    """
    url = base_url or profile.base_url
    if url is None:
        return None
    return Provider(
        name=name, profile=profile.name, base_url=url, key=profile.key, models=profile.models,
        any_model=profile.any_model, capabilities=profile.capabilities,
        other_urls=profile.other_urls if url == profile.base_url else {},
    )  # fmt: skip
