"""Ledgers without git around them, for tests of the store and of what it alone decides."""

import hashlib
import os
from pathlib import Path
from typing import Any

from tests.support.clock import FakeClock
from wfledger.clock import Clock
from wfledger.core.documents import Task, TaskSpec
from wfledger.core.records import canonical
from wfledger.core.statuses import Status
from wfledger.store.claims import ClaimRecord
from wfledger.store.layout import LOCAL_FOLDERS, OTHER_FOLDERS, Layout
from wfledger.store.ledger import Ledger

TOKEN = "token"


def make_ledger(folder: Path, *, clock: Clock | None = None) -> Ledger:
    """Create an empty ledger in `folder/ledger` and `folder/local` and open it."""
    layout = Layout(folder / "ledger", folder / "local")
    for name in (*(status.value for status in Status), *OTHER_FOLDERS):
        (layout.root / name).mkdir(parents=True)
    for name in LOCAL_FOLDERS:
        (layout.local / name).mkdir(parents=True)
    return open_ledger(folder, clock=clock)


def open_ledger(folder: Path, *, clock: Clock | None = None) -> Ledger:
    """Open what `make_ledger` created, as another process would."""
    return Ledger.open(folder / "ledger", folder / "local", clock=clock or FakeClock())


def make_task(task_id: str, *, spec: TaskSpec | None = None, **fields: Any) -> Task:
    """Return a valid task of that id; its run is the id up to the first dot."""
    spec = spec or TaskSpec(title=task_id, command="true", write=("src/a",))
    given: dict[str, Any] = {
        "id": task_id,
        "run": task_id.partition(".")[0],
        "seq": 1,
        "attempt": 0,
        "created": "2026-01-05T09:00:00.000Z",
        "spec": spec,
        "spec_sha256": spec.digest(),
    }
    return Task(**(given | fields))


def put(ledger: Ledger, status: Status, *task_ids: str, **fields: Any) -> None:
    """Write task files straight into the folder of *status*, past the journal."""
    attempt = 0 if status is Status.WAITING else 1
    for task_id in task_ids:
        path = ledger.layout.task(status, task_id)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(canonical(make_task(task_id, **({"attempt": attempt} | fields))))


def record(worker: str) -> ClaimRecord:
    """Return a claim record of this process, whose token is `TOKEN`."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    return ClaimRecord(worker, "machine", os.getpid(), "boot", digest)
