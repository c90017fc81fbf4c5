"""What kind of trouble an agent's error is: by the status it names, else by its words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from wfledger.run.config.adapters import Adapter, Sign, Trouble, read_signs
from wfledger.run.config.settings import Reader, read_toml

_FILE: Final = Path(__file__).with_name("signs.toml")
_STATUSES: Final[dict[int, Trouble]] = {
    401: "auth", 402: "quota", 403: "auth", 408: "transport", 429: "rate",
}  # fmt: skip
#: Words of a server that say more than its status does.
_ABOVE_STATUS: Final = frozenset({"quota", "content"})
_LATER: Final = re.compile(
    r"(?:retry[-_ ]after|(?:try|retry) again in|retrying in)\D{0,6}(\d+(?:\.\d+)?) ?(ms|s|m|h)?\b",
    re.IGNORECASE,
)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Seen:
    """What kind of trouble an error is, and the line that says so."""

    kind: Trouble | None
    line: str


def seen_in(adapter: Adapter, said: str, status: int | None = None) -> Seen:
    """Return what kind of trouble an error is; of none in particular where nothing says so."""
    found = _first(adapter.signs, said)
    if found is not None:
        return found
    found = _first(common(), said) or Seen(None, said.strip().rpartition("\n")[2])
    if status is None or found.kind in _ABOVE_STATUS:
        return found
    return Seen(_STATUSES.get(status) or _by_range(status) or found.kind, found.line)


def _first(signs: Iterable[Sign], said: str) -> Seen | None:
    for sign in signs:
        match = _compiled(sign.match).search(said)
        if match is not None:
            begin, end = said.rfind("\n", 0, match.start()) + 1, said.find("\n", match.start())
            return Seen(sign.kind, said[begin : end if end >= 0 else len(said)])
    return None


def _by_range(status: int) -> Trouble | None:
    if status >= 500:
        return "overload"
    return "request" if status >= 400 else None


def retry_after_s(said: str) -> float | None:
    """Return the seconds that an error asks to wait."""
    match = _LATER.search(said)
    return float(match[1]) * _UNITS[(match[2] or "s").lower()] if match else None


@cache
def common() -> tuple[Sign, ...]:
    """Return the signs that hold for every agent."""
    top = Reader(read_toml(_FILE.read_text("utf-8"), source=str(_FILE)), source=str(_FILE))
    signs = read_signs(top, "errors")
    top.close()
    return signs


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)
