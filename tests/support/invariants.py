"""What must be true of every ledger that nobody is changing, as one function."""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from wfledger.core.records import canonical
from wfledger.core.statuses import TRANSITIONS, Status
from wfledger.store import journal
from wfledger.store.entries import Unreadable
from wfledger.store.evidence import Committed
from wfledger.store.inspect import inspect
from wfledger.store.ledger import Ledger
from wfledger.store.settling import may_move_freely

#: What ledgers of tests lack, or what is no fault.
_ALLOWED = {"missing-document", "missing-keep", "orphan-result", "orphan-claim", "unclaimed", "journal-torn"}


def check_ledger(
    ledger: Ledger, *, committed: Committed | None = None, allowed: set[str] | None = None
) -> None:
    """Fail unless the ledger is whole: one file for each task, readable, canonical, recorded."""
    findings = [f for f in inspect(ledger, committed=committed) if f.code not in (allowed or _ALLOWED)]
    assert findings == []
    assert ledger.marker.get() is None
    _check_files(ledger)
    _check_journal(ledger)


def _check_files(ledger: Ledger) -> None:
    places = Counter(name for status in Status for name in ledger.names(status))
    assert {name for name, count in places.items() if count != 1} == set()
    for status in Status:
        for entry in ledger.entries(status):
            assert not isinstance(entry, Unreadable), entry
            raw = ledger.layout.task(status, entry.task.id).read_bytes()
            assert raw == canonical(entry.task)
    assert list(ledger.layout.tmp.iterdir()) == []


def _check_journal(ledger: Ledger) -> None:
    moves: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in ledger.journal.records():
        if record["kind"] != "file":
            moves[record["task"]].append(record)
    claims = Counter(
        (r["task"], r["attempt"]) for records in moves.values() for r in records
        if (r["from"], r["to"]) == (Status.PENDING, Status.IN_PROGRESS)
    )
    assert {key for key, count in claims.items() if count > 1} == set()
    for records in moves.values():
        for record in records:
            _check_record(record)
        for one, other in pairwise(records):
            gap = Status(one["to"]), Status(other["from"])
            assert gap[0] is gap[1] or may_move_freely(*gap), (one, other)
            assert other["seq"] - one["seq"] in {0, 1}, (one, other)
            assert other["attempt"] >= one["attempt"], (one, other)


def _check_record(record: dict[str, Any]) -> None:
    source, target = record["from"], Status(record["to"])
    if source is None or source == target or record["why"] == "rebuilt":
        return
    assert (Status(source), target) in TRANSITIONS, record
    assert journal.decode(journal.encode(record)[:-1]) == record
