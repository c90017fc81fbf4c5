"""The environment in which every test, and every process that a test starts, runs."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import wfledger

#: The directory that `wfledger` is imported from; child processes import it from there too.
ROOT: Final = Path(wfledger.__file__).resolve().parents[1]
NAME: Final = "Test Author"
EMAIL: Final = "author@example.org"
DATE: Final = "2026-01-05T09:00:00+00:00"
UMASK: Final = 0o022
_SCRUBBED: Final = ("GIT_", "XDG_", "WFLEDGER_", "LC_", "SSH_")
_GIT_CONFIG: Final = f"""\
[user]
\tname = {NAME}
\temail = {EMAIL}
[init]
\tdefaultBranch = main
[gc]
\tauto = 0
"""


def variables(home: Path, *, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a whole environment that knows nothing of the user's settings; *home* must exist."""
    outside = os.environ if base is None else base
    kept = {name: value for name, value in outside.items() if not name.startswith(_SCRUBBED)}
    kept.pop("LANGUAGE", None)
    config = home / ".gitconfig"
    return kept | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(home.parent),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "false",
        "GIT_PAGER": "cat",
        "GIT_AUTHOR_NAME": NAME,
        "GIT_AUTHOR_EMAIL": EMAIL,
        "GIT_AUTHOR_DATE": DATE,
        "GIT_COMMITTER_NAME": NAME,
        "GIT_COMMITTER_EMAIL": EMAIL,
        "GIT_COMMITTER_DATE": DATE,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "100",
        "PYTHONPATH": str(ROOT),
    }


def furnish(home: Path) -> None:
    """Create *home* with the git identity of the tests; done twice it changes nothing."""
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text(_GIT_CONFIG)


def point_libgit2_at(home: Path) -> None:
    """Make libgit2, which read HOME when it was loaded, look for its settings in *home*."""
    # Only when it is loaded already: whoever loads it later finds the sealed HOME by itself.
    pygit2 = sys.modules.get("pygit2")
    if pygit2 is None:
        return
    nowhere = str(home / "nowhere")
    levels = pygit2.enums.ConfigLevel
    pygit2.settings.search_path[levels.GLOBAL] = str(home)
    pygit2.settings.search_path[levels.XDG] = str(home / ".config/git")
    pygit2.settings.search_path[levels.SYSTEM] = nowhere
