"""What the holder of the ledger lock is in the middle of, so that the next one can finish it.

A transition touches a task's content, its folder and the journal. The marker is written before the
first and wiped after the last, without syncing: it outlives the process, and after a power loss
the whole ledger is looked through anyway (WFL-REC-003).
"""

import json
import os
from pathlib import Path
from typing import Any, Final

_SIZE: Final = 1024
_EMPTY: Final = b"\0" * 4


class Marker:
    """One small file that is overwritten in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _open(self) -> int:
        if self._descriptor < 0 or not os.fstat(self._descriptor).st_nlink:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o644)
        return self._descriptor

    def set(self, **facts: Any) -> None:
        """Say what begins now."""
        raw = json.dumps(facts, separators=(",", ":")).encode()
        if len(raw) >= _SIZE:
            raise ValueError("a marker is small")
        os.pwrite(self._open(), raw.ljust(_SIZE, b"\0"), 0)

    def clear(self) -> None:
        """Say that it is finished."""
        os.pwrite(self._open(), _EMPTY, 0)

    def get(self) -> dict[str, Any] | None:
        """Return what was begun and not finished, or None."""
        raw = os.pread(self._open(), _SIZE, 0).rstrip(b"\0")
        if not raw or raw.startswith(b"\0"):
            return None
        try:
            facts = json.loads(raw)
        except ValueError:
            return {}
        return facts if isinstance(facts, dict) else {}
