"""Several claimants at once: every task goes to exactly one of them."""

from pathlib import Path

import pytest

from tests.support import processes
from tests.support.ledgers import make_ledger, open_ledger, put, record
from wfledger.clock import SystemClock
from wfledger.core.statuses import Status
from wfledger.errors import StaleError

TASKS = [f"r.t{number:02}" for number in range(60)]


def _claim_all(folder: Path, worker: str) -> list[str]:
    ledger = open_ledger(folder, clock=SystemClock())
    taken = []
    for name in TASKS:
        try:
            with ledger.transaction(worker) as changes:
                taken.append(changes.claim(name, record(worker)).task.id)
        except StaleError:
            continue
    return taken


def test_every_task_goes_to_exactly_one_of_many_claimants(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    put(ledger, Status.PENDING, *TASKS)
    taken = processes.race(_claim_all, [(tmp_path, f"w{number}") for number in range(4)])
    assert sorted(name for names in taken for name in names) == TASKS
    assert ledger.names(Status.IN_PROGRESS) == TASKS
    claimed = [entry["task"] for entry in ledger.journal.records() if entry["kind"] == "claim"]
    assert sorted(claimed) == TASKS


def test_lost_claim_leaves_the_next_holder_nothing_to_finish(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    put(ledger, Status.PENDING, "r.a")
    with ledger.transaction("first") as changes:
        changes.claim("r.a", record("first"))
    with pytest.raises(StaleError), ledger.transaction("second") as changes:
        changes.claim("r.a", record("second"))
    assert ledger.marker.get() is None
    assert ledger.journal.segments() == []
