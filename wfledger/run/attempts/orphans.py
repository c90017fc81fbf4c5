"""Processes of attempts and landings that are over, left by a runtime that was killed."""

from contextlib import suppress

from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Status
from wfledger.errors import EnvironmentFailedError, WfledgerError
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.processes.process import sweep, tagged
from wfledger.run.workspace import Workspace
from wfledger.store.layout import Named, split_attempt
from wfledger.store.locks import is_alive

_GRACE_S = 2.0
_HOT = frozenset({Status.IN_PROGRESS, Status.MERGING})


def sweep_orphans(workspace: Workspace) -> int:
    """End every process that carries this ledger's tag of work that is over; returns how many.

    What is open is left to its runtime or to `recover_lost`, which keeps the work as well.
    """
    prefix, count = tag_for(workspace, ""), 0
    for tag in tagged(prefix):
        named = split_attempt(tag.removeprefix(prefix))
        if named is None or _is_open(workspace, named):
            continue
        with suppress(EnvironmentFailedError):  # one that does not end; the next sweep tries again
            count += sweep(tag, grace_s=_GRACE_S)
    return count


def _is_open(workspace: Workspace, named: Named) -> bool:
    """Whether somebody may still look after it; what cannot be told counts as open."""
    layout, attempt = workspace.ledger.layout, (named.task_id, named.attempt)
    if any(is_alive(lock(*attempt)) for lock in (layout.live, layout.merge, layout.reap)):
        return True
    try:
        entry = workspace.ledger.find(named.task_id)
    except WfledgerError:
        return True
    if entry is None:
        return True
    if is_elsewhere(entry.task, layout.machine):
        return False
    return entry.status in _HOT and entry.task.attempt == named.attempt
