"""What must be true of every ledger that nobody is changing; each departure is a `Violation`.

Looks and changes nothing. `wfledger torture` and the tests hold a ledger against the same rules:
each task in one place, whole files, legal moves, attempts that rise by one, a history that only
grows, landings that can be replayed, and nothing left behind by what is over.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from wfledger.core.records import canonical
from wfledger.core.statuses import TRANSITIONS, Status
from wfledger.errors import WfledgerError
from wfledger.store.entries import Unreadable
from wfledger.store.ledger import Ledger
from wfledger.store.settling import may_move_freely

Invariant = Literal[
    "lost", "doubled", "torn", "illegal", "history", "landing", "orphan", "leftover", "damage",
    "unfinished", "defect",
]  # fmt: skip


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


class Move(NamedTuple):
    """One recorded transition; the source is None for a task that was added."""

    task: str
    source: Status | None
    target: Status
    attempt: int
    why: str
    #: The document's number after it; None where the record has none.
    seq: int | None = None

    def __str__(self) -> str:
        """Return it as the history writes it."""
        source = self.source.value if self.source else "new"
        return f"{source} -> {self.target.value} attempt {self.attempt} ({self.why})"


#: Reasons of records by which recovery puts a task where it belongs; no arrow is needed.
_REPAIRS: Final = ("rebuilt",)
_TRAILER: Final = re.compile(r'(\S+) (\S+) -> (\S+) attempt (\d+) by ("[^"]*"(?:\.\.\.")?): (.*)')


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


# -- moves ---------------------------------------------------------------------------------------


def journal_moves(records: Iterable[dict[str, Any]]) -> Iterator[Move]:
    """Yield the moves of tasks that the journal's *records* tell, in their order."""
    for record in records:
        if record["kind"] != "file":
            source = Status(record["from"]) if record["from"] else None
            yield Move(
                record["task"], source, Status(record["to"]), record["attempt"], record["why"],
                record["seq"],
            )  # fmt: skip


def trailer_move(text: str) -> Move | None:
    """Return the move that the trailer `Wfledger-Transition` names; None where it is none."""
    found = _TRAILER.fullmatch(text)
    if found is None:
        return None
    task, source, target, attempt, _, why = found.groups()
    try:
        before = None if source == "new" else Status(source)
        return Move(task, before, Status(target), int(attempt), why.strip('"'))
    except ValueError:
        return None


def of_moves(moves: Iterable[Move]) -> Iterator[Violation]:
    """Yield what is wrong with *moves*: each legal, in unbroken order, attempts by one.

    At most one claim may stand for each (task, attempt).
    """
    last: dict[str, Move] = {}
    claims: Counter[tuple[str, int]] = Counter()
    for move in moves:
        yield from _of_move(last.get(move.task), move)
        last[move.task] = move
        if (move.source, move.target) == (Status.PENDING, Status.IN_PROGRESS):
            claims[move.task, move.attempt] += 1
    for (task, attempt), count in sorted(claims.items()):
        if count > 1:
            yield Violation("doubled", task, f"attempt {attempt} was claimed {count} times")


def _of_move(before: Move | None, move: Move) -> Iterator[Violation]:
    source, target = move.source, move.target
    repairs = move.why.startswith(_REPAIRS)
    arrow = source is None or source is target or (source, target) in TRANSITIONS
    if not arrow and not repairs:
        yield Violation("illegal", move.task, f"no arrow leads so: {move}")
    if before is None:
        return
    if source is None and not repairs:
        yield Violation("doubled", move.task, f"added again: {move}")
    elif source not in {None, before.target} and not may_move_freely(before.target, source):
        yield Violation("illegal", move.task, f"{before} is followed by {move}")
    if move.seq is not None and before.seq is not None and move.seq - before.seq not in {0, 1}:
        yield Violation("illegal", move.task, f"number {before.seq} is followed by {move.seq}")
    yield from _of_attempt(before, move, repairs=repairs)


def _of_attempt(before: Move, move: Move, *, repairs: bool) -> Iterator[Violation]:
    promoted = move.target is Status.PENDING and move.source is Status.WAITING
    # What no worker has done has an attempt all the same: of a controller, of a reused result.
    decided = move.source is Status.WAITING and move.target in {Status.WAITING, Status.DONE}
    allowed = {before.attempt + 1} if promoted else {before.attempt}
    allowed |= {before.attempt + 1} if decided else set()
    if move.attempt not in allowed and not (repairs and move.attempt >= before.attempt):
        yield Violation(
            "illegal", move.task,
            f"attempt {before.attempt} became {move.attempt} by {move}",
        )


# -- helpers -------------------------------------------------------------------------------------


def guarded(subject: str, found: Iterator[Violation]) -> Iterator[Violation]:
    """Yield *found*; a ledger or repository that cannot be read is a violation itself."""
    try:
        yield from found
    except (WfledgerError, OSError, ValueError) as error:
        yield Violation("damage", subject, f"cannot be checked: {error}")
