"""What meetings came to, for people: the last one, and those that changed anything.

`hub/met.json` is written after each meeting, `hub/news.jsonl` gets a line for each that was news,
`hub/failed.log` what one failed with that nobody expected. Nothing is decided by any of them; all
may be lost.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from wfledger.clock import iso
from wfledger.run.hub.meeting import Lost, Met, Moved, Outcome
from wfledger.run.hub.state import folder
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

_MET: Final = "met.json"
_NEWS: Final = "news.jsonl"
_TOLD: Final = "told.json"
_FAILED: Final = "failed.log"
#: Bytes of news, and of what failed; of more, the older half goes.
_BYTES: Final = 2**20
#: Transitions of one kind that are remembered of a meeting; of more, only the number.
_KEPT: Final = 100


@dataclass(frozen=True)
class Record:
    """One meeting as it is remembered."""

    #: When it ended (UTC, ISO 8601), and how long it took.
    at: str
    took_s: float
    outcome: Outcome
    said: str = ""
    hint: str | None = None
    #: The last request (`poking.ask`) that it answers.
    asked: int = 0
    #: Seconds between two meetings.
    interval_s: float = 0.0
    #: Since when meetings have failed (UTC, ISO 8601); None where the last has not.
    away: str | None = None


@dataclass
class News:
    """What has changed by some meetings, the oldest first; `counts` has the whole numbers."""

    came: list[Moved] = field(default_factory=list)
    went: list[Moved] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, met: Met) -> None:
        """Take one meeting in."""
        self.count({
            "came": len(met.came), "went": len(met.went), "granted": len(met.granted),
            "refused": len(met.refused), "lost": len(met.lost),
        })  # fmt: skip
        self.came += met.came[:_KEPT]
        self.went += met.went[:_KEPT]
        self.granted += met.granted[:_KEPT]
        self.refused += met.refused[:_KEPT]
        self.lost += met.lost[:_KEPT]

    def count(self, more: Mapping[str, int]) -> None:
        """Count so many more of each kind."""
        for kind, number in more.items():
            self.counts[kind] = self.counts.get(kind, 0) + number

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `sync --json` prints."""
        return {
            "came": [one.as_json() for one in self.came],
            "went": [one.as_json() for one in self.went],
            "granted": self.granted,
            "refused": [{"what": what, "because": why} for what, why in self.refused],
            "lost": [one.as_json() for one in self.lost],
            "counts": self.counts,
        }


def note(workspace: Workspace, record: Record, met: Met) -> None:
    """Remember a meeting; raises `OSError` where the disk does not take it."""
    layout = workspace.ledger.layout
    place = folder(layout.local)
    if met.is_news:
        news = News()
        news.add(met)
        line = json.dumps(asdict(news), ensure_ascii=True).encode() + b"\n"
        _append(place / _NEWS, line, tmp=layout.tmp)
    raw = json.dumps(asdict(record), ensure_ascii=True).encode()
    atomic.replace(place / _MET, raw, tmp=layout.tmp)


def note_failure(workspace: Workspace, text: str) -> Path:
    """Keep what a meeting failed with that nobody expected; returns the file, which may be full."""
    layout = workspace.ledger.layout
    path = folder(layout.local) / _FAILED
    with suppress(OSError):
        _append(path, f"{iso(workspace.clock.now())} {text}\n\n".encode(), tmp=layout.tmp)
    return path


def last(workspace: Workspace) -> Record | None:
    """Return the last meeting; None where there was none, or nothing can be read."""
    try:
        found = json.loads((folder(workspace.ledger.layout.local) / _MET).read_bytes())
        return Record(**found)
    except (OSError, ValueError, TypeError):
        return None


def answered(workspace: Workspace) -> int:
    """Return the last request for a meeting that was answered by one; 0 for none."""
    record = last(workspace)
    return record.asked if record is not None else 0


@dataclass(frozen=True)
class Told:
    """What somebody has been told already."""

    #: When that was (UTC, ISO 8601).
    at: str | None = None
    #: A `position` in the news, and the number of losses.
    news: int = 0
    lost: int = 0


def told(workspace: Workspace) -> Told:
    """Return what somebody has been told already."""
    try:
        found = json.loads((folder(workspace.ledger.layout.local) / _TOLD).read_bytes())
        return Told(**found)
    except (OSError, ValueError, TypeError):
        return Told()


def note_told(workspace: Workspace, what: Told) -> None:
    """Remember what somebody has been told now."""
    layout = workspace.ledger.layout
    raw = json.dumps(asdict(what), ensure_ascii=True).encode()
    atomic.replace(folder(layout.local) / _TOLD, raw, tmp=layout.tmp)


def position(workspace: Workspace) -> int:
    """Return where the news end now."""
    try:
        return (folder(workspace.ledger.layout.local) / _NEWS).stat().st_size
    except OSError:
        return 0


def news(workspace: Workspace, since: int = 0) -> News:
    """Return all that meetings have changed since a *position*."""
    path = folder(workspace.ledger.layout.local) / _NEWS
    total = News()
    with suppress(FileNotFoundError):
        for one in _read(path, since):
            total.count(one.counts)
            for name in ("came", "went", "granted", "refused", "lost"):
                getattr(total, name).extend(getattr(one, name))
    return total


def _read(path: Path, since: int) -> Iterator[News]:
    with path.open("rb") as file:
        if since <= os.fstat(file.fileno()).st_size:  # else it was cut meanwhile
            file.seek(since)
        for line in file:
            with suppress(ValueError, TypeError, KeyError):  # torn, or of another version
                yield _from_json(json.loads(line))


def _append(path: Path, line: bytes, *, tmp: Path) -> None:
    with suppress(FileNotFoundError):
        if path.stat().st_size > _BYTES:
            kept = path.read_bytes()[-_BYTES // 2 :]
            atomic.replace(path, kept[kept.find(b"\n") + 1 :], tmp=tmp)
    with path.open("ab") as file:
        file.write(line)


def _from_json(found: dict[str, Any]) -> News:
    return News(
        came=[Moved(**one) for one in found["came"]], went=[Moved(**one) for one in found["went"]],
        granted=list(found["granted"]), refused=[(what, why) for what, why in found["refused"]],
        lost=[Lost(**one) for one in found["lost"]], counts=dict(found["counts"]),
    )  # fmt: skip
