"""One short question to a provider, to see whether it answers with the key that is set here."""

import os
from dataclasses import dataclass
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.core.usage import Usage
from wfledger.errors import EnvironmentFailedError, NotFoundError, UsageError
from wfledger.run.config.providers import Model, Provider
from wfledger.run.config.roles import Fleet
from wfledger.run.models.client import Client, Request, Server
from wfledger.run.models.troubles import Refused
from wfledger.run.processes.environment import redact, secrets_of

_QUESTION: Final = "Answer with the one word: ready"
#: Enough for a word, and for a model that thinks first to begin; cut off is answered, too.
_TOKENS: Final = 64
_QUIET_S: Final = 60.0


@dataclass(frozen=True)
class Tried:
    """What came of it."""

    model: str
    wall_s: float
    problem: Refused | None = None
    usage: Usage | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `provider test --json` prints."""
        one = self.problem
        return {
            "model": self.model,
            "answered": one is None,
            "wall_s": round(self.wall_s, 3),
            "trouble": one.kind if one is not None else None,
            "message": one.message if one is not None else None,
            "usage": self.usage.model_dump(mode="json") if self.usage is not None else None,
        }


def ask_once(fleet: Fleet, name: str, model: str | None, *, clock: Clock) -> Tried:
    """Ask the provider *name*; raises where nobody says what, or its key is not set here."""
    provider = fleet.provider(name)
    profile = None if provider is None else fleet.profile(provider.profile)
    if provider is None or profile is None:
        raise NotFoundError(f"there is no provider {name}", hint="wfledger provider list")
    chosen = _chosen(provider, model)
    key = os.environ.get(provider.key) if provider.key is not None else None
    if provider.key is not None and not key:
        raise EnvironmentFailedError(
            f"{provider.key} is not set here", hint=f"export {provider.key}=…"
        )
    client = Client(Server(provider.base_url, profile, chosen, key), clock)
    began = clock.elapsed()
    try:
        found = client.complete(Request(
            messages=({"role": "user", "content": _QUESTION},), quiet_s=_QUIET_S,
            max_tokens=_TOKENS,
        ))  # fmt: skip
    finally:
        client.close()
    wall_s = clock.elapsed() - began
    if not isinstance(found, Refused):
        return Tried(found.model or chosen.name, wall_s, usage=found.usage)
    said = redact(found.message, secrets_of({**os.environ, "KEY": key or ""}))
    return Tried(chosen.name, wall_s, Refused(found.kind, said, found.status, found.retry_after_s))


def _chosen(provider: Provider, name: str | None) -> Model:
    known = {model.name: model for model in provider.models}
    if name is None:
        if not known:
            raise UsageError(f"say which model of {provider.name}: --model MODEL")
        return next(iter(known.values()))
    if name not in known and not provider.any_model:
        raise NotFoundError(f"{provider.name} has no model {name}", hint="wfledger provider list")
    return known.get(name, Model(name, provider.capabilities))
