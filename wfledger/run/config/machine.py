"""machine.toml: what a person says of this machine alone, beside what fleet.toml says for all.

It holds the same tables, and what no branch may grant. It lies in the user's configuration, never
in a repository, and is read only as somebody vouches for it where something is run from it.
"""

import os
from pathlib import Path
from typing import Final

from wfledger.run.config.settings import FILE_BYTES, Reader
from wfledger.store import atomic

#: The key that says which agents may run without any sandbox.
UNSANDBOXED: Final = "allow_unsandboxed"


def path() -> Path:
    """Return where it is, or would be; relative settings do not count."""
    given = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    home = given if given.is_absolute() else Path.home() / ".config"
    # People keep their configuration elsewhere and link to it.
    return Path(os.path.realpath(home / "wfledger" / "machine.toml"))


def text() -> str:
    """Return what it says; nothing where it is not there."""
    try:
        return atomic.read(path(), limit=FILE_BYTES).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def read_unsandboxed(top: Reader, source: str) -> bool | frozenset[str]:
    """Read which agents may run without a sandbox: all of them, or those that are named.

    Anywhere but in machine.toml, which is *source*, it is a mistake: no branch can allow that.
    """
    found = top.flag_or_strings(UNSANDBOXED)
    if top.has(UNSANDBOXED) and top.source_of(UNSANDBOXED) != source:
        top.wrong(UNSANDBOXED, f"belongs to this machine alone: write it into {source}")
        return False
    return frozenset(found) if isinstance(found, tuple) else bool(found)
