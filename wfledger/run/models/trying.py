"""One short question to a provider, to see whether it answers with the key that is set here."""

import os
from dataclasses import dataclass
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.core.usage import Usage
from wfledger.run.config.roles import Fleet
from wfledger.run.models.client import Client, Request
from wfledger.run.models.servers import server_of
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
    server = server_of(fleet, name, model, os.environ)
    client = Client(server, clock)
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
        return Tried(found.model or server.model.name, wall_s, usage=found.usage)
    said = redact(found.message, secrets_of({**os.environ, "KEY": server.key or ""}))
    problem = Refused(found.kind, said, found.status, found.retry_after_s)
    return Tried(server.model.name, wall_s, problem)
