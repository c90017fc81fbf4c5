"""What must be true of every ledger that nobody is changing; each departure is a `Violation`.

Looks and changes nothing. `wfledger torture` and the tests hold a ledger against the same rules:
each task in one place, whole files, legal moves, attempts that rise by one, a history that only
grows, landings that can be replayed, and nothing left behind by what is over.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from wfledger.core.linear import Fault
from wfledger.core.records import canonical
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.store.entries import Unreadable
from wfledger.store.ledger import Ledger

Invariant = Literal[
    "lost", "doubled", "torn", "illegal", "history", "landing", "orphan", "leftover", "damage",
    "unfinished", "defect",
]  # fmt: skip
#: Rules of `core.linear` that something was done twice by, and that something is not there by.
_TWICE: Final = frozenset({"added", "claimed-twice", "handed-in-twice", "doubled", "two-owners"})
_GONE: Final = frozenset({"unacknowledged", "vanished"})


@dataclass(frozen=True)
class Violation:
    """One thing that must not be."""

    invariant: Invariant
    #: A task, a file, a commit or a process.
    subject: str
    message: str

    def as_json(self) -> dict[str, str]:
        """Return the shape that is printed."""
        return {"invariant": self.invariant, "subject": self.subject, "message": self.message}


def of_files(ledger: Ledger, *, submitted: Iterable[str] = ()) -> Iterator[Violation]:
    """Yield what is wrong with the files: each task in one folder, whole, and nothing half done.

    *submitted* are tasks whose submission was acknowledged: each must be somewhere.
    """
    places = Counter(name for status in Status for name in ledger.names(status))
    for name, count in sorted(places.items()):
        if count != 1:
            yield Violation("doubled", name, f"it lies in {count} folders")
    for name in sorted(set(submitted) - set(places)):
        yield Violation("lost", name, "it was submitted and lies in no folder")
    for status in Status:
        yield from _of_folder(ledger, status)
    if ledger.marker.get() is not None:
        yield Violation("torn", "marker", "a change was left half done")
    for path in sorted(ledger.layout.tmp.iterdir()):
        yield Violation("leftover", path.name, "a temporary file is left")


def _of_folder(ledger: Ledger, status: Status) -> Iterator[Violation]:
    for entry in ledger.entries(status):
        if isinstance(entry, Unreadable):
            yield Violation("torn", str(entry.path), entry.reason)
            continue
        path = ledger.layout.task(status, entry.task.id)
        if not path.is_file() or path.read_bytes() != canonical(entry.task):
            yield Violation("torn", entry.task.id, "its file is not in canonical form")


def of_faults(found: Iterable[Fault]) -> Iterator[Violation]:
    """Yield what the checker found wrong with a history."""
    for fault in found:
        kind: Invariant = "history" if fault.rule in {"tip", "line", "trailer"} else "illegal"
        kind = "doubled" if fault.rule in _TWICE else "lost" if fault.rule in _GONE else kind
        yield Violation(kind, fault.subject, fault.message)


def guarded(subject: str, found: Iterator[Violation]) -> Iterator[Violation]:
    """Yield *found*; a ledger or repository that cannot be read is a violation itself."""
    try:
        yield from found
    except (WfledgerError, OSError, ValueError) as error:
        yield Violation("damage", subject, f"cannot be checked: {error}")
