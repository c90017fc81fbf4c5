"""Which task files were put into a folder, moved or edited since somebody looked last.

The kernel notes the moment of each rename and each write in the file itself (its change time),
which nobody can set; so one number says what has been looked at, and a look costs a `stat` for each
file of the folders that people edit, and for a cold folder where nothing entered or left, one. The
number is kept for the next process. What a clock set back hides is for `doctor`, which compares
everything.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wfledger.core.records import canonical_json
from wfledger.core.statuses import Status
from wfledger.store import atomic
from wfledger.store.layout import SUFFIX, Layout

#: Change times that differ by less are looked at twice: they come from ticks of the kernel.
_SLACK_NS: Final = 50_000_000
#: What a file is known by: its inode, change time and size.
Identity = tuple[int, int, int]


@dataclass(frozen=True)
class Arrival:
    """A file that is new where it lies, or has another content."""

    status: Status
    path: Path
    identity: Identity


@dataclass
class _Note:
    """What is kept between looks."""

    #: Whatever changed before this moment has been looked at.
    until: int = 0
    #: Up to where the journal has been taken into account: number of a file, offset in it.
    journal: tuple[int, int] = (0, 0)
    #: Files that are older and were not decided on.
    open: frozenset[str] = frozenset()


@dataclass
class Arrivals:
    """Looks at one ledger; remembers in the process and on disk what was seen."""

    layout: Layout
    _note: _Note = field(default_factory=_Note)
    _now: int = 0
    _seen: dict[str, Identity] = field(default_factory=dict)
    #: Cold folder -> the names in it that were seen.
    _names: dict[str, frozenset[str]] = field(default_factory=dict)
    _listed: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def journal(self) -> tuple[int, int]:
        """Up to where the journal was taken into account by the last look."""
        return self._note.journal

    def look(self, *, everything: bool = False) -> list[Arrival]:
        """Return what arrived since the last look that was `done`, of whatever process."""
        self._now = self._moment()
        self._note = _Note() if everything else self._load()
        if self._note.until > self._now:
            self._note = _Note()  # the clock was set back: look at everything once
        if not self._note.until:
            self._names.clear()
            self._seen.clear()
        self._listed = {}
        return list(self._arrived(self._note.until - _SLACK_NS))

    def done(self, decided: list[Arrival], undecided: list[Arrival], *, journal: tuple[int, int]
    ) -> None:
        """Remember that a look was acted on; what is *undecided* is seen again by the next."""
        for arrival in decided:
            self._seen[str(arrival.path)] = arrival.identity
        self._names |= self._listed
        # Whatever is older than this look is known by its time; only what is younger needs a name.
        oldest = self._now - _SLACK_NS
        self._seen = {path: one for path, one in self._seen.items() if one[1] >= oldest}
        left = frozenset(str(a.path.relative_to(self.layout.root)) for a in undecided)
        facts: dict[str, Any] = {
            "until": self._now, "journal": list(journal), "open": sorted(map(_plain, left)),
        }
        atomic.replace(self._path, canonical_json(facts), tmp=self.layout.tmp)

    @property
    def _path(self) -> Path:
        return self.layout.local / "index" / "looked.json"

    def _moment(self) -> int:
        """Return the present time as this file system writes it into files."""
        probe = self.layout.local / "index" / "looking"
        descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            os.utime(descriptor)
            return os.fstat(descriptor).st_ctime_ns
        finally:
            os.close(descriptor)

    def _load(self) -> _Note:
        try:
            facts = json.loads(self._path.read_bytes())
            number, offset = facts["journal"]
            return _Note(int(facts["until"]), (int(number), int(offset)), frozenset(facts["open"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return _Note()

    # -- looking ---------------------------------------------------------------------------------

    def _arrived(self, since: int) -> Iterator[Arrival]:
        for status in Status:
            top = self.layout.folder(status)
            yield from self._of(status, _files(top), since)
            if not status.is_cold:
                continue
            for folder in _folders(top):
                found = _files(folder)
                if status.is_final:
                    found = self._entered(folder, found, since)
                yield from self._of(status, found, since)

    def _entered(
        self, folder: Path, entries: Iterator[os.DirEntry[str]], since: int
    ) -> Iterator[os.DirEntry[str]]:
        """Leave out what lay in a folder of finished tasks at the last look."""
        try:
            changed = folder.stat().st_mtime_ns
        except FileNotFoundError:
            return
        name = str(folder)
        is_open = any(path.startswith(f"{folder.parent.name}/") for path in self._note.open)
        if changed < since and not is_open:
            return
        before, present = self._names.get(name, frozenset()), list(entries)
        self._listed[name] = frozenset(entry.name for entry in present)
        yield from (entry for entry in present if is_open or entry.name not in before)

    def _of(
        self, status: Status, entries: Iterator[os.DirEntry[str]], since: int
    ) -> Iterator[Arrival]:
        root = len(str(self.layout.root)) + 1
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if facts.st_ctime_ns < since and _plain(entry.path[root:]) not in self._note.open:
                continue
            identity = (facts.st_ino, facts.st_ctime_ns, facts.st_size)
            if self._seen.get(entry.path) != identity:
                yield Arrival(status, Path(entry.path), identity)


def _plain(path: str) -> str:
    """Return a path as the note can hold it; what is no UTF-8 stays distinguishable."""
    return path.encode("utf-8", "backslashreplace").decode()


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from [entry for entry in entries if entry.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def identity_of(path: Path) -> Identity | None:
    """Return what a file is known by, or None where it is gone."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_ctime_ns, facts.st_size
