"""What an attempt that runs has used so far: a small file of this machine, replaced at each answer.

Whoever talks to the model writes it; who counts what a run has used adds it to the results. It goes
when the attempt has ended, and one of an attempt that is over counts for nothing. After a crash
what it said last goes into the attempt's result.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from wfledger.core.records import Record, canonical, parse
from wfledger.core.routes import Routed
from wfledger.core.usage import Usage
from wfledger.errors import WfledgerError
from wfledger.store import atomic
from wfledger.store.layout import SUFFIX, Named, split_attempt

FOLDER: Final = "meters"
_BYTES: Final = 16 * 1024


class Meter(Record):
    """What an attempt has used, and of which model."""

    usage: Usage
    route: Routed | None = None


def path_of(local: Path, task_id: str, attempt: int) -> Path:
    """Return where the meter of an attempt is, below the machine's own part of a ledger."""
    return local / FOLDER / f"{task_id}.{attempt}{SUFFIX}"


def write(path: Path, usage: Usage, route: Routed | None, *, tmp: Path) -> None:
    """Say what has been used so far; raises `OSError` where that cannot be written."""
    path.parent.mkdir(exist_ok=True)
    atomic.replace(path, canonical(Meter(usage=usage, route=route)), tmp=tmp)


def read(path: Path) -> Meter | None:
    """Return what a meter says; None where there is none, or none that can be read."""
    try:
        return parse(Meter, atomic.read(path, limit=_BYTES))
    except (OSError, WfledgerError):
        return None


def forget(path: Path) -> None:
    """Remove a meter whose attempt has ended; what stays, housekeeping removes."""
    with suppress(OSError):
        path.unlink()


def written(local: Path) -> Iterator[tuple[Named, Meter]]:
    """Yield what every meter here says, also those of attempts that are over."""
    try:
        paths = sorted((local / FOLDER).iterdir())
    except FileNotFoundError:
        return
    for path in paths:
        named, meter = split_attempt(path.name), read(path)
        if named is not None and meter is not None:
            yield named, meter
