"""Who took a lock last, in `locks/<name>.holder`: said to people, never believed (WFL-LEDGER-029).

The lock itself decides; a pid may be another process's by now.
"""

import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

_WIDTH: Final = 64
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_UNKNOWN: Final = "another wfledger process holds it; try again, or look with: wfledger doctor"


class Holders:
    """The notes of one folder of locks; writing one costs microseconds and never fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, name: str) -> None:
        """Write down that this process has taken the lock *name*."""
        with suppress(OSError):
            raw = f"{os.getpid()} {_namespace()} {_program()}".encode("ascii", "replace")
            descriptor = os.open(self._folder / f"{name}.holder", _FLAGS, 0o644)
            try:
                os.pwrite(descriptor, raw[:_WIDTH].ljust(_WIDTH), 0)
            finally:
                os.close(descriptor)

    def said(self, name: str) -> tuple[str, str]:
        """Return what to add to the message that a lock is busy, and what to do."""
        try:
            text = (self._folder / f"{name}.holder").read_text("ascii")
        except (OSError, ValueError):
            return "", _UNKNOWN
        pid, _, rest = text.strip().partition(" ")
        where, _, program = rest.partition(" ")
        # The number of a process in another container is a stranger's here.
        state = _state(pid) if where == _namespace() else None
        if state is None:
            return "", _UNKNOWN
        said = f": {program} (process {pid}) holds it"
        if state != "T":
            return said, "try again"
        return f"{said} and stands still, stopped", f"kill -CONT {pid} lets it go on"


@cache
def _namespace() -> str:
    """Return the pid namespace that this process is in; "-" where there are none."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return "-"


def _program() -> str:
    """Return this process as people know it: `wfledger run`; of the arguments only the verb."""
    path = Path(sys.argv[0])
    name = path.parent.name if path.name == "__main__.py" else path.name
    return f"{name} {sys.argv[1] if len(sys.argv) > 1 else ''}".strip()


def _state(pid: str) -> str | None:
    """Return the letter of a process's state, or None where there is none."""
    if not pid.isdigit():
        return None
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return raw[raw.rindex(b")") + 2 :][:1].decode("ascii", "replace")
