"""Saying after a tool was used that the attempt goes on; and hearing that it does not any more.

At most one heartbeat in ten seconds is given: the file that counts them is its own stamp.
"""

from pathlib import Path
from typing import Final

from wfledger.clock import Clock
from wfledger.errors import StaleError
from wfledger.run.hooks.claimed import Claimed

EVERY_S: Final = 10.0
#: How attempts end that others ended; any other end was handed in by whoever asks.
_TAKEN: Final = frozenset({"lost", "stopped"})


def renew(claimed: Claimed, *, clock: Clock, state_home: Path) -> str | None:
    """Give a heartbeat if one is due; returns a sentence if the attempt was taken away, else None.

    Where a runtime started the worker the runtime speaks for it, and ends it.
    """
    if claimed.has_runtime or (claimed.is_held and not _is_due(claimed, clock)):
        return None
    from wfledger.run.attempts import claims
    from wfledger.run.workspace import Workspace

    workspace = Workspace.open(claimed.layout.root, clock=clock, state_home=state_home)
    try:
        claims.heartbeat(workspace, claimed.task_id, claimed.token)
    except StaleError as error:
        entry = workspace.ledger.get(claimed.task_id)
        ends = {one.number: one.outcome for one in entry.task.attempts}
        if entry.task.attempt == claimed.attempt and ends.get(claimed.attempt) not in _TAKEN:
            return None  # handed in, or about to be
        return (
            f"{error.message}. Stop working on it: nothing more can be handed in for it (exit "
            "status 4), and what you did is kept. Take another task: wfledger claim"
        )
    return None


def _is_due(claimed: Claimed, clock: Clock) -> bool:
    try:
        last = claimed.layout.beat(claimed.task_id, claimed.attempt).stat().st_mtime
    except OSError:
        return True
    return not 0 <= clock.now().timestamp() - last < EVERY_S
