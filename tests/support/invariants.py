"""What must be true of every ledger that nobody is changing, as one function."""

from collections.abc import Iterable, Iterator
from typing import Any

from wfledger.core.linear import Checker, Step
from wfledger.core.statuses import Status
from wfledger.run.chaos.invariants import Violation, of_faults, of_files
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


def journal_steps(records: Iterable[dict[str, Any]]) -> Iterator[Step]:
    """Yield the steps of tasks that the journal's *records* tell, in their order."""
    for record in records:
        if record["kind"] != "file":
            source = Status(record["from"]) if record["from"] else None
            yield Step(
                record["task"], source, Status(record["to"]), record["attempt"], record["why"],
                record["seq"],
            )  # fmt: skip


def of_steps(steps: Iterable[Step], *, whole: bool = False) -> Iterator[Violation]:
    """Yield what is wrong with *steps*; *whole*: whether the first ones are among them."""
    checker = Checker(whole=whole)
    for step in steps:
        yield from of_faults(checker.take(step))
