"""What must be true of every ledger that nobody is changing, as one function."""

from wfledger.run.chaos.invariants import Violation, journal_steps, of_files, of_steps
from wfledger.store import journal
from wfledger.store.evidence import Committed
from wfledger.store.inspect import inspect
from wfledger.store.ledger import Ledger

#: What ledgers of tests lack, or what is no fault.
_ALLOWED = {"missing-document", "missing-keep", "orphan-result", "orphan-claim", "unclaimed", "journal-torn"}


def check_ledger(
    ledger: Ledger, *, committed: Committed | None = None, allowed: set[str] | None = None
) -> None:
    """Fail unless the ledger is whole: one file for each task, readable, canonical, recorded."""
    findings = [f for f in inspect(ledger, committed=committed) if f.code not in (allowed or _ALLOWED)]
    assert findings == []
    assert violations(ledger) == []
    for record in ledger.journal.records():
        assert journal.decode(journal.encode(record)[:-1]) == record


def violations(ledger: Ledger) -> list[Violation]:
    """Return what is wrong with the files and the journal."""
    return [*of_files(ledger), *of_steps(journal_steps(ledger.journal.records()))]
