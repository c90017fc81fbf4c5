"""An agent's own home: made anew for each attempt, so that no two agents share a file of settings.

It lies on the desk of the attempt and goes with it. Of the person's own home it gets copies of the
login that the adapter names, where the agent is to use that, and nothing else.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wfledger.errors import WfledgerError
from wfledger.run.config.adapters import Adapter
from wfledger.run.processes.environment import looks_like_token, looks_secret
from wfledger.store import atomic

_LOGIN_BYTES: Final = 2**20
#: A shorter value is no secret, but an ordinary word of the output.
_SECRET_CHARS: Final = 16


@dataclass(frozen=True)
class Home:
    """What was made."""

    folder: Path
    #: Variables that name folders of it.
    env: Mapping[str, str]
    #: What the login's files hold, to be blotted out of what the agent writes.
    secrets: tuple[str, ...] = field(default=(), repr=False)


def make_home(adapter: Adapter, folder: Path, files: Mapping[str, str], *, login: bool) -> Home:
    """Make the home at *folder* with *files* in it; with *login*, with the person's login too.

    Doing it again, for a resumed session, leaves what the agent has put there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    env = {}
    for name, below in adapter.home:
        place = folder / below
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        env[name] = str(place)
    for path, text in files.items():
        _write(folder / path, text.encode())
    secrets: list[str] = []
    for source, path in adapter.login.copy if login else ():
        # It may have been renewed there since; the person's would be the old one.
        renewed, given = _login_file(folder / path), _login_file(Path(source).expanduser())
        secrets += [one for raw in (renewed, given) if raw is not None for one in _secrets_in(raw)]
        if renewed is None and given is not None:
            _write(folder / path, given)
    return Home(folder, env, tuple(dict.fromkeys(secrets)))


def _login_file(path: Path) -> bytes | None:
    """Return a file of a login; None where it cannot be read: then there is no login."""
    try:
        return atomic.read(Path(os.path.realpath(path)), limit=_LOGIN_BYTES)
    except (OSError, WfledgerError):
        return None


def _write(path: Path, raw: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # An agent may have put a link there: it is replaced, not followed.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)


def _secrets_in(raw: bytes) -> Iterator[str]:
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return
    yield from _strings(data, is_secret=False)


def _strings(value: object, *, is_secret: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, is_secret=is_secret or looks_secret(str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, is_secret=is_secret)
    elif isinstance(value, str) and _is_secret(value, is_named=is_secret):
        yield value


def _is_secret(value: str, *, is_named: bool) -> bool:
    return len(value) >= _SECRET_CHARS and (is_named or looks_like_token(value))
