"""Workers that are kept apart, and what they try."""


import pytest

from wfledger.run.config.confinement import Confinement
from wfledger.run.processes.sandbox import trouble

_TROUBLE = trouble(Confinement(sandbox="bwrap", network=False))
needs_bwrap = pytest.mark.skipif(_TROUBLE is not None, reason=f"no sandbox here: {_TROUBLE}")
BOXED = '[defaults]\nsandbox = "bwrap"\n'
CLONED = '[defaults]\nisolation = "clone"\n'


def trying(*attempts: str, then: str = "echo new > src/new.txt") -> str:
    """Return a shell line that notes in `src/can` which of *attempts* succeed."""
    tries = "\n".join(f"if ({one}) >/dev/null 2>&1; then echo '{one}'; fi" for one in attempts)
    return f"{{ :\n{tries}\n}} > src/can; {then}"


def fleet(**keys: object) -> str:
    """Return a fleet.toml whose defaults ask for bubblewrap and say *keys*."""
    said = "\n".join(f"{key} = {_toml(value)}" for key, value in keys.items())
    return f"{BOXED}{said}\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"'
