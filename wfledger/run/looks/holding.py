"""The tasks that hold their scopes, each parsed once for as long as its file stays what it is.

A meeting asks several times who holds what, among thousands of tasks of which few have moved.
"""

import threading
from pathlib import Path
from typing import Final

from wfledger.core.documents import Task
from wfledger.core.statuses import Status
from wfledger.run.looks.view import Cache
from wfledger.store.ledger import Ledger

_HOT: Final = tuple(status for status in Status if status.holds_scope)
_CACHES: Final[dict[Path, Cache]] = {}
#: The threads of a process look at one ledger.
_ONE: Final = threading.Lock()


def holding(ledger: Ledger, *statuses: Status) -> list[Task]:
    """Return the readable tasks of *statuses*, by default of all in which a scope is held."""
    with _ONE:
        cache = _CACHES.setdefault(ledger.layout.root, Cache())
        found = [task for status in statuses or _HOT for task in cache.tasks(ledger, status)]
        if not statuses:
            cache.forget_others()
        return found
