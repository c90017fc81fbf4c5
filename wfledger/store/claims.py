"""The claim record: a small text file whose exclusive creation settles who holds an attempt.

`claims/<task>.<attempt>` has five lines, `key value` each, so that a shell can write it
(WFL-CLAIM-006). It is created after the rename into in-progress/ and never replaced. Whoever finds
it existing has lost.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.errors import WfledgerError
from wfledger.store import atomic

_KEYS: Final = ("worker", "machine", "pid", "boot", "token-sha256")
_LIMIT: Final = 4096
#: Characters of one value.
_VALUE: Final = 150
#: Owner of a claim that was taken back because nobody recorded it.
RECOVERY: Final = "recovery"


@dataclass(frozen=True)
class ClaimRecord:
    """Who holds an attempt. `pid` and `boot` are for people and for killing, never for liveness."""

    worker: str
    machine: str
    pid: int
    boot: str
    token_sha256: str

    def to_bytes(self) -> bytes:
        """Return the five lines."""
        given = (self.worker, self.machine, str(self.pid), self.boot, self.token_sha256)
        values = (_one_line(value) for value in given)
        lines = (f"{key} {value}" for key, value in zip(_KEYS, values, strict=True))
        return ("\n".join(lines) + "\n").encode()


def _one_line(value: str) -> str:
    """Return *value* so that it cannot forge another line, within the bound of a record."""
    plain = "".join(letter if letter.isprintable() else " " for letter in value)
    return " ".join(plain.encode("utf-8", "replace").decode().split())[:_VALUE]


def parse(raw: bytes) -> ClaimRecord | None:
    """Return the record in *raw*; None when it is empty or garbled, which still is a claim."""
    fields: dict[str, str] = {}
    for line in raw.decode("utf-8", "replace").split("\n"):
        key, _, value = line.partition(" ")
        fields[key] = value.strip()
    pid = fields.get("pid", "")
    if not fields.get("worker") or not (pid.isascii() and pid.isdigit()):
        return None
    return ClaimRecord(
        worker=fields["worker"],
        machine=fields.get("machine", ""),
        pid=int(pid),
        boot=fields.get("boot", ""),
        token_sha256=fields.get("token-sha256", ""),
    )


def read(path: Path) -> ClaimRecord | None:
    """Return the record at *path*; None when it is garbled. `FileNotFoundError`: nobody claimed."""
    try:
        return parse(atomic.read(path, limit=_LIMIT))
    except WfledgerError:
        return None
