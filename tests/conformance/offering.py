"""The vectors of the operation `take`: a ledger laid out, and what a claimant makes of it."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.ledgers import make_ledger, make_task, record
from wfledger.core.documents import TaskSpec
from wfledger.core.records import canonical
from wfledger.core.statuses import Status
from wfledger.errors import LedgerDamagedError, StaleError
from wfledger.store.claiming import take
from wfledger.store.folders import missing
from wfledger.store.layout import Layout

Answer = dict[str, Any]


def lay_out(layout: Layout, when: dict[str, Any]) -> None:
    """Put what a case begins with into the folders of a ledger."""
    for status in (Status.PENDING, Status.IN_PROGRESS):
        for name, attempt in when[status.value].items():
            task = make_task(name, attempt=attempt, spec=TaskSpec(title=name, command="true"))
            layout.task(status, name).write_bytes(canonical(task))
    for name in when["claims"]:
        (layout.local / "claims" / name).write_bytes(record("somebody").to_bytes())
    for name in when["missing"]:
        folder = layout.local if name == "claims" else layout.root
        shutil.rmtree(folder / name)


def answer(layout: Layout, when: dict[str, Any], *, stops: bool) -> Answer:
    """Return what lies there afterwards, in the words of `then`."""
    folder = layout.local / "claims"
    recorded = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    mine = [name for name in recorded if name not in when["claims"]]
    left = sorted(path.stem for path in layout.folder(Status.PENDING).glob("*.json"))
    # What could not be recorded was renamed all the same, and is for whoever takes it back.
    return {
        "taken": mine[0] if mine else None, "stops": stops, "claims": recorded, "pending": left,
    }


def take_first(when: dict[str, Any]) -> Answer:
    """Answer as this implementation does, without the ledger lock."""
    with tempfile.TemporaryDirectory() as scratch:
        layout = make_ledger(Path(scratch)).layout
        lay_out(layout, when)
        return answer(layout, when, stops=_try_all(layout, take))


def _try_all(layout: Layout, claim: Callable[..., Any]) -> bool:
    """Try the offers in their order; True where a folder is missing."""
    names = sorted(path.stem for path in layout.folder(Status.PENDING).glob("*.json"))
    if missing(layout):  # as whoever opens the ledger looks first
        return True
    for name in names:
        try:
            claim(layout, name, record("ana"))
        except StaleError:
            continue
        except LedgerDamagedError:
            return True
        return False
    return False
