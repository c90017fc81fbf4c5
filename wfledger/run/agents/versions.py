"""Which version of an agent's program is installed: asked once for each program and process."""

import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final

_ASK_S: Final = 20.0
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")


def version_of(argv: tuple[str, ...], path: str) -> str | None:
    """Return the version that *argv* prints, its program looked for on *path*; None if none."""
    program = shutil.which(argv[0], path=path) if argv else None
    if program is None:
        return None
    try:
        changed = Path(program).stat().st_mtime_ns
    except OSError:
        return None
    return _ask((program, *argv[1:]), path, changed)


@lru_cache(maxsize=64)
def _ask(argv: tuple[str, ...], path: str, changed: int) -> str | None:
    """Ask the program; *changed* tells apart what was installed later."""
    del changed
    with tempfile.TemporaryDirectory(prefix="wfledger-") as home:
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=False,
                cwd=home, env={"PATH": path, "HOME": home},
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return None
    found = _VERSION.search((done.stdout + done.stderr).decode("utf-8", "replace"))
    return found[0] if found else None
